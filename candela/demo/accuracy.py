"""How well a map of change fits the truth."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

THRESHOLD = 0.5


class Accuracy(NamedTuple):
    """Numbers between 0 and 1; NaN where one is not defined.

    Attributes
    ----------
    precision : float
        Share of the detected pixels that have changed.
    recall : float
        Share of the changed pixels that are detected.
    f1 : float
        Harmonic mean of the two.
    auc : float
        Chance that a changed pixel has a higher probability than an unchanged one.
    changed : float
        Share of the pixels that have changed.
    pixels : int
        How many were compared.
    """

    precision: float
    recall: float
    f1: float
    auc: float
    changed: float
    pixels: int


def accuracy(
    probability: NDArray[np.floating], truth: NDArray[np.bool_], *, threshold: float = THRESHOLD
) -> Accuracy:
    """Compare a map of change with the truth.

    Parameters
    ----------
    probability : ndarray of float
        Probability of change, 0..1, nodata as NaN: left out.
    truth : ndarray of bool, of the same shape
        Where something has changed.
    threshold : float
        From which probability on a pixel counts as detected.

    Returns
    -------
    Accuracy

    Raises
    ------
    ValueError
        If the shapes differ, or no pixel is valid.

    References
    ----------
    .. [1] Fawcett, T. (2006). An introduction to ROC analysis. Pattern Recognition Letters 27(8),
       doi:10.1016/j.patrec.2005.10.010.
    """
    if probability.shape != truth.shape:
        raise ValueError(f"the map is {probability.shape}, the truth {truth.shape}")
    is_valid = np.isfinite(probability)
    scores, changed = probability[is_valid], truth[is_valid]
    if not scores.size:
        raise ValueError("the map has no valid pixel")
    detected = scores >= threshold
    hits, found, real = (float(each.sum()) for each in (detected & changed, detected, changed))
    precision = _ratio(hits, found)
    recall = _ratio(hits, real)
    return Accuracy(
        precision,
        recall,
        _ratio(2 * hits, found + real),
        area_under_curve(scores, changed),
        float(changed.mean()),
        scores.size,
    )


def area_under_curve(scores: NDArray[np.floating], changed: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, by ranks; ties count half.

    Parameters
    ----------
    scores : ndarray of float, 1-D
        No NaN.
    changed : ndarray of bool, of the same length

    Returns
    -------
    float
        NaN if all pixels are of one kind.
    """
    positive = int(np.count_nonzero(changed))
    negative = changed.size - positive
    ranks = rankdata(scores)
    wins = float(ranks[changed].sum()) - positive * (positive + 1) / 2
    return _ratio(wins, positive * negative)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
