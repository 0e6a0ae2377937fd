"""The feature sets of a patch: each has a name, a version and the paper it comes from.

A set measures cells (the smallest patches): statistics that are means over a cell's usable pixels
times their share. Those of larger patches are means of their cells', so one pass over the image
serves all sizes; then each patch is described by a vector.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candela.eo.texture import gabor, spectral, weber
from candela.eo.texture.cells import cell_histograms, cell_means, spread
from candela.eo.texture.spectral import PolarPlane, normalised_difference

from .embedding import STEP, UNITS, encode, encoder_digest
from .frozen import POLAR_PLANE, STANDARD
from .ground import Ground
from .pair import OPTICAL_BANDS

Image = NDArray[np.float32]
Vectors = NDArray[np.float32]

EMBEDDING = "embedding"
QUANTILES = (0.1, 0.5, 0.9)
INDICES = {"NDVI": ("B08", "B04"), "NDWI": ("B03", "B08"), "NDBI": ("B11", "B08")}
THINNING = 2  # pixels; histograms of colour count every other pixel of every other row
_TINY = np.float32(1e-9)


@dataclass(frozen=True)
class FeatureSet:
    """A way to describe a patch.

    Attributes
    ----------
    name : str
    version : int
        Goes up whenever the numbers change.
    sensor : str
        ``s1`` or ``s2``.
    dimension : int
        Numbers in a vector.
    parameters : mapping
        As JSON values.
    reference : str
    measure : callable
        Ground -> statistics of its cells, shape (statistics, cell rows, cell cols).
    describe : callable
        Statistics of patches, shape (statistics, n) -> vectors, shape (n, dimension).
    """

    name: str
    version: int
    sensor: str
    dimension: int
    parameters: Mapping[str, Any]
    reference: str
    measure: Callable[[Ground], Image]
    describe: Callable[[Image], Vectors]


def share_of_usable(ground: Ground, step: int = 1) -> Image:
    """Return the share of usable pixels of each cell, counting each ``step``-th one."""
    rows, cols = (part.stop - part.start for part in ground.inner)
    if ground.usable is None:
        return np.ones((rows // ground.cell, cols // ground.cell), np.float32)
    counted = np.ascontiguousarray(ground.usable[::step, ::step], np.float32)
    return cell_means(counted, ground.cell // step)


def _weighted(ground: Ground, values: Image, step: int = 1) -> Image:
    """Return values with those that cannot be used as 0."""
    if ground.usable is None:
        return np.ascontiguousarray(values)
    return np.asarray(values * ground.usable[::step, ::step], np.float32)


def _moments(ground: Ground, values: Image, step: int = 1) -> Image:
    """Return the mean of bands, then that of their squares, shape (2 bands, rows, cols)."""
    size = ground.cell // step
    first = cell_means(_weighted(ground, values, step), size)
    return np.concatenate([first, cell_means(_weighted(ground, values * values, step), size)])


def _mean_and_spread(statistics: Image, share: Image) -> tuple[Image, Image]:
    means = np.asarray(statistics / np.maximum(share, _TINY), np.float32)
    mean, square = np.split(means, 2)
    return mean, spread(mean, square)


def _gabor_set(name: str, sensor: str, image: Callable[[Ground], Image]) -> FeatureSet:
    bank = gabor.BANK
    per_scale = 2 * bank.orientations + 1

    def measure(ground: Ground) -> Image:
        statistics = []
        for magnitude, step in zip(
            gabor.gabor_magnitudes(image(ground), bank), gabor.SPACING, strict=True
        ):
            rows, cols = (slice(p.start // step, p.stop // step) for p in ground.inner)
            statistics.append(_moments(ground, magnitude[:, rows, cols], step))
            statistics.append(share_of_usable(ground, step)[None])
        return np.concatenate(statistics)

    def describe(statistics: Image) -> Vectors:
        vectors: list[Image] = []
        for scale in np.split(statistics, bank.scales):
            vectors += _mean_and_spread(scale[: per_scale - 1], scale[-1])
        return np.concatenate(vectors).T

    return FeatureSet(
        name,
        1,
        sensor,
        2 * bank.scales * bank.orientations,
        bank._asdict(),
        "Manjunath & Ma 1996, doi:10.1109/34.531803",
        measure,
        describe,
    )


def _histogram(ground: Ground, codes: NDArray[np.uint8], bins: int, step: int = 1) -> Image:
    usable = None if ground.usable is None else ground.usable[::step, ::step]
    return cell_histograms(codes, bins, ground.cell // step, usable=usable)


def _shares(statistics: Image) -> Vectors:
    total = np.maximum(statistics.sum(axis=0), _TINY)
    return np.asarray((statistics / total).T, np.float32)


def _weber_set(
    name: str, sensor: str, reference: str, codes: Callable[[Ground], NDArray[np.uint8]]
) -> FeatureSet:
    def measure(ground: Ground) -> Image:
        return _histogram(ground, codes(ground)[ground.inner], weber.CODES)

    parameters = {
        "orientations": weber.ORIENTATIONS,
        "segments": weber.SEGMENTS,
        "bins": weber.BINS,
    }
    return FeatureSet(name, 1, sensor, weber.CODES, parameters, reference, measure, _shares)


def _spectral_set() -> FeatureSet:
    count = len(OPTICAL_BANDS) + len(INDICES)
    bins = spectral.LEVELS

    def measure(ground: Ground) -> Image:
        rows, cols = ground.inner
        bands = ground.optical[:, rows, cols]
        indices = [
            normalised_difference(ground.band(one)[rows, cols], ground.band(other)[rows, cols])
            for one, other in INDICES.values()
        ]
        thin = spectral.reflectance_levels(bands[:, ::THINNING, ::THINNING])
        histograms = [_histogram(ground, band, bins, THINNING) for band in thin]
        moments = _moments(ground, np.concatenate([bands, indices]))
        return np.concatenate([share_of_usable(ground)[None], moments, *histograms])

    def describe(statistics: Image) -> Vectors:
        mean, deviation = _mean_and_spread(statistics[1 : 1 + 2 * count], statistics[0])
        quantiles = [
            spectral.level_quantile(histogram, quantile)
            for histogram in np.split(statistics[1 + 2 * count :], len(OPTICAL_BANDS))
            for quantile in QUANTILES
        ]
        return np.concatenate([mean, deviation, quantiles]).T

    return FeatureSet(
        "spectral",
        1,
        "s2",
        2 * count + len(QUANTILES) * len(OPTICAL_BANDS),
        {"bands": OPTICAL_BANDS, "indices": list(INDICES), "quantiles": QUANTILES},
        "Tucker 1979, McFeeters 1996, Zha et al. 2003",
        measure,
        describe,
    )


def polar_set(plane: PolarPlane) -> FeatureSet:
    """Return the polar spectral histogram in a plane."""

    def measure(ground: Ground) -> Image:
        rows, cols = ground.inner
        thin = np.ascontiguousarray(ground.optical[:, rows, cols][:, ::THINNING, ::THINNING])
        return _histogram(ground, spectral.polar_codes(thin, plane), spectral.POLAR_CODES, THINNING)

    parameters = {"plane": plane._asdict(), "sectors": spectral.SECTORS, "rings": spectral.RINGS}
    return FeatureSet(
        "polar", 1, "s2", spectral.POLAR_CODES, parameters, "PCA-2 in polar coordinates",
        measure, _shares,
    )  # fmt: skip


def _backscatter_set() -> FeatureSet:
    def measure(ground: Ground) -> Image:
        rows, cols = ground.inner
        vv, vh = ground.decibels[:, rows, cols]
        levels = np.stack([vv, vh, vh - vv])
        power = ground.radar[:, rows, cols]
        share = share_of_usable(ground)[None]
        return np.concatenate([share, _moments(ground, levels), _moments(ground, power)])

    def describe(statistics: Image) -> Vectors:
        mean, deviation = _mean_and_spread(statistics[1:7], statistics[0])
        power, power_deviation = _mean_and_spread(statistics[7:], statistics[0])
        variation = power_deviation / np.maximum(power, _TINY)
        return np.concatenate([mean, deviation, variation]).T

    return FeatureSet(
        "backscatter",
        1,
        "s1",
        8,
        {"levels": ["VV", "VH", "VH-VV"], "unit": "dB", "variation": ["VV", "VH"]},
        "mean and deviation in dB; coefficient of variation of the power",
        measure,
        describe,
    )


def _embedding_set() -> FeatureSet:
    def measure(ground: Ground) -> Image:
        rows, cols = (slice(p.start // STEP, p.stop // STEP) for p in ground.inner)
        code = encode(ground.optical)[:, rows, cols]
        size = ground.cell // STEP
        means = [cell_means(_weighted(ground, unit, STEP), size) for unit in code]
        return np.stack([share_of_usable(ground, STEP), *means])

    def describe(statistics: Image) -> Vectors:
        return np.asarray((statistics[1:] / np.maximum(statistics[0], _TINY)).T, np.float32)

    parameters = {"encoder": encoder_digest(), "standard": STANDARD}
    return FeatureSet(
        EMBEDDING, 1, "s2", UNITS, parameters, "the encoder of ChangeDetect", measure, describe
    )


FEATURE_SETS = {
    made.name: made
    for made in (
        _gabor_set("gabor_luminance", "s2", lambda ground: ground.luminance),
        _gabor_set("gabor_nir", "s2", lambda ground: ground.band("B08")),
        _gabor_set("gabor_vv", "s1", lambda ground: ground.decibels[0]),
        _weber_set(
            "weber_luminance",
            "s2",
            "Chen et al. 2010, doi:10.1109/TPAMI.2009.155",
            lambda ground: weber.weber_codes(ground.luminance),
        ),
        _weber_set(
            "weber_vv",
            "s1",
            "Chen et al. 2010 with ratios of means, Dellinger et al. 2015",
            lambda ground: weber.weber_speckle_codes(ground.radar[0]),
        ),
        _spectral_set(),
        polar_set(POLAR_PLANE),
        _backscatter_set(),
        _embedding_set(),
    )
}
USUAL = tuple(name for name in FEATURE_SETS if name != EMBEDDING)  # the encoder takes its time
