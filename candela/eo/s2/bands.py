"""Read the bands of a Sentinel-2 granule as reflectance on one grid."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import open_image
from candela.eo.raster.resample import MARGIN, Image, Method, enlarge, reduce
from candela.eo.raster.values import has_mask, read_numbers
from candela.eo.s2.decoded import DecodedImage
from candela.eo.s2.metadata import Radiometry
from candela.eo.s2.product import Granule
from candela.errors import InputError

SCALE = 10_000  # stored values are reflectance times this
NODATA = 0
SATURATED = 65535
_LARGEST = 65534


def to_reflectance(numbers: Image, band: str, radiometry: Radiometry) -> Image:
    """Turn digital numbers into reflectance x 10 000 without offset.

    Parameters
    ----------
    numbers : ndarray of uint16
        As the product has them.
    band : str
        Whose offset applies.
    radiometry : Radiometry
        Scale, offsets and codes of the product.

    Returns
    -------
    ndarray of uint16
        0 where there is no data, 65535 where saturated, else 1..65534: a valid pixel that would
        fall to 0 or below without its offset becomes 1.
    """
    offset, scale = radiometry.offsets[band], SCALE / radiometry.quantification
    if (offset, scale, radiometry.nodata, radiometry.saturated) == (0, 1, NODATA, SATURATED):
        return numbers
    if scale == 1 and -_LARGEST < offset <= 0 and float(offset).is_integer():
        values = np.maximum(numbers, np.uint16(1 - offset))  # the common case, without widening
        values -= np.uint16(-offset)
    else:
        wide = np.rint((numbers + np.float32(offset)) * np.float32(scale))
        values = np.clip(wide, 1, _LARGEST).astype(np.uint16)
    values *= numbers != radiometry.nodata  # leaves 0, which is NODATA
    values[numbers == radiometry.saturated] = SATURATED
    return values


@dataclass(frozen=True)
class BandReader:
    """An open band that is read on the pixels of a target grid.

    Attributes
    ----------
    band : str
        ESA's name.
    native_m : float
        Pixel size of the file in metres.
    """

    band: str
    native_m: float
    _dataset: rasterio.DatasetReader
    _name: str
    _radiometry: Radiometry
    _target_m: float
    _offset: tuple[int, int]  # row, col of the target grid's corner in pixels of its full grid
    _method: Method
    _decoded: DecodedImage | None = None

    def read(self, window: Window) -> Image:
        """Return reflectance x 10 000 under a window of the target grid; see ``to_reflectance``.

        Raises
        ------
        InputError
            If the file is damaged there.
        """
        return to_reflectance(self._read(window, self._method), self.band, self._radiometry)

    def read_codes(self, window: Window) -> Image:
        """Return what the file has under a window of the target grid, unscaled and never mixed."""
        return self._read(window, "nearest")

    def read_small(self, window: Window, rows: int, cols: int) -> Image:
        """Return reflectance x 10 000 under a window, decimated to a few pixels for a picture."""
        ratio = self._target_m / self.native_m
        source = Window(
            (window.col_off + self._offset[1]) * ratio,
            (window.row_off + self._offset[0]) * ratio,
            window.width * ratio,
            window.height * ratio,
        )
        with self._blaming():
            numbers = self._dataset.read(1, window=source, out_shape=(rows, cols))
        numbers = self._without_missing(numbers, source, Shape(rows, cols))
        return to_reflectance(numbers, self.band, self._radiometry)

    def _read(self, window: Window, method: Method) -> Image:
        row, col = int(window.row_off) + self._offset[0], int(window.col_off) + self._offset[1]
        rows, cols = int(window.height), int(window.width)
        if self.native_m > self._target_m:
            factor = round(self.native_m / self._target_m)
            return self._enlarged(row, col, rows, cols, factor, method)
        factor = round(self._target_m / self.native_m)
        numbers = self._numbers(row * factor, col * factor, rows * factor, cols * factor)
        return reduce(numbers, factor, method, self._is_special(numbers))

    def _enlarged(
        self, row: int, col: int, rows: int, cols: int, factor: int, method: Method
    ) -> Image:
        top, left = max(0, row // factor - MARGIN), max(0, col // factor - MARGIN)
        bottom = min(self._dataset.height, -(-(row + rows) // factor) + MARGIN)
        right = min(self._dataset.width, -(-(col + cols) // factor) + MARGIN)
        numbers = self._numbers(top, left, bottom - top, right - left)
        fine = enlarge(numbers, factor, method, self._is_special(numbers))
        first_row, first_col = row - top * factor, col - left * factor
        return fine[first_row : first_row + rows, first_col : first_col + cols]

    def _numbers(self, row: int, col: int, rows: int, cols: int) -> Image:
        window = Window(col, row, cols, rows)
        with self._blaming():
            numbers: Image = (
                self._decoded.read(window)
                if self._decoded is not None
                else self._dataset.read(1, window=window)
            )
        return self._without_missing(numbers, window)

    def _without_missing(self, numbers: Image, window: Window, shape: Shape | None = None) -> Image:
        """Give pixels that a mask or a nodata number of the file leaves out the product's own."""
        nodata = self._dataset.nodata
        if nodata not in (None, self._radiometry.nodata):
            numbers[numbers == nodata] = self._radiometry.nodata
        if has_mask(self._dataset, [1]):
            _, missing = read_numbers(self._dataset, [1], window, shape)
            numbers[missing] = self._radiometry.nodata
        return numbers

    def _is_special(self, numbers: Image) -> NDArray[np.bool_]:
        codes = (self._radiometry.nodata, self._radiometry.saturated)
        return np.asarray((numbers == codes[0]) | (numbers == codes[1]))

    @contextmanager
    def _blaming(self) -> Iterator[None]:
        try:
            yield
        except RasterioIOError as error:
            raise InputError(
                f"band {self.band} is damaged: {self._name} cannot be decoded ({error})"
            ) from error


