"""Statistics of an image over parcels, each pixel weighted by the share of it that is covered."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from candela.eo.projection import check_box, move_geometry, shown
from candela.eo.raster.blocks import split
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import open_image
from candela.eo.reference_system import LONGITUDE_LATITUDE
from candela.eo.vector.coverage import covered_pixels
from candela.eo.vector.files import Feature, FeatureCollection
from candela.errors import InputError

BINS = 2000  # of the histogram from 0 to 1: quantiles are told to half of 1 / 2000
CLASS_STEP = np.float32(2)  # above the largest value
CLASSES = 5  # of equal width, from 0 to 1
BLOCK = 1024  # pixels
LONGEST_EDGE_M = 1000.0  # longer ones are divided first: straight lines bend in another CRS
METRES_PER_DEGREE = 111_320.0

Image = NDArray[np.float32]


class Parcel(NamedTuple):
    """A polygon that statistics are wanted of.

    Attributes
    ----------
    id : str, int or float
        That of its file; where there is none, its number in the file, from 1.
    properties : dict
        Its attributes, as JSON values.
    outline : shapely geometry or None
        Longitude and latitude (WGS 84).
    shape : shapely geometry or None
        The same on the image's reference system.
    note : str
        What is wrong with it; empty if nothing is.
    """

    id: str | float
    properties: dict[str, Any]
    outline: BaseGeometry | None
    shape: BaseGeometry | None
    note: str

    @property
    def area(self) -> float:
        """The area in the square of the unit of the image's reference system."""
        return 0.0 if self.shape is None else float(self.shape.area)


class ParcelStatistics(NamedTuple):
    """What an image with values from 0 to 1 shows of a parcel.

    Attributes
    ----------
    valid_fraction : float
        Share of the parcel's area that lies under valid pixels, 0..1.
    mean, p90 : float or None
        Mean, and the value below which nine tenths of the valid area are; None where nothing is
        valid.
    shares : tuple of float
        Shares of the valid area in the classes 0..0.2, 0.2..0.4 and so on to 1; each begins with
        its lower limit. Empty where nothing is valid.
    share_above_half : float or None
        Share of the valid area with 0.5 or more.
    class_shares : dict of int to float
        Shares of the valid area by the classes of a second image, if one was added.
    """

    valid_fraction: float = 0.0
    mean: float | None = None
    p90: float | None = None
    shares: tuple[float, ...] = ()
    share_above_half: float | None = None
    class_shares: dict[int, float] = {}  # noqa: RUF012 - never changed


def place_parcels(collection: FeatureCollection, grid: Grid) -> list[Parcel]:
    """Bring polygons onto the reference system of an image, and mend what can be mended.

    Parameters
    ----------
    collection : FeatureCollection
    grid : Grid
        That of the image.

    Returns
    -------
    list of Parcel
        One for each feature, in the same order.

    Raises
    ------
    InputError
        If a feature is no polygon, if there is none, or none of them touches the image.
    """
    if grid.crs is None:
        raise InputError("the image has no coordinate reference system to place parcels in")
    if not collection.features:
        raise InputError("there is no parcel in the file")
    parcels = [
        _place(number, feature, collection.crs, grid.crs)
        for number, feature in enumerate(collection.features, 1)
    ]
    if all(parcel.shape is None for parcel in parcels):
        raise InputError(
            f"none of the {len(parcels)} parcels can be placed: parcel {parcels[0].id} "
            f"{parcels[0].note}"
        )
    frame = shapely.box(*grid.bounds)
    if not any(parcel.shape is not None and parcel.shape.intersects(frame) for parcel in parcels):
        hint = _swapped_hint(collection, grid.crs, frame)
        raise InputError(
            f"none of the {len(parcels)} parcels touches the image: in {grid.crs} they cover "
            f"{_extent([parcel.shape for parcel in parcels])}, the image {_extent([frame])}{hint}"
        )
    return parcels


