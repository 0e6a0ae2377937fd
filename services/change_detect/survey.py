"""Learn what is typical of a pair from a sample of its windows."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.grid import Shape
from candela.eo.progress import Progress
from candela.eo.registration import Shift, estimate_shift
from candela.errors import InputError

from .algorithm import (
    Comparison,
    Detector,
    Image,
    Mask,
    Rule,
    log_magnitude,
    look,
    valid_pixels,
)
from .distance import CodeDistance, CodeScale
from .encoder import Encoder
from .pair import Pair, Reflectance
from .prediction import EMPHASES, CrossPrediction, Samples
from .views import VISIBLE, Standardisation, View

WHOLE_PIXELS = 1024 * 1024  # an image up to this size is surveyed whole
WINDOW = 512  # pixels; the files' own blocks
WINDOWS = 24
SAMPLES = 40_000  # pixels for the regression, of all windows together
FEWEST_PIXELS = 1024  # with data in both images: fewer cannot teach the regression
LARGEST_SHIFT = 3.0  # pixels; more is no misregistration but a mistake, or a wrong peak
SEED = 20200705

# Found on ten labelled pairs of cities: see docs/change-detection.md.
PREDICTION_RULE = Rule(share=0.5, centre=1.0, width=0.2)
DISTANCE_RULE = Rule(share=1.0, centre=1.0, width=0.2)


class Looked(NamedTuple):
    """A surveyed window, standardised."""

    before: Image
    after: Image
    valid: Mask


class Survey(NamedTuple):
    """What a sample of windows tells about a pair."""

    before: Standardisation
    after: Standardisation
    windows: list[Looked]
    shift: Shift  # as found
    applied: Shift  # none where what was found is not credible


def survey_windows(shape: Shape) -> list[Window]:
    """List the windows of an image that may be surveyed, in random order, all of one size."""
    if shape.rows * shape.cols <= WHOLE_PIXELS:
        return [Window(0, 0, shape.cols, shape.rows)]
    rows, cols = min(WINDOW, shape.rows), min(WINDOW, shape.cols)
    windows = [
        Window(min(col, shape.cols - cols), min(row, shape.rows - rows), cols, rows)
        for row in range(0, shape.rows, WINDOW)
        for col in range(0, shape.cols, WINDOW)
    ]
    order = np.random.default_rng(SEED).permutation(len(windows))
    return [windows[index] for index in order]


def survey_pair(pair: Pair) -> Survey:
    """Measure the bands of both images and the shift between them.

    Raises
    ------
    InputError
        If hardly a pixel has data in both images.
    """
    read = _read_windows(pair)
    valid = [valid_pixels(before, after) for before, after in read]
    total = sum(int(mask.sum()) for mask in valid)
    if total < FEWEST_PIXELS:
        raise InputError(
            f"{total} pixels have data in both images; at least {FEWEST_PIXELS} are needed",
            "after",
        )
    first, second = (
        Standardisation.of(
            np.concatenate([image[:, mask] for image, mask in zip(images, valid, strict=True)], 1)
        )
        for images in zip(*read, strict=True)
    )
    windows = [
        Looked(first.apply(before, mask), second.apply(after, mask), mask)
        for (before, after), mask in zip(read, valid, strict=True)
    ]
    shift = estimate_shift(
        (window.before[VISIBLE].mean(axis=0), window.after[VISIBLE].mean(axis=0))
        for window in windows
    )
    credible = shift.largest <= LARGEST_SHIFT
    return Survey(first, second, windows, shift, shift if credible else Shift(0.0, 0.0))


def fit(surveyed: Survey, encode: Encoder, model: str, progress: Progress) -> Detector:
    """Fit a model to a surveyed pair.

    Parameters
    ----------
    surveyed : Survey
    encode : Encoder
    model : str
        One of the names in process.yaml.
    progress : Progress
    """
    progress(0, "comparing samples of both images")
    if model == "distance":
        compare, rule = _fit_distance(surveyed, encode), DISTANCE_RULE
    else:
        compare = _fit_prediction(surveyed, encode, EMPHASES[model])
        rule = PREDICTION_RULE
    progress(50, "measuring what is typical of the pair")
    typical = np.concatenate(
        [
            log_magnitude(compare(*views), (views[0].guide, views[1].guide))[window.valid]
            for window, views in _views(surveyed, encode)
        ]
    )
    return Detector(
        encode,
        surveyed.before,
        surveyed.after,
        surveyed.applied,
        compare,
        rule,
        float(np.median(typical)),
    )


def _read_windows(pair: Pair) -> list[tuple[Reflectance, Reflectance]]:
    """Read windows that are half full or more; where there are none, those that have any data."""
    full: list[tuple[Reflectance, Reflectance]] = []
    sparse: list[tuple[Reflectance, Reflectance]] = []
    for window in survey_windows(pair.grid.shape):
        images = pair.read(window)
        share = valid_pixels(*images).mean()
        if share >= 0.5:
            full.append(images)
        elif share > 0 and len(sparse) < WINDOWS:
            sparse.append(images)
        if len(full) == WINDOWS:
            break
    return full or sparse


def _views(surveyed: Survey, encode: Encoder) -> Iterator[tuple[Looked, tuple[View, View]]]:
    for window in surveyed.windows:
        yield window, look(window.before, window.after, surveyed.applied, encode)


def _fit_prediction(
    surveyed: Survey, encode: Encoder, emphasis: tuple[str, ...]
) -> CrossPrediction:
    before, after = [], []
    chosen = _choose_pixels([window.valid for window in surveyed.windows])
    for (_, views), pixels in zip(_views(surveyed, encode), chosen, strict=True):
        before.append(Samples.of(views[0], pixels))
        after.append(Samples.of(views[1], pixels))
    return CrossPrediction.fit_pair(Samples.joined(before), Samples.joined(after), emphasis)


def _fit_distance(surveyed: Survey, encode: Encoder) -> Comparison:
    views = [views for _, views in _views(surveyed, encode)]
    return CodeDistance(
        CodeScale.of([before for before, _ in views]), CodeScale.of([after for _, after in views])
    )


def _choose_pixels(valid: list[Mask]) -> list[NDArray[np.int64]]:
    """Choose random valid pixels: flat indexes into each window."""
    candidates = [np.flatnonzero(mask) for mask in valid]
    edges = np.cumsum([0, *(len(part) for part in candidates)])
    total = int(edges[-1])
    drawn = np.random.default_rng(SEED).choice(total, min(SAMPLES, total), replace=False)
    drawn.sort()
    return [
        part[drawn[(drawn >= start) & (drawn < stop)] - start]
        for part, (start, stop) in zip(candidates, pairwise(edges), strict=True)
    ]
