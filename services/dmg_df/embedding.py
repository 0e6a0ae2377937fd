"""Embedding: the code of the encoder ``spectral``, with a frozen standardisation."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from candela.models.encoder import COARSEST, Encoder, EncoderCard, load_encoder
from candela.models.standardisation import HIGHEST, LOWEST

from .frozen import STANDARD

ENCODER = "spectral"
UNITS = 256
STEP = 2  # pixels; the code has one value for so many

Image = NDArray[np.float32]

__all__ = ["COARSEST", "STEP", "UNITS", "encode", "encoder_digest"]


def encode(reflectance: Image) -> Image:
    """Return the encoder's code of a block.

    Parameters
    ----------
    reflectance : ndarray, shape (10, rows, cols), float32
        Unitless, without NaN, bands in the order of the encoder; sides are multiples of
        ``COARSEST``.

    Returns
    -------
    ndarray, shape (UNITS, rows / 2, cols / 2), float32

    Notes
    -----
    Change models standardise each image by its own quartiles. Here centre and spread are the same
    for all products, so that their codes are comparable.
    """
    centre = np.array(STANDARD["centre"], np.float32)[:, None, None]
    spread = np.array(STANDARD["spread"], np.float32)[:, None, None]
    return _encoder()(np.clip((reflectance - centre) / spread, LOWEST, HIGHEST)).code.units()


def encoder_digest() -> str:
    """Return the SHA-256 of the encoder's weights: codes of two encoders are not comparable."""
    return EncoderCard.read(ENCODER).sha256[".keras"]


@cache
def _encoder() -> Encoder:
    return load_encoder("onnx", ENCODER)
