"""Linear regression that outliers cannot bend."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3  # relative to the total weight; features are brought to unit variance first
PASSES = 3  # of reweighting
REFINING_RIDGE = 1e-2
REFINING_PASSES = 2
CAUCHY = 3.0  # mean squared residual, in units of the noise, at which a sample counts half
NORMAL = 1.4826  # from the median absolute residual to the standard deviation of a normal law

Matrix = NDArray[np.float32]


class RobustFit(NamedTuple):
    """A linear prediction ``features @ coefficients + intercept`` and how good it is.

    Attributes
    ----------
    coefficients : ndarray, shape (features, targets), float32
    intercept : ndarray, shape (targets,), float32
    noise : ndarray, shape (targets,), float32
        Robust standard deviation of what the prediction leaves, in the unit of the targets.
    """

    coefficients: Matrix
    intercept: Matrix
    noise: Matrix


def fit_robust(features: Matrix, targets: Matrix, *, smallest_noise: float) -> RobustFit:
    """Fit a linear prediction by ridge regression with Cauchy weights.

    Samples that are predicted badly in all targets together lose their weight, so that a few
    changed pixels do not teach the regression to predict change.

    Parameters
    ----------
    features : ndarray, shape (samples, features), float32
        What is known, in any unit.
    targets : ndarray, shape (samples, targets), float32
        What is to be predicted.
    smallest_noise : float
        Lower limit of the noise, in the unit of the targets.

    Returns
    -------
    RobustFit

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
    """Fit what a prediction made elsewhere leaves here.

    As ``fit_robust``, but it begins with the weights that the errors themselves suggest, and is
    drawn to zero by a stronger ridge: where the samples here tell little, the prediction from
    elsewhere stays.

    Parameters
    ----------
    features : ndarray, shape (samples, features), float32
    errors : ndarray, shape (samples, targets), float32
        What the prediction leaves of the targets.
    smallest_noise : ndarray, shape (targets,), float32
        Lower limit of the noise, in the unit of the errors.

    Returns
    -------
    RobustFit
        To be added to the prediction.
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
    spread[spread < 1e-6] = 1  # a feature that never varies tells nothing
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
