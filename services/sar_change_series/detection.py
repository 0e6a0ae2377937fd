"""Detection of change on one date of a radar series: windowed log ratios to what was expected.

The unit of a deviation is that of the natural logarithm of power: 0.69 is 3 dB.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CELL = 8  # pixels; the level of a neighbourhood is a median of cells
SPREAD_CELL = 16  # pixels; the same of its spread, of which fewer windows are independent
SMALLEST = 3  # pixels; side of the windows whose spread is known
WINDOWS = (SMALLEST, 5, 9)  # pixels; sides of the squares that are tested
OPPOSITE = 0.1  # weight of a change whose two polarisations go opposite ways
PEAK = 0.6  # share of the score of the best window around that a window needs
AVERAGING = 0.8  # exponent of the spread in the side of a window; 1 if pixels were independent
LARGEST_DB = 12.0  # deviations beyond say nothing more about a neighbourhood
HALO = 144  # pixels beyond a block that its results depend on: a multiple of SPREAD_CELL
MEAN_ABSOLUTE = 0.797885  # of a standard normal variable
_ANGLES = 24  # nodes of the quadrature, which converges exponentially
_ROOTS, _LARGEST_ROOT = 1024, 60  # of a table of tails: values in a unit of T^(1/2), and its end
LEAST_DB = -30.0
LEAST_RATIO = 1e-3
_LEAST_SPREAD = 0.02


class Deviation(NamedTuple):
    """How one date departs from the expected one.

    Attributes
    ----------
    score : ndarray, shape (rows, cols), float32
        -ln of the share of unchanged pixels that reach this score: 6.9 for 1 in 1000. 0 without
        data.
    direction : ndarray, shape (rows, cols), int8
        1 brighter, -1 darker, 0 without data: of the 3 x 3 window around the pixel.
    support : ndarray, shape (rows, cols), float32
        Standardised sum of both polarisations in that window, signed.
    deviation : ndarray, shape (bands, rows, cols), float32
        Deviation of that window, natural logarithm of power, usual shifts removed.
    scatter : ndarray, shape (bands, rows, cols), float32
        The same, but all of the neighbourhood's shift removed.
    shift : ndarray, shape (bands, rows, cols), float32
        Shift of the neighbourhood before it was limited, dB.
    """

    score: Floats
    direction: NDArray[np.int8]
    support: Floats
    deviation: Floats
    scatter: Floats
    shift: Floats

    def cut(self, rows: slice, cols: slice) -> "Deviation":
        """Return a part of it."""
        return Deviation(
            self.score[rows, cols],
            self.direction[rows, cols],
            self.support[rows, cols],
            self.deviation[:, rows, cols],
            self.scatter[:, rows, cols],
            self.shift[:, rows, cols],
        )


@dataclass(frozen=True)
class Expectation:
    """What is expected of a date.

    Attributes
    ----------
    level : ndarray, shape (bands, rows, cols), float32
        Mean backscatter, dB.
    spread : ndarray, shape (bands, rows, cols), float32
        Standard deviation of the deviation of a 3 x 3 window, natural logarithm of power, with
        the error of the mean.
    shift_spread : ndarray, shape (bands, rows, cols), float32
        Standard deviation of the neighbourhood's shift over the dates, dB.
    freedom : float
        Degrees of freedom of ``spread``.
    error : ndarray, shape (rows, cols), float32
        Variance of ``level`` in those of a date.
    """

    level: Floats
    spread: Floats
    shift_spread: Floats
    freedom: float
    error: Floats

    def cut(self, rows: slice, cols: slice) -> "Expectation":
        """Return a part of it."""
        return Expectation(
            self.level[:, rows, cols],
            self.spread[:, rows, cols],
            self.shift_spread[:, rows, cols],
            self.freedom,
            self.error[rows, cols],
        )


def deviate(decibels: Floats, valid: Mask, expected: Expectation) -> Deviation:
    """Compare a date with what was expected of it.

    Parameters
    ----------
    decibels : ndarray, shape (bands, rows, cols), float32
        Backscatter of one or two polarisations, dB, finite where ``valid``.
    valid : ndarray, shape (rows, cols), bool
        Where there is data, and an expectation.
    expected : Expectation

    Returns
    -------
    Deviation

    Notes
    -----
    1. Rain, frost, wind over water and the calendar shift whole neighbourhoods. The shift B is
       the median of the means of 5 x 5 cells, smoothed.
    2. In windows of 3, 5 and 9 pixels a side the mean ratio r of power to expected power is
       taken, B removed, and its cube root, u = 3 (r^(1/3) - 1), which makes a gamma variable
       nearly normal [1]_ and has the unit of the natural logarithm. The neighbourhood's median
       of u, the bias of logarithms, is removed.
    3. B counts as usual up to 2 standard deviations of earlier shifts, and not at all from 4 on;
       what is unusual of it, B', is change and comes back: 1 + u / 3 is multiplied by
       10^(B' / 30).
    4. z = u / (s f), with the spread s over earlier dates, and f the ratio of today's spread to
       it: the neighbourhood's median of abs(u) / s in that of a normal variable. Where B is
       unusual the neighbourhood itself has changed, and f is (3 / k)^0.8 for windows of k pixels.
    5. With z+ and z- the standardised sum and difference of two polarisations, the statistic is
       T = z+^2 + z-^2 / 10: most changes have one sign in both. With t-distributed z of v degrees
       of freedom its tail is, exactly,

           P(T > x) = mean over angles a of (1 + x / (v (cos^2 a + sin^2 a / 10)))^(-v / 2).

    6. Each window gives its score to all of its pixels, less ln k^2 for its k^2 pixels, unless a
       window that overlaps has a score more than 1 / 0.6 times as large: that one fits better.

    References
    ----------
    .. [1] Wilson, E. B., Hilferty, M. M. (1931). The distribution of chi-square. PNAS 17(12),
       684-688. https://doi.org/10.1073/pnas.17.12.684
    """
    excess = np.where(valid, decibels - expected.level, np.float32(0))
    shift = neighbourhood(np.clip(excess, -LARGEST_DB, LARGEST_DB), valid)
    usual = _usual(shift, expected.shift_spread)
    unusual = np.cbrt(power_ratio(shift * (1 - usual)))
    ratio = power_ratio(excess - shift) * valid
    share = valid.astype(np.float32)
    scores: dict[int, Floats] = {}
    for side in WINDOWS:
        scatter = _window(ratio, share, side)
        scatter -= neighbourhood(scatter, valid)
        spread = _todays_spread(scatter, expected.spread, valid, usual, side)
        deviation = np.asarray(3 * (unusual * (1 + scatter / 3) - 1), np.float32)
        standard = np.asarray(deviation / spread, np.float32)
        if side == SMALLEST:
            small, own, support = deviation, scatter, _sum(standard)
        else:  # at borders a window has fewer pixels; the spread of the smallest has that in it
            coverage = _coverage(share, side) / _coverage(share, SMALLEST)
            standard *= np.sqrt(np.minimum(coverage, 1))
        scores[side] = tail(_statistic(standard), expected.freedom, len(decibels))
        scores[side] -= np.float32(np.log(side * side))
        scores[side][~valid] = 0
    direction = np.sign(support).astype(np.int8) * valid
    return Deviation(peaks(scores) * valid, direction, support, small, own, shift)


def power_ratio(decibels: Floats) -> Floats:
    """Return the ratio of powers of a difference in dB, -30 to 40 dB."""
    limited = np.clip(decibels, LEAST_DB, 40)
    return np.asarray(np.exp(np.float32(np.log(10) / 10) * limited), np.float32)


def neighbourhood(values: Floats, valid: Mask, cell: int = CELL) -> Floats:
    """Return the level of each pixel's neighbourhood: the median of 5 x 5 cells, smoothed.

    Parameters
    ----------
    values : ndarray, shape (bands, rows, cols), float32
        Finite.
    valid : ndarray, shape (rows, cols), bool

    Returns
    -------
    ndarray, shape (bands, rows, cols), float32
        Depends on pixels up to 4 cells away. Cells without data have the mean of those around.
    """
    rows, cols = valid.shape
    bottom, right = -rows % cell, -cols % cell
    weight = _cells(np.pad(valid, ((0, bottom), (0, right))).astype(np.float32), cell)
    levels = np.empty_like(values)
    for band, level in zip(values, levels, strict=True):
        total = _cells(np.pad(band * valid, ((0, bottom), (0, right))), cell)
        smooth = cv2.blur(total, (5, 5)) / np.maximum(cv2.blur(weight, (5, 5)), np.float32(1e-6))
        means = np.where(weight > 0, total / np.maximum(weight, np.float32(1e-6)), smooth)
        median = cv2.medianBlur(means.astype(np.float32), 5)
        fine = cv2.resize(
            cv2.GaussianBlur(median, (3, 3), 0.8),
            (cols + right, rows + bottom),
            interpolation=cv2.INTER_LINEAR,
        )
        level[:] = fine[:rows, :cols]
    return levels


def tail(statistic: Floats, freedom: float, bands: int) -> Floats:
    """Return -ln of the probability of a statistic at least as large, without change.

    Parameters
    ----------
    statistic : ndarray, float32
        T of ``deviate``; of one band z^2.
    freedom : float
        Degrees of freedom of z; infinite for normal z.
    bands : int
        1 or 2.
    """
    # the table is fine enough to look up without interpolation, which would take half of all time
    table = _tails(freedom, bands)
    places = np.minimum(np.sqrt(statistic) * np.float32(_ROOTS), np.float32(len(table) - 1))
    return table.take((places + np.float32(0.5)).astype(np.int32))


@lru_cache(maxsize=8)
def _tails(freedom: float, bands: int) -> Floats:
    """Return -ln of the tail of T by T^(1/2), in steps of 1 / _ROOTS."""
    roots = np.arange(_LARGEST_ROOT * _ROOTS + 1) / _ROOTS
    angle = (np.arange(_ANGLES) + 0.5) / _ANGLES * np.pi / 2
    weight = np.cos(angle) ** 2 + (OPPOSITE if bands == 2 else 0.0) * np.sin(angle) ** 2
    part = roots[:, None] ** 2 / weight
    log_shares = -part / 2 if np.isinf(freedom) else -freedom / 2 * np.log1p(part / freedom)
    top = log_shares.max(axis=1)
    log_tail = top + np.log(np.exp(log_shares - top[:, None]).mean(axis=1))
    return np.asarray(-log_tail, np.float32)


def peaks(scores: dict[int, Floats]) -> Floats:
    """Return each pixel's best score of the windows that contain it and are best around.

    Parameters
    ----------
    scores : dict
        By side of the window: its score at its central pixel.
    """
    best = np.max([_dilate(score, side) for side, score in scores.items()], axis=0)
    kept = [
        _dilate(np.where(score >= PEAK * _dilate(best, side), score, np.float32(0)), side)
        for side, score in scores.items()
    ]
    return np.asarray(np.maximum(np.max(kept, axis=0), 0), np.float32)


def _dilate(image: Floats, side: int) -> Floats:
    return np.asarray(cv2.dilate(image, np.ones((side, side), np.uint8)), np.float32)


def _cells(image: Floats, cell: int) -> Floats:
    """Return means of cells; both sides are multiples of a cell."""
    rows, cols = image.shape
    shape = (cols // cell, rows // cell)
    return np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA), np.float32)


def _coverage(share: Floats, side: int) -> Floats:
    """Return the share of a window's pixels that have data, above 0."""
    blurred = cv2.blur(share, (side, side), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(np.maximum(blurred, np.float32(1e-6)), np.float32)


def _window(ratio: Floats, share: Floats, side: int) -> Floats:
    """Return the cube root of the mean ratio of a window in units of the natural logarithm."""
    size, border = (side, side), cv2.BORDER_CONSTANT
    weight = np.maximum(cv2.blur(share, size, borderType=border), np.float32(1e-6))
    means = np.stack([cv2.blur(band, size, borderType=border) / weight for band in ratio])
    means = np.maximum(means, np.float32(LEAST_RATIO))
    return np.asarray(3 * (np.exp(np.log(means) / np.float32(3)) - 1), np.float32)  # cbrt is slower


def _usual(shift: Floats, shift_spread: Floats) -> Floats:
    """Return how usual the shift of a neighbourhood is: 1 up to 2 standard deviations, 0 from 4."""
    units = np.abs(shift) / shift_spread
    return np.asarray(np.clip(2 - units.max(axis=0) / 2, 0, 1), np.float32)


def _todays_spread(
    scatter: Floats, spread: Floats, valid: Mask, usual: Floats, side: int
) -> Floats:
    """Return the spread of a window: over dates, times the ratio of today's to it around."""
    relative = np.minimum(np.abs(scatter / spread), np.float32(4))
    ratio = neighbourhood(relative, valid, SPREAD_CELL) / np.float32(MEAN_ABSOLUTE)
    typical = np.float32((SMALLEST / side) ** AVERAGING)
    ratio = typical + usual * (np.maximum(ratio, np.float32(_LEAST_SPREAD)) - typical)
    return np.asarray(spread * ratio, np.float32)


def _sum(standard: Floats) -> Floats:
    return np.asarray(standard.sum(axis=0) / np.sqrt(len(standard)), np.float32)


def _statistic(standard: Floats) -> Floats:
    same = _sum(standard) ** 2
    if len(standard) == 1:
        return same
    return np.asarray(same + OPPOSITE / 2 * (standard[0] - standard[1]) ** 2, np.float32)