def _place(number: int, feature: Feature, crs: CRS, image_crs: CRS) -> Parcel:
    identifier = number if feature.id is None else feature.id
    geometry, note = _mend(f"parcel {identifier}", feature.geometry)
    note = feature.note or note
    if geometry is None:
        return Parcel(identifier, feature.properties, None, None, note)
    outline = move_geometry(geometry, crs, LONGITUDE_LATITUDE)
    shape = move_geometry(_divide_edges(geometry, crs, image_crs), crs, image_crs)
    if outline is None or shape is None:
        note = _why_nowhere(geometry, crs)
        return Parcel(identifier, feature.properties, None, None, note)
    if not shape.is_valid:  # a reprojected needle may cross itself
        shape = _polygons(shapely.make_valid(shape))
    return Parcel(identifier, feature.properties, outline, shape, note)


def _mend(where: str, geometry: BaseGeometry | None) -> tuple[BaseGeometry | None, str]:
    """Return a valid polygon and what was wrong with it."""
    if geometry is None or geometry.is_empty:
        return None, "has no geometry"
    if geometry.geom_type not in {"Polygon", "MultiPolygon", "GeometryCollection"}:
        raise InputError(f"{where} is a {geometry.geom_type}; expected Polygon or MultiPolygon")
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        return None, "has coordinates that are no numbers"
    note = "" if geometry.is_valid else f"mended: {shapely.is_valid_reason(geometry)}"
    mended = _polygons(geometry if not note else shapely.make_valid(geometry))
    return (mended, note) if mended.area > 0 else (None, "has no area")


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    """Keep the polygons of a geometry, without the points and lines."""
    if geometry.geom_type in {"Polygon", "MultiPolygon"}:
        return geometry
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.union_all([part for part in parts if part.geom_type == "Polygon"])


def _divide_edges(geometry: BaseGeometry, crs: CRS, image_crs: CRS) -> BaseGeometry:
    if crs == image_crs:
        return geometry
    longest = LONGEST_EDGE_M / (METRES_PER_DEGREE if crs.is_geographic else 1.0)
    return shapely.segmentize(geometry, longest)


def _why_nowhere(geometry: BaseGeometry, crs: CRS) -> str:
    try:
        check_box(geometry.bounds, crs, "")
    except InputError as error:
        return error.message.strip()
    return f"covers {shown(geometry.bounds)} in {crs}, which has no place on the image's map"


def _swapped_hint(collection: FeatureCollection, crs: CRS, frame: BaseGeometry) -> str:
    """Return what to tell where parcels would touch the image with their axes swapped."""
    shapes = [feature.geometry for feature in collection.features if feature.geometry is not None]
    left, bottom, right, top = shapely.total_bounds(np.array(shapes, object))
    swapped = move_geometry(shapely.box(bottom, left, top, right), collection.crs, crs)
    if swapped is None or not swapped.intersects(frame):
        return ""
    return "; they would if x and y (longitude and latitude) changed places"


def _extent(shapes: Sequence[BaseGeometry | None]) -> str:
    return shown(tuple(shapely.total_bounds(np.array(shapes, object))))


