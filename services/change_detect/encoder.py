"""Run the trained encoder: standardised image in, features out."""

import importlib
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from candela.errors import InputError

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
COARSEST = 16  # pixels; the pyramid's top has one value for so many: sizes are multiples

Image = NDArray[np.float32]


class Features(NamedTuple):
    """What the encoder tells about an image.

    Attributes
    ----------
    fine : ndarray, shape (features, rows, cols), float32
    code : ndarray, shape (units, rows / 2, cols / 2), float32
    """

    fine: Image
    code: Image


Encoder = Callable[[Image], Features]
"""From a standardised image (bands, rows, cols), sides multiples of ``COARSEST``."""


def load_encoder(runtime: str, folder: Path | None = None) -> Encoder:
    """Load the encoder that ships with this process.

    Parameters
    ----------
    runtime : {"onnx", "tensorflow"}
        What computes it; the features are equal to within 1e-4.
    folder : Path, optional
        Where ``encoder.onnx`` and ``encoder.keras`` lie, if not here.

    Returns
    -------
    Encoder
        It works on one thread, and may be called by several at once.

    Raises
    ------
    InputError
        If the runtime is not installed.
    """
    load = {"onnx": _load_onnx, "tensorflow": _load_keras}[runtime]
    if folder is not None:
        return load(folder)
    with as_file(files(__package__)) as own_folder:
        return load(own_folder)


def _load_onnx(folder: Path) -> Encoder:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / "encoder.onnx", options, providers=["CPUExecutionProvider"]
    )

    def encode(image: Image) -> Features:
        fine, code = session.run(["fine", "code"], {"image": image[None]})
        return Features(fine[0], code[0])

    return encode


def _load_keras(folder: Path) -> Encoder:
    try:
        tensorflow: Any = importlib.import_module("tensorflow")
        keras: Any = importlib.import_module("keras")
    except ModuleNotFoundError as error:
        raise InputError(
            f"runtime tensorflow is not installed here ({error.name} is missing); use onnx",
            "runtime",
        ) from error
    model = tensorflow.function(keras.saving.load_model(folder / "encoder.keras"))

    def encode(image: Image) -> Features:
        fine, code = model(np.moveaxis(image, 0, -1)[None], training=False)
        return Features(_bands_first(fine.numpy()), _bands_first(code.numpy()))

    return encode


def _bands_first(batch: Image) -> Image:
    return np.ascontiguousarray(np.moveaxis(batch[0], -1, 0))