@contextmanager
def open_band(
    granule: Granule, band: str, target: Grid, method: Method, scratch: Path | None = None
) -> Iterator[BandReader]:
    """Open a band for reading on a target grid.

    Parameters
    ----------
    granule : Granule
        Where the band is.
    band : str
        ESA's name, or ``SCL``.
    target : Grid
        ``granule.grid(...)`` or a part of it.
    method : str
        How a coarser band is brought to the grid; a finer one is averaged, unless ``nearest``.
    scratch : Path, optional
        A folder where what is decoded is kept, for reading in any order: see ``DecodedImage``.

    Yields
    ------
    BandReader

    Raises
    ------
    InputError
        If the band is missing, empty, no image, not uint16, or does not fit the others.
    """
    target_m = target.transform.a
    file = granule.image(band, round(target_m))
    grid = granule.grid_of(file)
    base = granule.base_grid
    native_m = grid.transform.a
    _check_fit(file.name, grid, base, target_m)
    row, col = (~base.transform @ (target.transform.c, target.transform.f))[::-1]
    scale = base.transform.a / target_m
    with open_image(file.location) as dataset:
        if dataset.count != 1 or dataset.dtypes[0] not in ("uint16", "uint8"):
            raise InputError(
                f"{file.name} has {dataset.count} channels of {dataset.dtypes[0]}, "
                "expected one of uint16"
            )
        offset = (round(row * scale), round(col * scale))
        decoded = None if scratch is None else DecodedImage(dataset, scratch)
        yield BandReader(
            band, native_m, dataset, file.name, granule.radiometry, target_m, offset, method,
            decoded,
        )  # fmt: skip


def _check_fit(name: str, grid: Grid, base: Grid, target_m: float) -> None:
    if grid.crs != base.crs:
        raise InputError(f"{name} is in {grid.crs}, the other bands in {base.crs}")
    ratio = max(grid.transform.a, target_m) / min(grid.transform.a, target_m)
    if abs(ratio - round(ratio)) > 1e-6:
        raise InputError(
            f"{name} has pixels of {grid.transform.a:g} m; they do not fit {target_m:g} m"
        )
    outer = zip(grid.bounds, base.bounds, strict=True)
    if any(abs(own - common) > base.transform.a / 100 for own, common in outer):
        raise InputError(
            f"{name} covers {tuple(grid.bounds)}, the other bands {tuple(base.bounds)}"
        )
