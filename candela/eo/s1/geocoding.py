"""Bring Sentinel-1 images onto map grids: positions of whole blocks, and resampling."""

import math
from functools import cached_property
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.ellipsoid import GEOGRAPHIC, earth_fixed, project, vertical
from candela.eo.raster.grid import Grid
from candela.eo.raster.lattice import Lattice
from candela.eo.s1.calibration import LEAST_VALUE
from candela.eo.s1.geometry import Look, RangeDoppler
from candela.eo.s1.orbit import seconds_since

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Interpolation = Literal["bilinear", "bicubic"]

LATTICE_M = 1000.0  # from point to point; with LEVELS_M, errors are below 0.02 pixels
LEVELS_M = (0.0, 4500.0, 9000.0)  # heights at which the equations are solved
EARTH_RADIUS_M = 6_371_000.0
COLUMN_M = 500.0  # of the table, in ground range
RANGE_MARGIN_M = 2000.0  # that the table reaches beyond the image, in slant range
RANGES = 20_000  # from which the table is made
TIME_MARGIN_S = 2.0  # that the table reaches beyond the image
LEAST_STEP_S = 0.1  # of the table's times; records are 1 s apart
MARGIN = 3  # pixels around positions that an interpolation looks at, and one for rounding
MAX_REMAP = 32_766  # cv2 keeps positions as 16-bit numbers
LEAST_SHARE = 0.5  # of an interpolation's weight that must lie on pixels with data
_KERNELS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


class Positions(NamedTuple):
    """Where each pixel of a part of a grid lies in an image.

    Attributes
    ----------
    lines, pixels : ndarray, shape (rows, cols), float32
        From 0, whole numbers are centres of pixels; both NaN outside of the image.
    """

    lines: Singles
    pixels: Singles


class PixelSize(NamedTuple):
    """The size of a pixel of a grid on the ground, metres."""

    across: float
    down: float


class View(NamedTuple):
    """From where the pixels of a grid are seen.

    Attributes
    ----------
    lattice : Lattice
        Points of the grid.
    towards : ndarray, shape (3, rows, cols), float64
        From each point, on the ellipsoid, to the satellite: metres along growing columns of the
        grid, along growing rows, and up.
    pixel : PixelSize
        Of the grid.
    slant_areas : ndarray, shape (rows, cols), float64
        Area of a pixel of the image there, in the plane of azimuth and slant range, square metres.
    """

    lattice: Lattice
    towards: Floats
    pixel: PixelSize
    slant_areas: Floats

    def directions(self, window: Window, heights: Singles) -> Singles:
        """Return unit vectors from the ground to the satellite.

        Parameters
        ----------
        window : Window
            A part of the grid.
        heights : ndarray, shape (window.height, window.width), float32
            Metres above the ellipsoid.

        Returns
        -------
        ndarray, shape (3, window.height, window.width), float32
            Along columns, along rows, up.
        """
        towards = self.lattice.spread(self.towards.astype(np.float32), window)
        towards[2] -= heights
        towards /= np.sqrt((towards**2).sum(axis=0))
        return towards


