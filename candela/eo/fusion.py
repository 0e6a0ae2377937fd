"""Fuse what several sensors see of a patch: their features into one vector, or their labels.

Fusion at feature level joins vectors before anything is decided; fusion at semantic level joins
what was decided from each sensor alone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Posteriors = NDArray[np.float64]
Classes = NDArray[np.int64]

LEAST_POSTERIOR = 1e-9  # no sensor may rule a class out for good
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


def fuse_posteriors(
    posteriors: Sequence[Posteriors], prior: Posteriors | None = None
) -> Posteriors:
    """Multiply what each sensor alone holds for probable: the product rule [1]_.

    Parameters
    ----------
    posteriors : sequence of ndarray, shape (n, classes), float64
        One for each sensor, 0..1; rows add up to 1.
    prior : ndarray, shape (classes,), float64, optional
        Probabilities of the classes as the sensors' posteriors assume them; by default all alike.

    Returns
    -------
    ndarray, shape (n, classes), float64
        Rows add up to 1.

    Notes
    -----
    With R sensors that err independently of each other, given the class, P(class | all) is
    proportional to prior^(1 - R) times the product of P(class | sensor). Posteriors below 1e-9
    count as that.

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
    """What a pair of labels, one from each of two sensors, turned out to be: a table of counts.

    Attributes
    ----------
    counts : ndarray, shape (classes, classes, classes), int64
        By label of the first sensor, label of the second, and true class.

    Notes
    -----
    The behaviour-knowledge space of two classifiers [1]_. It knows systematic errors, such as water
    that radar takes for asphalt whenever optics say so, which a product of posteriors does not.

    References
    ----------
    .. [1] Huang, Y. S., Suen, C. Y. (1995). A method of combining multiple experts for the
       recognition of unconstrained handwritten numerals. IEEE Trans. Pattern Anal. Mach. Intell.
       17(1), 90-94. https://doi.org/10.1109/34.368145
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, first: Classes, second: Classes, truth: Classes, classes: int) -> "LabelPairs":
        """Count known patches; all three have the shape (n,) and values 0..classes - 1."""
        counts = np.zeros((classes, classes, classes), np.int64)
        np.add.at(counts, (first, second, truth), 1)
        return cls(counts)

    def apply(self, first: Classes, second: Classes) -> Classes:
        """Return the class that each pair, shape (n,), most often was.

        Of a pair that was never seen, or of classes that were it equally often, the most probable
        one from what each label alone was, as if sensors erred independently (each class counted
        once more than it was seen, so that nothing is impossible).
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
