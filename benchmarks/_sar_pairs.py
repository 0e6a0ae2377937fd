"""Simulated pairs of SAR images with known change, and classical methods to compare with."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 256
WATER_DB = -19.0
VISIBLE_DB = 2.0  # smaller differences do not count as change
CHANGES = (
    (0.005, 3, 5.0),
    (0.02, 5, -6.0),
    (0.06, 6, "both"),
    (0.15, 12, "water"),
    (0.25, 15, 4.0),
    (0.04, 2.5, "water"),
    (0.0, 1, 0.0),
)  # fmt: skip - share of the image, size of areas in pixels, change in dB
LOOKS = ((4, 4), (1, 4), (3, 3), (6, 6), (1.5, 1.5), (5, 2))
LANDS = ("fields", "forest", "coast", "town", "hills")


class LabelledPair(NamedTuple):
    """Intensity of both dates, (1, rows, cols), and where it changed."""

    name: str
    before: np.ndarray
    after: np.ndarray
    changed: np.ndarray


def simulated_pairs(seed: int) -> Iterator[LabelledPair]:
    """Yield pairs of five lands and seven kinds of change, as pictures of 8 bits."""
    number = 0
    for land in LANDS:
        for share, size, change in CHANGES:
            number += 1
            random = np.random.default_rng(seed + number)
            looks = LOOKS[number % len(LOOKS)]
            name = f"{land}, {100 * share:g} %, {change}, {looks[0]:g} and {looks[1]:g} looks"
            texture, season = (0, 0, 0.15)[number % 3], (0, 0.5, 0, 1)[number % 4]
            correlation = (0, 0, 0.7, 0, 0.6)[number % 5]
            before = _land(random, land)
            after, changed = _changed(random, before, share, size, change)
            after = after + season * _smooth(random, 30)
            grain = random.gamma(1 / texture, texture, (SIDE, SIDE)) if texture else 1.0
            images = [
                _picture(10 ** (level / 10) * grain * _speckle(random, n, correlation))
                for level, n in zip((before, after), looks, strict=True)
            ]
            yield LabelledPair(name, *images, changed)


def _smooth(random: np.random.Generator, size: float) -> np.ndarray:
    field = cv2.GaussianBlur(random.standard_normal((SIDE, SIDE)), (0, 0), size)
    return (field - field.mean()) / field.std()


def _land(random: np.random.Generator, kind: str) -> np.ndarray:
    """Return backscatter in dB."""
    if kind == "fields":
        levels = random.uniform(-14, -6, 200)
        rows, cols = (np.sort(random.choice(SIDE, count, replace=False)) for count in (10, 12))
        row, col = (np.searchsorted(edges, np.arange(SIDE)) for edges in (rows, cols))
        return levels[13 * row[:, None] + col]
    if kind == "forest":
        return -8 + _smooth(random, 3) + _smooth(random, 20)
    if kind == "coast":
        return np.where(_smooth(random, 25) < -0.3, WATER_DB, -9 + 1.5 * _smooth(random, 8))
    if kind == "town":
        return -8 + _smooth(random, 5) + np.where(_smooth(random, 1.2) > 2, 9, 0)
    return -10 + 2 * _smooth(random, 12)


def _changed(
    random: np.random.Generator, before: np.ndarray, share: float, size: float, change: float | str
) -> tuple[np.ndarray, np.ndarray]:
    field = _smooth(random, size)
    place = field > np.quantile(field, 1 - share) if share else np.zeros(field.shape, bool)
    after = before.copy()
    if change == "water":
        after[place] = WATER_DB
    elif change == "both":
        after[place] += np.where(_smooth(random, 2 * size) > 0, 6, -6)[place]
    else:
        after[place] += change
    return after, place & (np.abs(after - before) > VISIBLE_DB)


def _speckle(random: np.random.Generator, looks: float, correlation: float) -> np.ndarray:
    if not correlation:
        return random.gamma(looks, 1 / looks, (SIDE, SIDE))
    margin = 10
    shape = (SIDE + 2 * margin,) * 2
    wide = cv2.GaussianBlur(random.gamma(looks / 3, 3 / looks, shape), (0, 0), correlation)
    return wide[margin:-margin, margin:-margin]


def _picture(power: np.ndarray) -> np.ndarray:
    """Store amplitude in 8 bits, and read it as SarChangeDetect does."""
    amplitude = np.clip(np.round(np.sqrt(power / 10**-0.8) * 90), 0, 255)
    return np.square(np.maximum(amplitude, 0.5)).astype(np.float32)[None]


def gaussian_otsu(pair: LabelledPair) -> np.ndarray:
    """Threshold the log-ratio of amplitudes smoothed by a Gaussian of 1.5 pixels, after Otsu."""
    logs = [
        np.log(cv2.GaussianBlur(np.sqrt(image[0]), (0, 0), 1.5) + 1)
        for image in (pair.before, pair.after)
    ]
    size = np.abs(logs[1] - logs[0])
    counts, edges = np.histogram(size, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, moment = np.cumsum(counts), np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (moment[-1] * below / below[-1] - moment) ** 2 / (below * (below[-1] - below))
    return size > middles[np.nanargmax(between)]


def pca_kmeans(pair: LabelledPair, *, side: int = 4, components: int = 3) -> np.ndarray:
    """Cluster principal components of the log-ratio's blocks into two classes (Celik 2009)."""
    ratio = np.sqrt(pair.after[0]) + 1
    image = np.abs(np.log(ratio / (np.sqrt(pair.before[0]) + 1)))
    rows, cols = (length // side * side for length in image.shape)
    blocks = image[:rows, :cols].reshape(rows // side, side, -1, side).transpose(0, 2, 1, 3)
    blocks = blocks.reshape(-1, side * side)
    mean = blocks.mean(axis=0)
    vectors = np.linalg.eigh(np.cov((blocks - mean).T))[1][:, : -components - 1 : -1]
    padded = np.pad(image, ((side // 2, side - 1 - side // 2),) * 2, "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    features = (windows.reshape(-1, side * side) - mean) @ vectors
    cv2.setRNGSeed(1)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-4)
    _, labels, _ = cv2.kmeans(
        features.astype(np.float32), 2, None, criteria, 3, cv2.KMEANS_PP_CENTERS
    )
    second = labels.reshape(image.shape) == 1
    return second if image[second].mean() > image[~second].mean() else ~second


def kappa(found: np.ndarray, truth: np.ndarray) -> float:
    """Return Cohen's kappa."""
    agreement = np.mean(found == truth)
    chance = found.mean() * truth.mean() + (1 - found.mean()) * (1 - truth.mean())
    return float((agreement - chance) / (1 - chance)) if chance < 1 else 1.0
