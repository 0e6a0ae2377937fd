"""Survey: standardisation, shift and change detector of a pair, from a sample of its windows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.progress import Progress
from candela.eo.raster.grid import Shape
from candela.eo.raster.registration import NO_SHIFT, Shift, estimate_shift
from candela.eo.s2.pair import Pair, Reflectance
from candela.eo.threads import one_thread_each, thread_count
from candela.errors import InputError
from candela.models.encoder import VISIBLE, Encoder
from candela.models.standardisation import Standardisation

from .catalogue import MODELS, ChangeModel
from .detector import (
    REACH,
    Comparison,
    Detector,
    Evidence,
    Image,
    Mask,
    register_and_encode,
    valid_pixels,
)
from .distance import CodeDistance, CodeScale
from .kind import Radiometry
from .prediction import CrossPrediction, Samples
from .views import Part, Views

WHOLE_PIXELS = 1024 * 1024  # an image up to this size is surveyed whole
WINDOW = 512  # pixels; the files' own blocks
WINDOWS = 24
SCALE_WINDOWS = 8  # of them for the scale: a median needs fewer samples than a regression
STATISTICS_PIXELS = 1_000_000  # about, for median and quartiles
SAMPLES = 40_000  # pixels of the regression, over all windows
WHOLE_SAMPLES = 100_000  # likewise, of an image surveyed whole: its fit is not refined
FEWEST_PIXELS = 1024  # valid in both images; fewer do not determine the regression
LARGEST_SHIFT = 3.0  # pixels; a larger one is a wrong peak of the correlation, or a wrong grid
GAIN_QUANTILE = 0.98  # of the gain of vegetation: the limit of its loss
LEAST_LIMIT = 0.3  # log magnitude; where nothing grows, as between identical images
SEED = 20200705


class SurveyedWindow(NamedTuple):
    """A surveyed window.

    Attributes
    ----------
    before, after : ndarray, shape (bands, rows, cols), uint16
        Reflectance times 10 000, nodata 0.
    valid : ndarray, shape (rows, cols), bool
        Where all bands of both dates have data.
    sampled : ndarray, shape (rows, cols), bool
        Valid pixels whose receptive field lies within the window.
    """

    before: Reflectance
    after: Reflectance
    valid: Mask
    sampled: Mask

    @property
    def whole(self) -> Part:
        """The whole window, as a part."""
        rows, cols = self.valid.shape
        return slice(0, rows), slice(0, cols)


class Survey(NamedTuple):
    """Statistics of a pair, estimated on a sample of windows.

    Attributes
    ----------
    before, after : Standardisation
        Of both images.
    bands : tuple of str
    windows : list of SurveyedWindow
    shift : Shift
        Estimate; registers the later image to the earlier one.
    applied : Shift
        The same, or no shift where the estimate is not credible.
    local : bool
        Whether the regression is refined for each window, as it is in large images.
    """

    before: Standardisation
    after: Standardisation
    bands: tuple[str, ...]
    windows: list[SurveyedWindow]
    shift: Shift
    applied: Shift
    local: bool


def is_large(shape: Shape) -> bool:
    """Tell whether an image is too large to be surveyed whole and for a single global fit."""
    return shape.rows * shape.cols > WHOLE_PIXELS


def survey_windows(shape: Shape) -> list[Window]:
    """Return the candidate windows of the survey in random order, all of one size."""
    if not is_large(shape):
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
    """Estimate the standardisation of both images and the shift between them.

    Raises
    ------
    InputError
        If fewer than 1024 pixels of the sample are valid in both images.
    """
    read = _read_windows(pair)
    valid = [valid_pixels(before, after) for before, after in read]
    total = sum(int(mask.sum()) for mask in valid)
    if total < FEWEST_PIXELS:
        raise InputError(
            f"{total} pixels have data in both images; at least {FEWEST_PIXELS} are needed",
            "after",
        )
    step = max(1, total // STATISTICS_PIXELS)
    first, second = (
        Standardisation.of(
            np.concatenate(
                [
                    image.reshape(len(image), -1)[:, np.flatnonzero(mask)[::step]]
                    for image, mask in zip(images, valid, strict=True)
                ],
                axis=1,
            )
        )
        for images in zip(*read, strict=True)
    )
    inside = _inside(pair.grid.shape, valid[0].shape)
    windows = [
        SurveyedWindow(before, after, mask, mask & inside)
        for (before, after), mask in zip(read, valid, strict=True)
    ]
    shift = estimate_shift(
        (
            first.apply(window.before, window.valid)[VISIBLE].mean(axis=0),
            second.apply(window.after, window.valid)[VISIBLE].mean(axis=0),
        )
        for window in windows
    )
    credible = shift.largest <= LARGEST_SHIFT
    applied = shift if credible else NO_SHIFT
    local = is_large(pair.grid.shape)
    return Survey(first, second, pair.bands, windows, shift, applied, local)


def fit(surveyed: Survey, encode: Encoder, model: str, progress: Progress) -> Detector:
    """Fit a change model to a surveyed pair, and measure its scale, the median log magnitude.

    Parameters
    ----------
    surveyed : Survey
    encode : Encoder
    model : str
        One of the names in process.yaml.
    progress : Progress
    """
    progress(0, "fitting the change model to samples of both images")
    chosen = MODELS[model]
    compare = (
        _fit_prediction(surveyed, encode, chosen)
        if chosen.emphasis
        else _fit_distance(surveyed, encode)
    )
    detector = Detector(
        encode,
        surveyed.before,
        surveyed.after,
        surveyed.applied,
        compare,
        surveyed.local,
        chosen.curve,
    )
    progress(60, "measuring the scale of the pair")

    def measure(window: SurveyedWindow) -> Evidence:
        return detector.evidence(window.before, window.after, window.whole, gain=True)

    windows = surveyed.windows[:SCALE_WINDOWS]
    with one_thread_each(), ThreadPoolExecutor(thread_count()) as pool:
        found = list(pool.map(measure, windows))
    magnitudes, gains = (
        _sampled(images, windows)
        for images in ([each.magnitude for each in found], [each.gain for each in found])
    )
    return replace(
        detector,
        scale=float(np.median(magnitudes)),
        loss_limit=max(float(np.quantile(gains, GAIN_QUANTILE)), LEAST_LIMIT)
        if gains.size
        else 0.0,
        whole=None if surveyed.local else found[0],
    )


def _sampled(images: Sequence[Image | None], windows: Sequence[SurveyedWindow]) -> Image:
    """Return the sampled pixels of the images there are."""
    pixels = [
        image[window.sampled]
        for image, window in zip(images, windows, strict=True)
        if image is not None
    ]
    return np.concatenate(pixels) if pixels else np.empty(0, np.float32)


def _read_windows(pair: Pair) -> list[tuple[Reflectance, Reflectance]]:
    """Read windows of which at least half is valid, or else those with any valid pixel."""
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


def _inside(shape: Shape, window: tuple[int, ...]) -> Mask:
    """Return the pixels whose receptive field lies in the window; all, if it is the whole image."""
    inside = np.ones(window, np.bool_)
    for axis, (side, whole) in enumerate(zip(window, shape, strict=True)):
        margin = REACH if side < whole and side > 3 * REACH else 0
        position = np.arange(side)
        near = (position < margin) | (position >= side - margin)
        inside &= ~near[:, None] if axis == 0 else ~near
    return inside


def _fit_prediction(surveyed: Survey, encode: Encoder, model: ChangeModel) -> Comparison:
    parts = _sample(surveyed, encode)
    before = Samples.joined([first for first, _ in parts])
    after = Samples.joined([second for _, second in parts])
    return CrossPrediction.fit_pair(
        before,
        after,
        model.emphasis,
        surveyed.bands,
        extensive=model.extensive,
        losses=model.losses,
        scales=Radiometry(surveyed.before, surveyed.after),
    )


def _fit_distance(surveyed: Survey, encode: Encoder) -> Comparison:
    parts = _sample(surveyed, encode)
    return CodeDistance(
        CodeScale.of([first.code for first, _ in parts]),
        CodeScale.of([second.code for _, second in parts]),
    )


def _sample(surveyed: Survey, encode: Encoder) -> list[tuple[Samples, Samples]]:
    """Sample the features of both dates at the same random pixels, window by window."""

    def take(window: SurveyedWindow, pixels: NDArray[np.intp]) -> tuple[Samples, Samples]:
        rows, cols = np.unravel_index(pixels, window.sampled.shape)
        views = _views(window, surveyed, encode)
        return Samples.of(views.before, rows, cols), Samples.of(views.after, rows, cols)

    count = SAMPLES if surveyed.local else WHOLE_SAMPLES
    chosen = _choose_pixels([window.sampled for window in surveyed.windows], count)
    with one_thread_each(), ThreadPoolExecutor(thread_count()) as pool:
        return list(pool.map(take, surveyed.windows, chosen))


def _views(window: SurveyedWindow, surveyed: Survey, encode: Encoder) -> Views:
    images, scales = (window.before, window.after), (surveyed.before, surveyed.after)
    return register_and_encode(images, window.valid, scales, surveyed.applied, encode, window.whole)


def _choose_pixels(masks: list[Mask], count: int) -> list[NDArray[np.intp]]:
    """Draw pixels of all masks with equal probability: flat indexes into each window."""
    candidates = [np.flatnonzero(mask) for mask in masks]
    order = np.random.default_rng(SEED).permutation(sum(len(part) for part in candidates))
    drawn = np.zeros(len(order), np.bool_)
    drawn[order[:count]] = True
    edges = np.cumsum([len(part) for part in candidates])[:-1]
    return [part[taken] for part, taken in zip(candidates, np.split(drawn, edges), strict=True)]
