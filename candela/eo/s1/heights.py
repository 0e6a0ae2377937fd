"""Where the heights of the ground come from: one number, a product's own points, or a DEM."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.warp import transform_bounds
from rasterio.windows import Window
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from candela.eo.ellipsoid import GEOGRAPHIC, project
from candela.eo.raster.grid import Bounds, Grid
from candela.eo.raster.images import open_image
from candela.eo.raster.lattice import Lattice
from candela.eo.raster.values import alpha_bands, checked_grid
from candela.eo.s1.annotation import GeolocationGrid
from candela.errors import InputError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

LATTICE_M = 500.0  # between points whose place in a DEM is worked out
PRODUCT_LATTICE_M = 2000.0  # between points at which a product's heights, 20 km apart, are taken
LOWEST_M = -1000.0  # no ground is lower: what is, marks pixels without data
MARGIN = 2  # pixels of a DEM around those that are wanted


class Heights(Protocol):
    """Tells how high the ground is."""

    def read(self, grid: Grid, window: Window | None = None) -> Singles:
        """Return the heights at the pixel centres of a grid.

        Parameters
        ----------
        grid : Grid
            It must have a CRS.
        window : Window, optional
            A part of it; it may reach beyond the grid.

        Returns
        -------
        ndarray, shape (rows, cols), float32
            Metres above the WGS 84 ellipsoid; NaN where they are not known. A part has the heights
            that the whole has there.
        """

    def tags(self) -> dict[str, str]:
        """Return the tags that say where the heights are from."""


@dataclass(frozen=True)
class ConstantHeight:
    """The same height everywhere.

    Attributes
    ----------
    height : float
        Metres above the ellipsoid.
    """

    height: float

    def read(self, grid: Grid, window: Window | None = None) -> Singles:
        """See ``Heights``."""
        part = grid if window is None else grid.cut(window)
        return np.full(part.shape, self.height, dtype=np.float32)

    def tags(self) -> dict[str, str]:
        """See ``Heights``."""
        return {"HEIGHT_SOURCE": "constant", "HEIGHT_M": f"{self.height:g}"}


class ProductHeights:
    """The heights of a product's geolocation grid: some 20 km from point to point.

    Parameters
    ----------
    points : sequence of GeolocationGrid
        Of one slice or more. Between the points heights are interpolated linearly over triangles;
        beyond them that of the nearest point holds.
    """

    def __init__(self, *points: GeolocationGrid) -> None:
        self._longitudes = np.concatenate([grid.longitudes for grid in points])
        self._latitudes = np.concatenate([grid.latitudes for grid in points])
        self._heights = np.concatenate([grid.heights for grid in points])
        self._origin = float(self._longitudes[0])
        places = self._places(self._longitudes, self._latitudes)
        self._linear = LinearNDInterpolator(places, self._heights)
        self._nearest = NearestNDInterpolator(places, self._heights)
        self._known: tuple[Lattice, Floats] | None = None

    def read(self, grid: Grid, window: Window | None = None) -> Singles:
        """See ``Heights``."""
        lattice = Lattice.of(grid, LATTICE_M)
        # NOTE: the points are those of the whole grid, or else parts would differ at their borders.
        known = self._known  # another thread may replace it
        if known is None or known[0] != lattice:
            known = self._known = lattice, self._at(*lattice.in_crs(GEOGRAPHIC))
        return lattice.spread(known[1], window or _whole(grid)).astype(np.float32)

    def _at(self, longitudes: Floats, latitudes: Floats) -> Floats:
        places = self._places(longitudes, latitudes)
        heights = np.asarray(self._linear(places))
        return np.where(np.isnan(heights), self._nearest(places), heights)

    def tags(self) -> dict[str, str]:
        """See ``Heights``."""
        return {"HEIGHT_SOURCE": "geolocation grid of the product"}

    def _places(self, longitudes: Floats, latitudes: Floats) -> Floats:
        """Return places that are continuous across 180 degrees, and about equal in scale."""
        east = (longitudes - self._origin + 180) % 360 - 180
        return np.stack([east * math.cos(math.radians(self._latitudes.mean())), latitudes], axis=-1)


class Dem:
    """A digital elevation model: a raster with heights in metres.

    Pixels without data are taken as sea: height 0 before the geoid is added. Outside of the raster
    heights are not known.

    Parameters
    ----------
    path : Path
        GeoTIFF or JPEG 2000 with a CRS, north up or not.
    geoid : Path, optional
        A raster with the geoid's heights above the ellipsoid, metres, for a DEM whose heights are
        above sea level. Without it the heights are taken as above the ellipsoid.

    Raises
    ------
    InputError
        If one of them is no image, or has no CRS, or more than one band.
    """

    def __init__(self, path: Path, geoid: Path | None = None) -> None:
        self.path, self.geoid = path, geoid
        self.grid = _open_grid(path)
        self._geoid_grid = None if geoid is None else _open_grid(geoid)

    def read(self, grid: Grid, window: Window | None = None) -> Singles:
        """See ``Heights``; InputError if the raster is damaged."""
        part = grid if window is None else grid.cut(window)
        heights = _sample(self.path, self.grid, part, _thinning(self.grid, grid), sea=True)
        if self.geoid is not None and self._geoid_grid is not None:
            heights += _sample(self.geoid, self._geoid_grid, part, 1, sea=False)
        return heights

    def tags(self) -> dict[str, str]:
        """See ``Heights``."""
        vertical = _vertical_crs(self.grid.crs)
        return {
            "HEIGHT_SOURCE": "DEM",
            "DEM": self.path.name,
            "DEM_HEIGHTS_ABOVE": "ellipsoid" if self.geoid is None else self.geoid.name,
        } | ({"DEM_VERTICAL_CRS": vertical} if vertical else {})

    def check_covers(self, longitudes: Floats, latitudes: Floats) -> None:
        """Check that points lie in the DEM, and in the geoid if there is one.

        Parameters
        ----------
        longitudes, latitudes : ndarray
            Degrees.

        Raises
        ------
        InputError
            If one does not; the message has both extents.
        """
        for path, grid in ((self.path, self.grid), (self.geoid, self._geoid_grid)):
            if path is None or grid is None or longitudes.size == 0:
                continue
            x, y = project(GEOGRAPHIC, grid.crs, longitudes, latitudes)
            if not _inside(_pixel_places(grid, x, y), grid).all():
                raise InputError(
                    f"{path.name} covers {_shown(_geographic_bounds(grid))}, but heights are "
                    f"needed in {_shown(_bounds(longitudes, latitudes))}"
                )


def _open_grid(path: Path) -> Grid:
    with open_image(path) as dataset:
        if dataset.crs is None:
            raise InputError(f"{path.name} has no coordinate reference system")
        if dataset.count - len(alpha_bands(dataset)) != 1:
            raise InputError(f"{path.name} has {dataset.count} bands, expected one with heights")
        return checked_grid(dataset)


def _sample(path: Path, source: Grid, grid: Grid, factor: int, *, sea: bool) -> Singles:
    """Interpolate a raster bilinearly at the pixel centres of a grid; NaN outside of it."""
    lattice = Lattice.of(grid, LATTICE_M)
    places = _pixel_places(source, *lattice.in_crs(source.crs))
    window = _cover(*places, source, factor)
    if window is None:
        return np.full(grid.shape, np.nan, dtype=np.float32)
    first = np.array([window.col_off, window.row_off])[:, None, None]
    nodes = (np.stack(places) - first + 0.5) / factor - 0.5
    x, y = lattice.spread(nodes.astype(np.float32), _whole(grid))
    heights: Singles = cv2.remap(
        _read(path, window, factor, sea=sea), x, y, cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if not _inside(places, source).all():
        exact = tuple(lattice.spread(np.stack(places), _whole(grid)))
        heights[~_inside(exact, source)] = np.nan
    return heights


def _inside(places: tuple[Floats, ...], source: Grid) -> NDArray[np.bool_]:
    """Tell which columns and rows lie in a raster."""
    (cols, rows), (height, width) = places, source.shape
    inside: NDArray[np.bool_] = (cols >= -0.5) & (cols <= width - 0.5)
    return inside & (rows >= -0.5) & (rows <= height - 0.5)


def _read(path: Path, window: Window, factor: int, *, sea: bool) -> Singles:
    """Read heights, each the mean of ``factor`` x ``factor`` pixels."""
    shape = (int(window.height) // factor, int(window.width) // factor)
    try:
        with open_image(path) as dataset:
            band = dataset.read(
                1, window=window, out_shape=shape, resampling=Resampling.average, masked=True
            )
            scale, offset = dataset.scales[0], dataset.offsets[0]
    except RasterioIOError as error:
        raise InputError(f"{path.name} cannot be read: it is truncated or damaged") from error
    values = band.filled(0).astype(np.float32) * np.float32(scale) + np.float32(offset)
    unknown = np.ma.getmaskarray(band) | ~(values > LOWEST_M)
    values[unknown] = 0.0 if sea else np.nan
    return np.asarray(values, dtype=np.float32)


def _cover(cols: Floats, rows: Floats, source: Grid, factor: int) -> Window | None:
    """Return what is needed of a raster, or None.

    Its offset and size are multiples of ``factor``, so that parts give what the whole would.
    """
    spans = []
    for values, side in ((rows, source.shape.rows), (cols, source.shape.cols)):
        margin = MARGIN * factor
        first = max(0, math.floor(float(values.min())) - margin) // factor * factor
        stop = min(side, math.ceil(float(values.max())) + margin + 1)
        count = -(-(stop - first) // factor) * factor
        if first + count > side:
            count = (side - first) // factor * factor
        spans.append((first, count))
    (row, height), (col, width) = spans
    return Window(col, row, width, height) if height > 0 and width > 0 else None


def _pixel_places(grid: Grid, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return columns and rows, whole numbers at the centres of pixels."""
    if grid.crs is not None and grid.crs.is_geographic:  # longitudes may go on beyond 180
        middle = (grid.bounds.left + grid.bounds.right) / 2
        x = (x - middle + 180) % 360 - 180 + middle
    cols, rows = ~grid.transform @ (x, y)
    return np.asarray(cols) - 0.5, np.asarray(rows) - 0.5


