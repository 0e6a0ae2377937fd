"""Fusion of sensors at feature level and at decision level.

Feature level: the feature vectors of all sensors become one vector. Decision level: the posteriors
or the labels that classifiers of single sensors give are combined.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Posteriors = NDArray[np.float64]
Classes = NDArray[np.int64]

LEAST_POSTERIOR = 1e-9  # lower limit: no sensor alone excludes a class
CLIP = 5.0  # standard deviations; bounds the share of outliers in a distance


class Scaler(NamedTuple):
    """Mean and standard deviation of each feature, frozen for all products of a database.

    Attributes
    ----------
    mean, deviation : tuple of float
        One for each feature; features of deviation 0 become 0.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, vectors: Vectors) -> "Scaler":
        """Estimate both from vectors, shape (n, features)."""
        mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
        return cls(tuple(mean.tolist()), tuple(deviation.tolist()))

    def apply(self, vectors: Vectors) -> Vectors:
        """Return z = clip((x - mean) / deviation, -5, 5) of vectors, shape (n, features)."""
        deviation = np.array(self.deviation, np.float32)
        gain = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        scaled = (vectors - np.array(self.mean, np.float32)) * gain
        return np.clip(scaled, -CLIP, CLIP, out=scaled)


def fuse(
    blocks: Mapping[str, Vectors],
    scalers: Mapping[str, Scaler],
    weights: Mapping[str, float] | None = None,
) -> Vectors:
    """Concatenate feature sets as blocks w_b z_b / sqrt(d_b).

    With z_b the scaled features of block b and d_b their number, the expected squared distance of
    two vectors within a block is proportional to w_b^2 and independent of d_b.

    Parameters
    ----------
    blocks : mapping of str to ndarray, shape (n, features of the block), float32
        Feature sets by name.
    scalers : mapping of str to Scaler
        The frozen scaler of each.
    weights : mapping of str to float, optional
        w_b; 1 if not named.

    Returns
    -------
    ndarray, shape (n, features of all blocks), float32
        In the order of ``blocks``, unitless.
    """
    given = weights or {}
    parts = [
        scalers[name].apply(vectors) * np.float32(given.get(name, 1) / math.sqrt(vectors.shape[1]))
        for name, vectors in blocks.items()
    ]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def fuse_posteriors(
    posteriors: Sequence[Posteriors], prior: Posteriors | None = None
) -> Posteriors:
    """Combine the posteriors of R sensors by the product rule [1]_.

    P(c | all) = P(c)^(1 - R) prod_r P(c | sensor r) / normalisation

    Parameters
    ----------
    posteriors : sequence of ndarray, shape (n, classes), float64
        One for each sensor, 0..1; rows sum to 1.
    prior : ndarray, shape (classes,), float64, optional
        P(c), as the posteriors assume it; uniform by default.

    Returns
    -------
    ndarray, shape (n, classes), float64
        Rows sum to 1.

    Notes
    -----
    The rule assumes sensors that are conditionally independent given the class. Posteriors have a
    lower limit of 1e-9.

    References
    ----------
    .. [1] Kittler, J., Hatef, M., Duin, R. P. W., Matas, J. (1998). On combining classifiers. IEEE
       Trans. Pattern Anal. Mach. Intell. 20(3), 226-239. https://doi.org/10.1109/34.667881
    """
    logarithm = sum(np.log(np.maximum(each, LEAST_POSTERIOR)) for each in posteriors)
    if prior is not None:
        logarithm = logarithm - (len(posteriors) - 1) * np.log(np.maximum(prior, LEAST_POSTERIOR))
    product = np.exp(logarithm - np.max(logarithm, axis=1, keepdims=True))
    return np.asarray(product / product.sum(axis=1, keepdims=True))


class LabelPairs(NamedTuple):
    """Behaviour-knowledge space of two classifiers: true classes by pair of labels [1]_.

    Attributes
    ----------
    counts : ndarray, shape (classes, classes, classes), int64
        By label of the first sensor, label of the second, and true class.

    Notes
    -----
    It models correlated errors of both sensors, which the product rule takes for independent.

    References
    ----------
    .. [1] Huang, Y. S., Suen, C. Y. (1995). A method of combining multiple experts for the
       recognition of unconstrained handwritten numerals. IEEE Trans. Pattern Anal. Mach. Intell.
       17(1), 90-94. https://doi.org/10.1109/34.368145
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, first: Classes, second: Classes, truth: Classes, classes: int) -> "LabelPairs":
        """Count labelled patches; all three have the shape (n,) and values 0..classes - 1."""
        counts = np.zeros((classes, classes, classes), np.int64)
        np.add.at(counts, (first, second, truth), 1)
        return cls(counts)

    def apply(self, first: Classes, second: Classes) -> Classes:
        """Return the most frequent true class of each pair of labels (a, b), shape (n,).

        For unseen pairs, and between classes of equal count, the class c of the highest naive Bayes
        score P(a | c) P(b | c) N(c), with all counts increased by 1 (Laplace smoothing).
        """
        seen = self.counts[first, second]
        best = seen.argmax(axis=1)
        tied = (seen == seen.max(axis=1, keepdims=True)).sum(axis=1) > 1
        likely = np.where(
            seen == seen.max(axis=1, keepdims=True), self._independent(first, second), -np.inf
        )
        return np.asarray(np.where(tied, likely.argmax(axis=1), best))

    def _independent(self, first: Classes, second: Classes) -> Posteriors:
        of_class = self.counts.sum(axis=(0, 1)) + 1.0
        by_first = (self.counts.sum(axis=1) + 1.0) / of_class
        by_second = (self.counts.sum(axis=0) + 1.0) / of_class
        return np.asarray(np.log(by_first[first]) + np.log(by_second[second]) + np.log(of_class))