class Geocoding:
    """Where the pixels of a map grid lie in an image.

    Parameters
    ----------
    model : RangeDoppler
        The geometry of the image.
    grid : Grid
        The map grid; it must have a CRS.

    Notes
    -----
    Times and slant ranges are solved on a lattice of the grid for three heights; between, they are
    bilinear in x and y and quadratic in height. The polynomials for ground range are blended in
    time, with kinks that a lattice would cut off; so the lattice has the ground range on a
    sphere, and a table says what that is in pixels at each time.
    """

    def __init__(self, model: RangeDoppler, grid: Grid) -> None:
        self.model = model
        self.lattice = Lattice.of(grid, LATTICE_M)
        self._table = _GroundRangeTable(model)
        longitudes, latitudes = self._degrees = self.lattice.in_crs(GEOGRAPHIC)
        levels = []
        times: Floats | None = None
        for height in LEVELS_M:
            look = model.look(earth_fixed(longitudes, latitudes, height), start=times)
            times = look.times
            lines = look.times / model.azimuth_time_interval
            levels.append(np.stack([lines, self._table.columns(look.slant_ranges)]))
        self._times = levels[0][0] * model.azimuth_time_interval
        powers = np.array(LEVELS_M)[:, None] ** np.arange(len(LEVELS_M))
        # shape (power of the height, line and column of the table, rows, cols)
        self._coefficients = np.tensordot(np.linalg.inv(powers), np.array(levels), axes=1)

    def positions(self, window: Window, heights: Singles | float) -> Positions:
        """Return where the pixels of a part of the grid lie in the image.

        Parameters
        ----------
        window : Window
            The part, whole pixels.
        heights : ndarray, shape (window.height, window.width), float32; or float
            Metres above the ellipsoid; NaN where unknown.
        """
        if isinstance(heights, np.ndarray):
            lines, columns = (self._spread(part, window, heights) for part in (0, 1))
        else:
            level = self._level(heights)
            lines, columns = self.lattice.spread(level, window).astype(np.float32)
        return self._in_image(lines, self._table.pixels(lines, columns))

    @cached_property
    def view(self) -> View:
        """From where the pixels of the grid are seen."""
        ground = earth_fixed(*self._degrees, 0.0)
        up = vertical(*self._degrees)
        towards = self.model.orbit.position(self._times) - ground
        parts, sizes = [], []
        for axis in (2, 1):  # along the columns' and the rows' numbers
            step = np.gradient(ground, axis=axis) / self.lattice.spacing
            step -= up * (step * up).sum(axis=0)  # the chord between points dips
            size = np.linalg.norm(step, axis=0)
            parts.append((towards * step).sum(axis=0) / size)
            sizes.append(float(size.mean()))
        parts.append((towards * up).sum(axis=0))
        size = PixelSize(*sizes)
        return View(self.lattice, np.stack(parts), size, self._slant_areas(parts, size))

    def _slant_areas(self, towards: list[Floats], size: PixelSize) -> Floats:
        """Return the areas of pixels of the image in the plane of slant range."""
        lines, columns = self._coefficients[0]
        pixels = self._table.pixels_in_the_middle(columns)
        (line_down, line_across), (pixel_down, pixel_across) = (
            np.gradient(axis, self.lattice.spacing) for axis in (lines, pixels)
        )
        pixels_per_pixel = np.abs(line_down * pixel_across - line_across * pixel_down)
        horizontal = np.hypot(towards[0], towards[1])
        sine = horizontal / np.hypot(horizontal, towards[2])
        areas: Floats = sine * size.across * size.down / np.maximum(pixels_per_pixel, 1e-6)
        return areas

    def window(self, positions: Positions) -> Window | None:
        """Return the part of the image that ``resample`` needs, or None if no pixel is in it."""
        if np.isnan(positions.lines).all():
            return None
        row, rows = _span(positions.lines, self.model.lines)
        col, cols = _span(positions.pixels, self.model.samples)
        return Window(col, row, cols, rows)

    def places(self) -> tuple[Floats, Floats]:
        """Return points of the grid, about one each kilometre, that the image shows at height 0.

        Returns
        -------
        tuple of ndarray, shape (n,)
            Longitudes and latitudes in degrees; empty where the image does not reach the grid.
        """
        longitudes, latitudes = project(self.lattice.grid.crs, GEOGRAPHIC, *self.lattice.inside)
        points = self.model.locate(earth_fixed(longitudes, latitudes, 0.0))
        shown = self.model.contains(points)
        return longitudes[shown], latitudes[shown]

    def _level(self, height: float) -> Floats:
        powers = height ** np.arange(len(LEVELS_M))
        return np.tensordot(powers, self._coefficients, axes=1)

    def _spread(self, part: int, window: Window, heights: Singles) -> Singles:
        """Evaluate the quadratic; only its constant needs more than seven digits."""
        constant, linear, quadratic = self._coefficients[:, part]
        change = self.lattice.spread(quadratic.astype(np.float32), window)
        change *= heights
        change += self.lattice.spread(linear.astype(np.float32), window)
        change *= heights
        total = self.lattice.spread(constant, window)
        total += change
        return total.astype(np.float32)

    def _in_image(self, lines: Singles, pixels: Singles) -> Positions:
        last_line, last_pixel = self.model.lines - 0.5, self.model.samples - 0.5
        inside = (
            lines.min() >= -0.5
            and lines.max() <= last_line
            and pixels.min() >= -0.5
            and pixels.max() <= last_pixel
        )
        if not inside:  # NaN counts as outside
            within = (lines >= -0.5) & (lines <= last_line)
            within &= (pixels >= -0.5) & (pixels <= last_pixel)
            lines[~within] = np.nan
            pixels[~within] = np.nan
        return Positions(lines, pixels)


