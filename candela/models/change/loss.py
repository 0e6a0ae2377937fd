"""Loss of vegetation: what the later date has less of than the earlier one predicts.

The residual is that of the later date, predicted from the earlier one. Its sign tells loss from
gain, so that the gains of the same pair measure the noise of the losses.
"""

import numpy as np
from numpy.typing import NDArray

from candela.models.encoder import BANDS
from candela.models.standardisation import Standardisation

FLOOR = 0.1  # in units of noise; added to each factor of the geometric mean
GREEN = 0.33  # NDVI at which the vegetation gate is one half
GREEN_WIDTH = 0.05  # NDVI; of the logistic curve of the gate
RED, INFRARED = BANDS.index("B04"), BANDS.index("B08")
VISIBLE, RED_EDGE = slice(0, 3), slice(2, 4)  # B02 to B04; B04 and B05
LEAVES = slice(4, 8)  # B06 to B8A, bright where there are leaves
INFRARED_PART, SHORTWAVE = slice(3, 8), slice(8, 10)  # B05 to B8A; B11 and B12

Image = NDArray[np.float32]


def one_sided(residual: Image) -> tuple[Image, Image]:
    """Return the disagreement by loss of vegetation, and by gain.

    With the residual r of the later date, predicted from the earlier one, in units of noise,

        withered = max((mean r(B04, B05) - mean r(B06..B8A)) / 2,
                       (mean r(B02..B04) - mean r(B06..B8A) + mean r(B11, B12)) / 3)
        loss = geometric mean of rms r, rms r(B05..B8A), rms r(B11, B12) and max(0, withered)

    0.1 added to each. Gain is the same of -r.

    Parameters
    ----------
    residual : ndarray, shape (10, rows, cols), float32

    Returns
    -------
    loss, gain : ndarray, shape (rows, cols), float32
        In units of noise, 0.1 or above.
    """
    squares = residual * residual
    size = np.ones_like(residual[0])
    for part in (slice(None), INFRARED_PART, SHORTWAVE):
        size *= np.sqrt(squares[part].mean(axis=0)) + np.float32(FLOOR)
    leaves = residual[LEAVES].mean(axis=0)
    edge = (residual[RED_EDGE].mean(axis=0) - leaves) / 2
    dry = (residual[VISIBLE].mean(axis=0) - leaves + residual[SHORTWAVE].mean(axis=0)) / 3
    loss = size * (np.maximum(np.maximum(edge, dry), 0) + np.float32(FLOOR))
    gain = size * (np.maximum(-np.minimum(edge, dry), 0) + np.float32(FLOOR))
    return np.sqrt(np.sqrt(loss)), np.sqrt(np.sqrt(gain))


def vegetation_gate(bands: Image, scale: Standardisation) -> Image:
    """Return how likely there was vegetation to be lost, 0 to 1.

    1 / (1 + exp(-(NDVI - 0.33) / 0.05)) of the earlier date.

    Parameters
    ----------
    bands : ndarray, shape (10, rows, cols), float32
        Standardised reflectance.
    scale : Standardisation

    Returns
    -------
    ndarray, shape (rows, cols), float32
    """
    red, infrared = (
        np.maximum(bands[k] * scale.spread[k] + scale.centre[k], 1) for k in (RED, INFRARED)
    )
    ndvi = (infrared - red) / (infrared + red)
    return np.asarray(1 / (1 + np.exp((GREEN - ndvi) / GREEN_WIDTH)), np.float32)
