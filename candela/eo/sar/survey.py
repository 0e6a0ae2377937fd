"""Windows of both dates, spread over the grid, that methods are fitted to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Shape
from candela.eo.sar.images import SarStack
from candela.eo.sar.looks import LAG, Speckle, estimate_speckle
from candela.errors import InputError

WINDOW = 320  # pixels
WINDOWS = 25
REDUCTION = 16  # of the copy that shows where data are
WHOLE = 1_000_000  # pixels up to which an image is surveyed whole
LEAST_PIXELS = 100  # valid on both dates

Intensity = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PairSurvey:
    """Samples of two dates.

    Attributes
    ----------
    samples : list of tuple of two ndarray, shape (polarisations, rows, cols), float32
        Intensity of both dates; nodata of either is NaN in both.
    speckle : tuple of two list of Speckle
        Of each date and polarisation.
    """

    samples: list[tuple[Intensity, Intensity]]
    speckle: tuple[list[Speckle], list[Speckle]]


def survey(stack: SarStack, *, lag: int = LAG) -> PairSurvey:
    """Read samples of the two dates of a stack, and estimate their speckle.

    Raises
    ------
    InputError
        If hardly a pixel has data on both dates.
    """
    samples = []
    for window in _windows(stack):
        before, after = stack.read(0, window), stack.read(1, window)
        missing = np.isnan(before[0]) | np.isnan(after[0])
        before[:, missing] = after[:, missing] = np.nan
        if not missing.all():
            samples.append((before, after))
    valid = sum(int(np.isfinite(before[0]).sum()) for before, _ in samples)
    if valid < LEAST_PIXELS:
        raise InputError(
            f"the images have {valid} pixels with data on both dates in the sample; expected at "
            f"least {LEAST_PIXELS}",
            "after",
        )
    bands = range(len(stack.polarisations))
    first, second = (
        [_speckle([pair[date][band] for pair in samples], lag) for band in bands] for date in (0, 1)
    )
    return PairSurvey(samples, (first, second))


def _windows(stack: SarStack) -> list[Window]:
    """Return windows with data on both dates, spread over the grid; all of a small grid is one.

    Where data are is looked up in a reduced copy.
    """
    rows, cols = stack.grid.shape
    whole = Window(0, 0, cols, rows)
    if rows * cols <= WHOLE:
        return [whole]
    reduced = Shape(*(-(-side // REDUCTION) for side in (rows, cols)))
    valid = np.isfinite(stack.read(0, whole, reduced) + stack.read(1, whole, reduced)).all(axis=0)
    cells = [
        (float(valid[_cell(row, side=rows), _cell(col, side=cols)].mean()), row, col)
        for row in range(0, rows, WINDOW)
        for col in range(0, cols, WINDOW)
    ]
    fullest = max(share for share, _, _ in cells)
    chosen = [(row, col) for share, row, col in cells if share > 0 and share >= fullest / 2]
    places = np.linspace(0, len(chosen) - 1, min(WINDOWS, len(chosen))).round().astype(int)
    return [
        Window(col, row, min(WINDOW, cols - col), min(WINDOW, rows - row))
        for row, col in (chosen[place] for place in places)
    ]


def _cell(start: int, *, side: int) -> slice:
    """Return the pixels of the reduced copy that a window has along a side."""
    return slice(start // REDUCTION, -(-min(start + WINDOW, side) // REDUCTION))


def _speckle(images: list[Intensity], lag: int) -> Speckle:
    """Estimate speckle; where no window is free of nodata, that of all pixels together."""
    try:
        return estimate_speckle(images, lag=lag)
    except ValueError:
        values = np.concatenate([image[np.isfinite(image)] for image in images]).astype(np.float64)
        variance = float(values.var())
        looks = float(values.mean()) ** 2 / variance if variance > 0 else 1.0
        return Speckle(min(max(looks, 0.5), 100.0), 0.0)
