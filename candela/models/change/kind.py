"""Kind of change of a pixel: rules on the spectral indices of both dates and the residual.

What the later date shows is compared with what the earlier one predicts for it, so that season and
illumination do not count.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.models.encoder import BANDS
from candela.models.standardisation import Standardisation

INDICES = ("ndvi", "ndwi", "nbr")
NODATA = 255
LOST_NDVI, LOST_FALL = 0.30, 0.06  # predicted NDVI, and its fall, of a loss of vegetation

Spectra = NDArray[np.float32]
Kinds = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Kind(IntEnum):
    """Values of the raster of kinds."""

    UNCHANGED = 0
    VEGETATION_LOST = 1
    VEGETATION_GAINED = 2
    WATER_GAINED = 3
    WATER_LOST = 4
    BURNT = 5
    BUILT_OR_BARE = 6
    HARVESTED_OR_MOWN = 7
    SNOW = 8
    CLOUD_OR_SHADOW = 9
    OTHER = 10

    @property
    def label(self) -> str:
        """The name in words."""
        return self.name.lower().replace("_", " ")


class Radiometry(NamedTuple):
    """Standardisation of both images of a pair."""

    before: Standardisation
    after: Standardisation


class Signature(NamedTuple):
    """Spectra of some pixels.

    Attributes
    ----------
    before, after, expected : ndarray, shape (10, pixels), float32
        Reflectance of both dates, and that of the later date predicted from the earlier one.
    residual : ndarray, shape (10, pixels), float32
        Of the later date, in units of noise.
    measured : tuple of two ndarray, shape (10, pixels), float32, optional
        Reflectance of both dates as measured: the others are smoothed, and clipped where it is
        bright.
    """

    before: Spectra
    after: Spectra
    expected: Spectra
    residual: Spectra
    measured: tuple[Spectra, Spectra] | None = None

    @classmethod
    def of(
        cls, before: Spectra, after: Spectra, residual: Spectra, noise: Spectra, scales: Radiometry
    ) -> "Signature":
        """Return the spectra from standardised ones, (10, pixels), and the noise of each band."""
        expected = after - residual * noise[:, None]
        return cls(
            _reflectance(before, scales.before),
            _reflectance(after, scales.after),
            _reflectance(expected, scales.after),
            residual,
        )


def index_changes(found: Signature) -> Spectra:
    """Return NDVI, NDWI and NBR of the later date less those predicted, shape (3, pixels).

    NDVI = (B08 - B04) / (B08 + B04), NDWI = (B03 - B08) / (B03 + B08),
    NBR = (B8A - B12) / (B8A + B12).
    """
    pairs = (("B08", "B04"), ("B03", "B08"), ("B8A", "B12"))
    return np.stack([_index(found.after, *pair) - _index(found.expected, *pair) for pair in pairs])


def kinds(found: Signature) -> Kinds:
    """Return the kind of change of pixels that changed: the first rule that holds.

    Parameters
    ----------
    found : Signature

    Returns
    -------
    ndarray, shape (pixels,), uint8
        Values of ``Kind``, never ``UNCHANGED``.

    Notes
    -----
    The limits were set by hand on simulated change and on labelled pairs of cities. Mown meadows
    and felled woods differ by what stood there: woods are dark in the short-wave infrared.
    """
    before, after, expected, residual, _ = found
    first, second = found.measured or (before, after)
    d_ndvi, d_ndwi, d_nbr = index_changes(found)
    ndvi, expected_ndvi = (_index(spectra, "B08", "B04") for spectra in (after, expected))
    water_before = (_index(before, "B03", "B08") > 0) & (_band(before, "B11") < 0.08)
    visible = np.abs(residual[:3]).max(axis=0)
    fall, rise = (_band(expected, b) - _band(after, b) for b in ("B08", "B04"))
    lost = (expected_ndvi > LOST_NDVI) & (d_ndvi < -LOST_FALL)
    rules = {
        Kind.SNOW: _snow(first) != _snow(second),
        Kind.CLOUD_OR_SHADOW: (_cloud(first) != _cloud(second)) | _shaded(after, expected),
        Kind.WATER_GAINED: (_band(residual, "B11") < -2)
        & (d_ndwi > 0.12)
        & (_band(after, "B08") < 0.22)
        & (_band(after, "B11") < 0.12),
        Kind.WATER_LOST: water_before & (_index(after, "B03", "B08") < -0.05) & (d_ndwi < -0.12),
        Kind.BURNT: lost & (d_nbr < -0.08) & (-rise < 0.2 * fall),
        Kind.BUILT_OR_BARE: (visible > 2) & (ndvi < 0.25) & ~_wooded(before),
        Kind.HARVESTED_OR_MOWN: lost & (ndvi < 0.3) & ~_wooded(before),
        Kind.VEGETATION_LOST: lost,
        Kind.VEGETATION_GAINED: (ndvi > 0.3) & (d_ndvi > LOST_FALL),
        Kind.OTHER: np.ones(ndvi.shape, np.bool_),
    }
    return np.select(list(rules.values()), [np.uint8(kind) for kind in rules]).astype(np.uint8)


def _reflectance(standard: Spectra, scale: Standardisation) -> Spectra:
    values = standard * scale.spread[:, None] + scale.centre[:, None]
    return np.asarray(np.maximum(values, 1) / 10_000, np.float32)


def _snow(spectra: Spectra) -> Mask:
    """Return where NDSI > 0.4 and the surface is bright (limits of Sen2Cor, simplified)."""
    bright = (_band(spectra, "B02") > 0.18) & (_band(spectra, "B08") > 0.15)
    return np.asarray((_index(spectra, "B03", "B11") > 0.4) & bright)


def _cloud(spectra: Spectra) -> Mask:
    """Return where the spectrum is bright and white, also in the short-wave infrared."""
    blue, red = _band(spectra, "B02"), _band(spectra, "B04")
    return np.asarray((spectra[:3].mean(axis=0) > 0.38) & (blue > 0.93 * red))


def _shaded(after: Spectra, expected: Spectra) -> Mask:
    """Return where all bands are darker than predicted by about one factor."""
    darker = np.ones(after.shape[1:], np.bool_)
    for band in ("B08", "B8A", "B11", "B12"):
        darker &= _band(after, band) < 0.7 * _band(expected, band)
    same = np.abs(_index(after, "B08", "B04") - _index(expected, "B08", "B04")) < 0.15
    return np.asarray(darker & same & (_index(after, "B08", "B04") > 0.3))


def _wooded(spectra: Spectra) -> Mask:
    return np.asarray((_band(spectra, "B11") < 0.17) & (_index(spectra, "B08", "B04") > 0.45))


def _band(spectra: Spectra, name: str) -> Spectra:
    band: Spectra = spectra[BANDS.index(name)]
    return band


def _index(spectra: Spectra, high: str, low: str) -> Spectra:
    first, second = _band(spectra, high), _band(spectra, low)
    return np.asarray((first - second) / np.maximum(first + second, 1e-3), np.float32)
