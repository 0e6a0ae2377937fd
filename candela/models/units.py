"""Linear combinations of ReLU units, on one thread.

ONNX Runtime multiplies matrices of these shapes faster than NumPy, and starts no threads for them.
"""

from functools import cache
from importlib.resources import files

import numpy as np
import onnxruntime
from numpy.typing import NDArray


def weighted_units(
    weights: NDArray[np.float32],
    kernel: NDArray[np.float32],
    bands: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Compute W max(0, K x).

    Parameters
    ----------
    weights : ndarray, shape (targets, units), float32
        W.
    kernel : ndarray, shape (units, bands), float32
        K.
    bands : ndarray, shape (bands, ...), float32
        x.

    Returns
    -------
    ndarray, shape (targets, ...), float32
    """
    count, *shape = bands.shape
    inputs = {"weights": weights, "kernel": kernel, "bands": bands.reshape(count, -1)}
    sums: NDArray[np.float32] = _session().run(None, inputs)[0]
    return sums.reshape(-1, *shape)


@cache
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = (files(__package__) / "encoders" / "units.onnx").read_bytes()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