class _GroundRangeTable:
    """The pixels of an image over time (rows) and range (columns), looked up by cv2.

    The columns are regular in ground range on a sphere, which is almost what pixels are regular in.
    """

    def __init__(self, model: RangeDoppler) -> None:
        known = seconds_since(model.ground_range.times, model.epoch)
        step = max(float(np.diff(known).min()), LEAST_STEP_S) if len(known) > 1 else TIME_MARGIN_S
        # Rows lie on the records, where the blend has its kinks, as long as these are regular.
        first_time = known[0] - math.ceil((known[0] + TIME_MARGIN_S) / step) * step
        last_time = model.azimuth_time_interval * (model.lines - 1) + TIME_MARGIN_S
        middle = np.array(last_time / 2)
        self._orbit_radius = float(np.linalg.norm(model.orbit.position(middle)))
        self._first_column = 0.0
        near, far = model.slant_ranges
        ranges = np.linspace(near - RANGE_MARGIN_M, far + RANGE_MARGIN_M, RANGES)
        columns = self.columns(ranges)
        self._first_column = float(columns[0])
        times, sampled = np.meshgrid(
            np.arange(first_time, last_time + step, step),
            np.interp(np.arange(columns[0], columns[-1]), columns, ranges),
            indexing="ij",
        )
        self.values = model.place(Look(times, sampled)).pixels.astype(np.float32)
        self.rows_per_line = np.float32(model.azimuth_time_interval / step)
        self.first_row = np.float32(-first_time / step)

    def columns(self, slant_ranges: Floats) -> Floats:
        """Return where slant ranges lie in the table."""
        satellite, ground = self._orbit_radius, EARTH_RADIUS_M
        cosine = (satellite**2 + ground**2 - slant_ranges**2) / (2 * satellite * ground)
        return ground * np.arccos(np.clip(cosine, -1, 1)) / COLUMN_M - self._first_column

    def pixels_in_the_middle(self, columns: Floats) -> Floats:
        """Return pixels at the time of the middle of the table; constant beyond it."""
        row = self.values[len(self.values) // 2]
        pixels: Floats = np.interp(columns, np.arange(len(row)), row)
        return pixels

    def pixels(self, lines: Singles, columns: Singles) -> Singles:
        """Return pixels of the image; NaN beyond the table."""
        rows = lines * self.rows_per_line
        rows += self.first_row
        found: Singles = cv2.remap(
            self.values,
            columns,
            rows,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=math.nan,
        )
        return found


def resample(
    values: Singles,
    positions: Positions,
    window: Window,
    interpolation: Interpolation = "bilinear",
) -> Singles:
    """Interpolate an image at positions.

    Parameters
    ----------
    values : ndarray, shape (window.height, window.width), float32
        A part of the image, 0 where there are no data and positive elsewhere.
    positions : Positions
        Where to interpolate; NaN gives 0.
    window : Window
        Which part of the image ``values`` is.
    interpolation : str
        ``bilinear``, or ``bicubic`` (Keys, a = -0.75: moves details by up to 0.05 pixels;
        what falls below the smallest power, 1e-7, is that).

    Returns
    -------
    ndarray, shape as the positions, float32
        0 where more than half of the weight would come from pixels without data or outside of the
        image; elsewhere only pixels with data count, so nothing fades towards borders.

    Raises
    ------
    ValueError
        If the part has a side above 32 766 pixels.
    """
    if max(values.shape) > MAX_REMAP or max(positions.lines.shape) > MAX_REMAP:
        raise ValueError(f"{values.shape} pixels at once, expected at most {MAX_REMAP} a side")
    x = positions.pixels - np.float32(window.col_off)
    y = positions.lines - np.float32(window.row_off)
    kernel = _KERNELS[interpolation]
    total = _remap(values, x, y, kernel)
    if not (values.min(initial=math.inf) > 0 and _lies_inside(x, y, values.shape)):
        share = _remap((values > 0).astype(np.float32), x, y, kernel)
        has_data = share >= LEAST_SHARE
        np.divide(total, share, out=total, where=has_data)
        total[~has_data] = 0
        return np.maximum(total, LEAST_VALUE, out=total, where=has_data)
    return np.maximum(total, LEAST_VALUE, out=total) if interpolation == "bicubic" else total


def _remap(values: Singles, x: Singles, y: Singles, kernel: int) -> Singles:
    result: Singles = cv2.remap(
        values, x, y, kernel, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0
    )
    return result


def _lies_inside(x: Singles, y: Singles, shape: tuple[int, ...]) -> bool:
    """Tell whether all positions, none of them NaN, are so far inside that no border counts."""
    return all(
        values.min() >= MARGIN - 1 and values.max() <= side - MARGIN
        for values, side in ((y, shape[0]), (x, shape[1]))
    )


def _span(values: Singles, side: int) -> tuple[int, int]:
    """Return the first pixel and the number of pixels around positions."""
    first = max(0, math.floor(float(np.nanmin(values))) - MARGIN)
    last = min(side - 1, math.ceil(float(np.nanmax(values))) + MARGIN)
    return first, last - first + 1
