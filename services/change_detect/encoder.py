"""Run the trained encoder: standardised image in, feature maps out."""

import importlib
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from candela.eo.threads import thread_count
from candela.errors import InputError

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
COARSEST = 8  # pixels; the coarsest feature map has one value for so many: sizes are multiples

Image = NDArray[np.float32]
Levels = tuple[Image, ...]
Encoder = Callable[[Image], Levels]
"""From a standardised image (bands, rows, cols), sides multiples of ``COARSEST``, to its feature
maps, the finest first: (width, rows / 2^level, cols / 2^level), float32."""


def load_encoder(runtime: str, folder: Path | None = None) -> Encoder:
    """Load the encoder that ships with this process.

    Parameters
    ----------
    runtime : {"onnx", "tensorflow"}
        What computes it; the feature maps are equal to within 1e-4.
    folder : Path, optional
        Where ``encoder.onnx`` and ``encoder.keras`` lie, if not here.

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
    options.intra_op_num_threads = thread_count()
    session = onnxruntime.InferenceSession(
        folder / "encoder.onnx", options, providers=["CPUExecutionProvider"]
    )

    def encode(image: Image) -> Levels:
        return tuple(level[0] for level in session.run(None, {"image": image[None]}))

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

    def encode(image: Image) -> Levels:
        levels = model(np.moveaxis(image, 0, -1)[None], training=False)
        return tuple(np.moveaxis(level.numpy()[0], -1, 0) for level in levels)

    return encode
