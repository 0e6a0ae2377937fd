"""Linear regression that outliers cannot bend."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3  # relative to the total weight; features are brought to unit variance first
PASSES = 3  # of reweighting
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
    centre = features.mean(axis=0)
    spread = features.std(axis=0)
    spread[spread < 1e-6] = 1  # a feature that never varies tells nothing
    known = np.concatenate(
        [(features - centre) / spread, np.ones((len(features), 1), np.float32)], axis=1
    )
    weights = np.ones(len(features), np.float32)
    solution = noise = np.zeros(0, np.float32)
    for _ in range(PASSES):
        solution = _solve_ridge(known, targets, weights)
        errors = targets - known @ solution
        noise = np.maximum(NORMAL * np.median(np.abs(errors), axis=0), smallest_noise)
        weights = 1 / (1 + np.mean((errors / noise) ** 2, axis=1) / CAUCHY)
    coefficients = solution[:-1] / spread[:, None]
    intercept = solution[-1] - centre @ coefficients
    return RobustFit(coefficients, intercept, noise)


def _solve_ridge(known: Matrix, targets: Matrix, weights: Matrix) -> Matrix:
    weighted = known * weights[:, None]
    normal_matrix = (weighted.T @ known).astype(np.float64)
    normal_matrix[np.diag_indices_from(normal_matrix)] += RIDGE * float(weights.sum())
    right_side = (weighted.T @ targets).astype(np.float64)
    return np.linalg.solve(normal_matrix, right_side).astype(np.float32)
