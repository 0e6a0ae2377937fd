"""From digital numbers of Sentinel-1 to backscatter: calibration and thermal noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from candela.eo.document import Limits, Section
from candela.eo.s1.annotation import MAX_SIDE
from candela.errors import InputError

Floats = NDArray[np.float64]
Quantity = Literal["sigma0", "beta0", "gamma0"]

TABLES: dict[Quantity, str] = {"sigma0": "sigmaNought", "beta0": "betaNought", "gamma0": "gamma"}
LEAST_VALUE = np.float32(1e-7)  # what is left where noise is above the signal; 0 is nodata
MAX_VECTORS = 2000  # of a table or of blocks; real products have some 30
MAX_TABLE_VALUES = 2**23  # vectors times samples, 64 MiB; real tables have some 30 x 26 000
# What numbers can be, with room: messages tell of damage, not of unusual products.
GAIN = Limits(1e-3, 1e6)  # some 250 to 700
NOISE = Limits(0, 65535**2)  # of squared digital numbers; 0 at sides without data
FACTOR = Limits(0, 1000)  # some 0.9 to 2
LINE = Limits(-1_000_000, 1_000_000)  # tables reach beyond the image
PIXEL = Limits(0, 1_000_000)
_ROWS = 16  # of an image at once: what fits into a core's cache


@dataclass(frozen=True, eq=False)
class Table:
    """A look-up table, linear between its lines and between its pixels.

    Attributes
    ----------
    lines : ndarray, shape (n,), float64
        In rising order; beyond the first and the last their values hold.
    values : ndarray, shape (n, samples), float64
        For every pixel of these lines.
    """

    lines: Floats
    values: Floats

    def rows(self, first: int, stop: int, columns: slice) -> Floats:
        """Return the values of some lines of the image, shape (stop - first, columns)."""
        wanted = np.clip(np.arange(first, stop, dtype=float), self.lines[0], self.lines[-1])
        upper = np.clip(np.searchsorted(self.lines, wanted), 1, max(1, len(self.lines) - 1))
        if len(self.lines) == 1:
            return np.repeat(self.values[:, columns], stop - first, axis=0)
        lower = upper - 1
        weight = (wanted - self.lines[lower]) / (self.lines[upper] - self.lines[lower])
        below, above = self.values[lower, columns], self.values[upper, columns]
        above -= below
        above *= weight[:, None]
        above += below
        return above


@dataclass(frozen=True, eq=False)
class AzimuthBlock:
    """A part of the image over which noise varies with the line as ``factors`` say.

    Attributes
    ----------
    first_line, last_line, first_sample, last_sample : int
        Both ends belong to the block.
    lines, factors : ndarray of float64
        Linear between.
    """

    first_line: int
    last_line: int
    first_sample: int
    last_sample: int
    lines: Floats
    factors: Floats


@dataclass(frozen=True, eq=False)
class Noise:
    """Power of the thermal noise in squared digital numbers: range times azimuth.

    Attributes
    ----------
    ranges : Table
    azimuths : tuple of AzimuthBlock
        Empty before IPF 2.90; outside of all blocks the factor is 1.
    """

    ranges: Table
    azimuths: tuple[AzimuthBlock, ...]

    def rows(self, first: int, stop: int, columns: slice) -> Floats:
        """Return the noise of some lines of the image, shape (stop - first, columns)."""
        power = self.ranges.rows(first, stop, columns)
        for block in self.azimuths:
            top, bottom = max(first, block.first_line), min(stop, block.last_line + 1)
            left = max(columns.start, block.first_sample)
            right = min(columns.stop, block.last_sample + 1)
            if top < bottom and left < right:
                factor = np.interp(np.arange(top, bottom), block.lines, block.factors)
                part = power[
                    top - first : bottom - first, left - columns.start : right - columns.start
                ]
                part *= factor[:, None]
        return power


def read_calibration(root: Element, quantity: Quantity, samples: int, *, name: str) -> Table:
    """Read the table that turns amplitudes into a quantity.

    Parameters
    ----------
    root : Element
        Of a calibration file.
    quantity : str
        ``sigma0``, ``beta0`` or ``gamma0``.
    samples : int
        Width of the image.
    name : str
        What messages call the file.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If the file is not as it should be, or its table would exceed ``MAX_TABLE_VALUES``.
    """
    vectors = Section(root, name).all("calibrationVectorList/calibrationVector", MAX_VECTORS)
    return _read_table(vectors, TABLES[quantity], GAIN, samples)


def read_noise(root: Element, samples: int, *, name: str) -> Noise:
    """Read the noise tables of a product of any processor version; see ``read_calibration``."""
    document = Section(root, name)
    old = document.all("noiseVectorList/noiseVector", MAX_VECTORS, least=0)
    if old:
        return Noise(_read_table(old, "noiseLut", NOISE, samples), ())
    vectors = document.all("noiseRangeVectorList/noiseRangeVector", MAX_VECTORS)
    blocks = document.all("noiseAzimuthVectorList/noiseAzimuthVector", MAX_VECTORS, least=0)
    return Noise(
        _read_table(vectors, "noiseRangeLut", NOISE, samples),
        tuple(_read_azimuth_block(block) for block in blocks),
    )


def calibrate(
    numbers: NDArray[np.uint16],
    table: Table,
    noise: Noise | None,
    *,
    first_line: int = 0,
    first_pixel: int = 0,
) -> NDArray[np.float32]:
    """Turn digital numbers into backscatter.

    Parameters
    ----------
    numbers : ndarray, shape (lines, pixels), uint16
        Amplitudes as they are in the product; 0 is nodata.
    table : Table
        Of the quantity that is wanted.
    noise : Noise, optional
        What to subtract.
    first_line, first_pixel : int
        Where in the image ``numbers`` lies.

    Returns
    -------
    ndarray, shape (lines, pixels), float32
        Linear power, unitless, at least 1e-7; nodata is 0.

    Notes
    -----
    (DN^2 - noise) / A^2, with A interpolated linearly, not 1 / A^2: so does Orfeo ToolBox, with
    which this agrees to 1e-6. What has no more power than the noise gets 1e-7 and stays data, as
    in S1Tiling.

    References
    ----------
    .. [1] ESA, Sentinel-1 Radiometric Calibration of Products, ESA-EOPG-CSCOP-TN-0002 (2015).
    .. [2] ESA, Thermal Denoising of Products Generated by the S-1 IPF, MPC-0392 (2017).
    """
    power = np.empty(numbers.shape, dtype=np.float32)
    columns = slice(first_pixel, first_pixel + numbers.shape[1])
    for row in range(0, len(numbers), _ROWS):
        part = numbers[row : row + _ROWS]
        first = first_line + row
        squared = part.astype(np.float64)
        np.square(squared, out=squared)
        if noise is not None:
            squared -= noise.rows(first, first + len(part), columns)
        gain = table.rows(first, first + len(part), columns)
        np.square(gain, out=gain)
        squared /= gain
        result = power[row : row + _ROWS]
        np.maximum(squared, LEAST_VALUE, out=result, casting="same_kind")
        result *= part != 0
    return power


def _read_table(vectors: Sequence[Section], tag: str, limits: Limits, samples: int) -> Table:
    most = MAX_TABLE_VALUES // samples
    if len(vectors) > most:
        raise InputError(
            f"{vectors[0].document} has {len(vectors)} vectors of {tag}, expected at most {most} "
            f"for an image of {samples} samples"
        )
    lines = np.array([vector.number("line", LINE) for vector in vectors])
    order = np.argsort(lines, kind="stable")
    if (np.diff(lines[order]) <= 0).any():
        raise InputError(f"{vectors[0].document} has two vectors of one line")
    columns = np.arange(samples, dtype=float)
    values = np.empty((len(vectors), samples))
    for row, place in enumerate(order):
        values[row] = _spread(vectors[place], tag, limits, columns)
    return Table(lines[order], values)


def _spread(vector: Section, tag: str, limits: Limits, columns: Floats) -> Floats:
    """Interpolate one vector to every pixel."""
    pixels, values = _read_pairs(vector, "pixel", PIXEL, tag, limits, most=len(columns))
    spread: Floats = np.interp(columns, pixels, values)
    return spread


def _read_azimuth_block(block: Section) -> AzimuthBlock:
    lines, factors = _read_pairs(block, "line", LINE, "noiseAzimuthLut", FACTOR, most=MAX_SIDE)
    first_line = block.whole("firstAzimuthLine", LINE)
    first_sample = block.whole("firstRangeSample", PIXEL)
    return AzimuthBlock(
        first_line,
        block.whole("lastAzimuthLine", Limits(first_line, LINE.most)),
        first_sample,
        block.whole("lastRangeSample", Limits(first_sample, PIXEL.most)),
        lines,
        factors,
    )


def _read_pairs(
    section: Section, where: str, places: Limits, tag: str, limits: Limits, *, most: int
) -> tuple[Floats, Floats]:
    """Read rising positions, ``most`` of them at most, and the value at each."""
    positions = section.numbers(where, places, most=most)
    values = section.numbers(tag, limits, most=most)
    if len(positions) != len(values):
        raise InputError(
            f"{section.called(tag)} has {len(values)} numbers, expected {len(positions)}: one for "
            f"each {where}"
        )
    falls = np.flatnonzero(np.diff(positions) <= 0)
    if falls.size:
        before, after = positions[falls[0] : falls[0] + 2]
        raise InputError(
            f"{section.called(where)} has {after:g} after {before:g}, expected rising numbers"
        )
    return positions, values