def _thinning(source: Grid, grid: Grid) -> int:
    """Return how many pixels of a raster lie side by side in the middle one of a grid, or 1."""
    middle = grid.cut(Window(grid.shape.cols // 2, grid.shape.rows // 2, 2, 2))
    cols, rows = _pixel_places(source, *Lattice(middle, 1).in_crs(source.crs))
    steps = np.hypot(np.diff(cols, axis=1), np.diff(rows, axis=1))
    return max(1, int(steps.mean() + 0.01))


def _whole(grid: Grid) -> Window:
    return Window(0, 0, grid.shape.cols, grid.shape.rows)


def _vertical_crs(crs: CRS | None) -> str:
    """Return the name of the vertical part of a CRS, empty if it has none."""
    parts = {} if crs is None else crs.to_dict(projjson=True)
    return str(parts["components"][-1]["name"]) if "components" in parts else ""


def _geographic_bounds(grid: Grid) -> Bounds:
    return Bounds(*transform_bounds(grid.crs, GEOGRAPHIC, *grid.bounds))


def _bounds(longitudes: Floats, latitudes: Floats) -> Bounds:
    return Bounds(
        float(longitudes.min()),
        float(latitudes.min()),
        float(longitudes.max()),
        float(latitudes.max()),
    )


def _shown(bounds: Bounds) -> str:
    return (
        f"longitudes {bounds.left:.3f} to {bounds.right:.3f} and "
        f"latitudes {bounds.bottom:.3f} to {bounds.top:.3f}"
    )
