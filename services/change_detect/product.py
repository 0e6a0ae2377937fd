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
    bands : ndarray, shape (bands, ...), float32

    Returns
    -------
    ndarray, shape (sums, ...), float32
    """
    count, *shape = bands.shape
    inputs = {"weights": weights, "bands": bands.reshape(count, -1)}
    sums: NDArray[np.float32] = _session("product").run(None, inputs)[0]
    return sums.reshape(-1, *shape)


def weighted_units(
    weights: NDArray[np.float32],
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    bands: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Weight and add what a layer of ReLUs makes of bands.

    Parameters
    ----------
    weights : ndarray, shape (sums, units), float32
    kernel : ndarray, shape (units, bands), float32
    bias : ndarray, shape (units,), float32
    bands : ndarray, shape (bands, ...), float32

    Returns
    -------
    ndarray, shape (sums, ...), float32
    """
    count, *shape = bands.shape
    inputs = {
        "weights": weights,
        "kernel": kernel,
        "bias": bias[:, None],
        "bands": bands.reshape(count, -1),
    }
    sums: NDArray[np.float32] = _session("units").run(None, inputs)[0]
    return sums.reshape(-1, *shape)


@cache
def _session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = files(__package__).joinpath(f"{name}.onnx").read_bytes()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
