"""Robust ridge regression: iteratively reweighted least squares with Cauchy weights."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3  # relative to the total weight; features have unit variance
PASSES = 3  # of reweighting
REFINING_RIDGE = 1e-2
REFINING_PASSES = 2
CAUCHY = 3.0  # mean squared residual, in units of the noise, of a sample with weight 1/2
NORMAL = 1.4826  # standard deviation of a normal distribution / median absolute deviation

Matrix = NDArray[np.float32]


class RobustFit(NamedTuple):
    """A linear prediction ``features @ coefficients + intercept`` and its noise.

    Attributes
    ----------
    coefficients : ndarray, shape (features, targets), float32
    intercept : ndarray, shape (targets,), float32
    noise : ndarray, shape (targets,), float32
        Robust standard deviation of the residuals, in the unit of the targets.
    """

    coefficients: Matrix
    intercept: Matrix
    noise: Matrix


def fit_robust(features: Matrix, targets: Matrix, *, smallest_noise: float) -> RobustFit:
    """Fit targets Y by ridge regression on features, with Cauchy weights, in three passes [1]_.

    With H the features, standardised to mean 0 and variance 1, and a column of ones, each pass
    solves

        C = argmin sum_i w_i |y_i - C h_i|^2 + lambda sum_i w_i |C|^2
          = (H' W H + lambda sum(w) I)^-1 H' W Y,  lambda = 0.001

    and computes residuals e, noise s and weights w of the next pass, w = 1 in the first:

        s_k = max(1.4826 median_i |e_ik|, smallest noise)
        w_i = 1 / (1 + mean_k (e_ik / s_k)^2 / 3)

    A sample has one weight for all targets, so that outliers, such as the few changed pixels of a
    pair, lose their leverage in all of them.

    Parameters
    ----------
    features : ndarray, shape (samples, features), float32
        In any unit, without NaN.
    targets : ndarray, shape (samples, targets), float32
        Y, without NaN.
    smallest_noise : float
        Lower limit of s, in the unit of the targets.

    Returns
    -------
    RobustFit
        C for features in their own unit, the intercept and s.

    Notes
    -----
    The weights of [1]_ are for one target; here its squared residual is the mean over all of them.
    The ridge applies to the intercept, too: it is shrunk by about 0.1 %.

    References
    ----------
    .. [1] Holland, P. W., Welsch, R. E. (1977). Robust regression using iteratively reweighted
       least-squares. Communications in Statistics 6(9), 813-827.
       https://doi.org/10.1080/03610927708827533
    """
    floor = np.full(targets.shape[1], smallest_noise, np.float32)
    equal = np.ones(len(features), np.float32)
    return _reweighted(features, targets, equal, floor, ridge=RIDGE, passes=PASSES)


def refine_robust(features: Matrix, errors: Matrix, *, smallest_noise: Matrix) -> RobustFit:
    """Fit the local residuals of a global prediction, for its local refinement.

    As ``fit_robust``, in two passes, with Cauchy weights from the median-centred residuals in the
    first and lambda = 0.01: the stronger ridge shrinks the correction to zero where local samples
    do not determine it.

    Parameters
    ----------
    features : ndarray, shape (samples, features), float32
        In any unit, without NaN.
    errors : ndarray, shape (samples, targets), float32
        Residuals of the global prediction.
    smallest_noise : ndarray, shape (targets,), float32
        Lower limit of the noise, in the unit of the residuals.

    Returns
    -------
    RobustFit
        Correction, to be added to the global prediction.
    """
    centred = np.asarray(errors - np.median(errors, axis=0), np.float32)
    weights = _cauchy_weights(centred, _noise(centred, smallest_noise))
    return _reweighted(
        features, errors, weights, smallest_noise, ridge=REFINING_RIDGE, passes=REFINING_PASSES
    )


def _reweighted(
    features: Matrix, targets: Matrix, weights: Matrix, floor: Matrix, *, ridge: float, passes: int
) -> RobustFit:
    centre = features.mean(axis=0)
    spread = features.std(axis=0)
    spread[spread < 1e-6] = 1  # constant features have no coefficient
    known = np.concatenate(
        [(features - centre) / spread, np.ones((len(features), 1), np.float32)], axis=1
    )
    solution = noise = np.zeros(0, np.float32)
    for _ in range(passes):
        solution = _solve_ridge(known, targets, weights, ridge)
        errors = np.asarray(targets - known @ solution, np.float32)
        noise = _noise(errors, floor)
        weights = _cauchy_weights(errors, noise)
    coefficients = solution[:-1] / spread[:, None]
    intercept = solution[-1] - centre @ coefficients
    return RobustFit(coefficients, intercept, noise)


def _noise(errors: Matrix, floor: Matrix) -> Matrix:
    return np.asarray(np.maximum(NORMAL * np.median(np.abs(errors), axis=0), floor), np.float32)


def _cauchy_weights(errors: Matrix, noise: Matrix) -> Matrix:
    return np.asarray(1 / (1 + np.mean((errors / noise) ** 2, axis=1) / CAUCHY), np.float32)


def _solve_ridge(known: Matrix, targets: Matrix, weights: Matrix, ridge: float) -> Matrix:
    root = np.sqrt(weights)[:, None]
    weighted = known * root
    normal_matrix = (weighted.T @ weighted).astype(np.float64)  # of one array: half the work
    normal_matrix[np.diag_indices_from(normal_matrix)] += ridge * float(weights.sum())
    right_side = (weighted.T @ (targets * root)).astype(np.float64)
    return np.linalg.solve(normal_matrix, right_side).astype(np.float32)
