"""Fuse the features of several sensors into one vector for each patch."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

CLIP = 5.0  # standard deviations; a few odd values must not rule a distance


class Scaler(NamedTuple):
    """Centre and spread of each feature, frozen: the same for all products of a database.

    Attributes
    ----------
    mean, deviation : tuple of float
        One for each feature; features without deviation become 0.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, vectors: Vectors) -> "Scaler":
        """Measure vectors, shape (n, features)."""
        mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
        return cls(tuple(mean.tolist()), tuple(deviation.tolist()))

    def apply(self, vectors: Vectors) -> Vectors:
        """Bring vectors, shape (n, features), to centre 0 and spread 1, clipped at 5."""
        deviation = np.array(self.deviation, np.float32)
        gain = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        scaled = (vectors - np.array(self.mean, np.float32)) * gain
        return np.clip(scaled, -CLIP, CLIP, out=scaled)


def fuse(
    blocks: Mapping[str, Vectors],
    scalers: Mapping[str, Scaler],
    weights: Mapping[str, float] | None = None,
) -> Vectors:
    """Join blocks of features so that each counts by its weight, not by its length.

    Parameters
    ----------
    blocks : mapping of str to ndarray, shape (n, features of the block), float32
        Feature sets by name.
    scalers : mapping of str to Scaler
        The frozen scaler of each.
    weights : mapping of str to float, optional
        How much a block counts; 1 if not named.

    Returns
    -------
    ndarray, shape (n, features of all blocks), float32
        Scaled blocks times weight / sqrt(features of the block), in the order of ``blocks``.
    """
    given = weights or {}
    parts = [
        scalers[name].apply(vectors) * np.float32(given.get(name, 1) / math.sqrt(vectors.shape[1]))
        for name, vectors in blocks.items()
    ]
    return np.concatenate(parts, axis=1, dtype=np.float32)
