"""A classifier of change that a pair trains itself.

The threshold on the difference knows nothing of the levels that it lies between: on each pair,
pixels that are surely changed or unchanged by it teach what change looks like there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SURELY_CHANGED, SURELY_UNCHANGED = 1.25, 0.7  # of the threshold
LEAST_TRAINING = 50  # pixels of each class
TRAINING = 20_000
UNITS = 100
RIDGE = 1e-2  # of the mean diagonal
CHUNK = 2**16  # pixels that are classified at a time

Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Classifier:
    """Random ReLU units and a ridge regression on them.

    Attributes
    ----------
    centre, width : ndarray, shape (features,)
    units : ndarray, shape (features + 1, units)
    weights : ndarray, shape (units + 1,)
    """

    centre: Image
    width: Image
    units: Image
    weights: Image

    def score(self, features: Image) -> Image:
        """Return about -1 for unchanged and 1 for changed; features is (features, rows, cols)."""
        count, *shape = features.shape
        flat = features.reshape(count, -1)
        score = np.empty(flat.shape[1], np.float32)
        for start in range(0, len(score), CHUNK):
            part = slice(start, start + CHUNK)
            standard = (flat[:, part].T - self.centre) / self.width
            score[part] = _hidden(standard, self.units) @ self.weights
        return score.reshape(shape)


def _hidden(flat: Image, units: Image) -> Image:
    hidden = flat @ units[:-1] + units[-1]
    np.maximum(hidden, 0, out=hidden)
    return np.concatenate([hidden, np.ones((len(flat), 1), np.float32)], axis=1)


def train(features: Image, ratio: Image) -> Classifier | None:
    """Train on the pixels that are surely changed, or surely unchanged.

    Both classes have the same weight in the ridge regression, whatever their sizes.

    Parameters
    ----------
    features : ndarray, shape (features, pixels), float32
    ratio : ndarray, shape (pixels,), float32
        Difference relative to its threshold: above 1.25 changed, below 0.7 unchanged.

    Returns
    -------
    Classifier or None
        None where a class has fewer than 50 pixels.
    """
    random = np.random.default_rng(1)
    classes = [np.flatnonzero(ratio > SURELY_CHANGED), np.flatnonzero(ratio < SURELY_UNCHANGED)]
    if min(map(len, classes)) < LEAST_TRAINING:
        return None
    chosen = [
        random.choice(each, TRAINING, replace=False) if len(each) > TRAINING else each
        for each in classes
    ]
    targets = np.concatenate([np.ones(len(chosen[0])), -np.ones(len(chosen[1]))])
    weights = np.concatenate([np.full(len(each), 0.5 / len(each)) for each in chosen])
    flat = features[:, np.concatenate(chosen)].T
    centre, width = flat.mean(axis=0), flat.std(axis=0) + np.float32(1e-6)
    flat = (flat - centre) / width
    units = random.standard_normal((flat.shape[1] + 1, UNITS)).astype(np.float32)
    units[:-1] /= np.sqrt(np.float32(flat.shape[1]))
    hidden = _hidden(flat, units).astype(np.float64)
    weighted = hidden * weights[:, None]
    normal = weighted.T @ hidden
    normal += RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
    solution = np.linalg.solve(normal, weighted.T @ targets)
    return Classifier(centre, width, units, solution.astype(np.float32))
