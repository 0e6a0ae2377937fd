"""Weighted sums of bands, on one thread.

The blocks of an image are computed one per thread. NumPy's matrix product would take all threads
for each of them, and they would wait for each other: a full tile takes a third longer.
"""

from functools import cache
from importlib.resources import files

import numpy as np
import onnxruntime
from numpy.typing import NDArray


def weighted_sums(weights: NDArray[np.float32], bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weight and add bands.

    Parameters
    ----------
    weights : ndarray, shape (sums, bands), float32
    bands : ndarray, shape (bands, rows, cols), float32

    Returns
    -------
    ndarray, shape (sums, rows, cols), float32
    """
    count, rows, cols = bands.shape
    inputs = {"weights": weights, "bands": bands.reshape(count, -1)}
    sums: NDArray[np.float32] = _session().run(None, inputs)[0]
    return sums.reshape(-1, rows, cols)


@cache
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = files(__package__).joinpath("product.onnx").read_bytes()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