class ParcelTally:
    """Counts what an image shows of parcels, block by block and in any order.

    Parameters
    ----------
    parcels : sequence of Parcel
    grid : Grid
        That of the image.
    """

    def __init__(self, parcels: Sequence[Parcel], grid: Grid) -> None:
        self._parcels = parcels
        self._grid = grid
        shapes = [parcel.shape for parcel in parcels]
        self._tree = shapely.STRtree(np.array(shapes, object))
        self._wkb = shapely.to_wkb(np.array(shapes, object))
        self._bounds = shapely.bounds(np.array(shapes, object))
        self._pixel_area = abs(grid.transform.a * grid.transform.e)
        self._open: dict[int, _Sums] = {}
        self._done: dict[int, ParcelStatistics] = {}

    def add(self, window: Window, values: Image, classes: NDArray[np.uint8] | None = None) -> None:
        """Count a block.

        Parameters
        ----------
        window : Window
            Where it lies; blocks must not overlap.
        values : ndarray, shape (rows, cols), float32
            0 to 1, NaN without data.
        classes : ndarray, shape (rows, cols), uint8, optional
            A class of each pixel, to be counted, too.
        """
        bounds = self._grid.cut(window).bounds
        if classes is not None:  # in one number, so that the coverage is computed once
            values = values + CLASS_STEP * classes
        found = np.sort(self._tree.query(shapely.box(*bounds)))
        for index, (parts, weights) in zip(
            found, covered_pixels(values, bounds, self._wkb[found]), strict=True
        ):
            sums = self._open.setdefault(int(index), _Sums())
            told = np.floor_divide(parts, CLASS_STEP) if classes is not None else None
            sums.add(parts if told is None else parts - CLASS_STEP * told, weights, told)
            if self._lies_in(index, bounds):  # as most do: its histogram can go
                self._done[int(index)] = self._statistics(int(index), self._open.pop(int(index)))

    def statistics(self) -> list[ParcelStatistics]:
        """Return the statistics of all parcels, in their order."""
        done = self._done | {
            index: self._statistics(index, sums) for index, sums in self._open.items()
        }
        return [done.get(index, ParcelStatistics()) for index in range(len(self._parcels))]

    def _lies_in(self, index: int, bounds: tuple[float, ...]) -> bool:
        left, bottom, right, top = self._bounds[index]
        return bool(
            left >= bounds[0] and bottom >= bounds[1] and right <= bounds[2] and top <= bounds[3]
        )

    def _statistics(self, index: int, sums: "_Sums") -> ParcelStatistics:
        return sums.statistics(self._parcels[index].area / self._pixel_area)


class _Sums:
    """Weighted sums over the pixels of one parcel."""

    def __init__(self) -> None:
        self.total = 0.0
        self.histogram = np.zeros(BINS)
        self.classes = np.zeros(256)

    def add(
        self,
        values: NDArray[np.float64],
        weights: NDArray[np.float64],
        classes: NDArray[np.float64] | None = None,
    ) -> None:
        if classes is not None:
            self.classes += np.bincount(classes.astype(np.intp), weights, minlength=256)
        self.total += float(values @ weights)
        bins = np.minimum((values * BINS).astype(np.intp), BINS - 1)
        self.histogram += np.bincount(bins, weights, minlength=BINS)

    def statistics(self, pixels: float) -> ParcelStatistics:
        """Return the statistics of a parcel as large as so many pixels."""
        weight = float(self.histogram.sum())
        if weight <= 0:
            return ParcelStatistics()
        reached = np.cumsum(self.histogram) / weight
        quantile = int(np.searchsorted(reached, 0.9 - 1e-9))
        return ParcelStatistics(
            min(weight / pixels, 1.0),
            self.total / weight,
            (quantile + 0.5) / BINS,
            tuple((self.histogram.reshape(CLASSES, -1).sum(axis=1) / weight).tolist()),
            float(self.histogram[BINS // 2 :].sum() / weight),
            {int(k): float(self.classes[k] / weight) for k in np.flatnonzero(self.classes)},
        )


def parcel_statistics(image: Path, parcels: Sequence[Parcel]) -> list[ParcelStatistics]:
    """Return what the first band of an image shows of parcels.

    The image is read once, block by block.

    Parameters
    ----------
    image : Path
        Values from 0 to 1, NaN without data.
    parcels : sequence of Parcel
        Placed on its reference system.
    """
    with open_image(image) as dataset:
        tally = ParcelTally(parcels, Grid.of(dataset))
        for block in split(Shape(dataset.height, dataset.width), BLOCK):
            tally.add(block.inner, dataset.read(1, window=block.inner))
    return tally.statistics()
