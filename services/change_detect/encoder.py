"""Run a trained encoder: standardised image in, features out."""

import hashlib
import importlib
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import yaml
from numpy.typing import NDArray

from candela.errors import InputError

from .code import Code

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
COARSEST = 16  # pixels; the pyramid's top has one value for so many: sizes are multiples
SUFFIXES = {"onnx": ".onnx", "tensorflow": ".keras"}

Image = NDArray[np.float32]


class Features(NamedTuple):
    """What the encoder tells about an image.

    Attributes
    ----------
    fine : ndarray, shape (features, rows, cols), float32
    code : Code
        Of rows / 2 and cols / 2.
    """

    fine: Image
    code: Code


Encoder = Callable[[Image], Features]
"""From a standardised image (bands, rows, cols), sides multiples of ``COARSEST``."""


class Facts(NamedTuple):
    """What is written beside an encoder, in ``<name>.yaml``.

    Attributes
    ----------
    version : int
    bands : tuple of str
        What it looks at, the visible bands first.
    sha256 : dict
        Of ``<name>.onnx`` and ``<name>.keras``, by suffix.
    """

    version: int
    bands: tuple[str, ...]
    sha256: dict[str, str]

    @classmethod
    def read(cls, name: str, folder: Path | None = None) -> "Facts":
        """Read the facts about an encoder in a folder, or of one that ships."""
        text = (folder or files(__package__)).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        facts = yaml.safe_load(text)
        return cls(facts["version"], tuple(facts["bands"]), facts["sha256"])


def load_encoder(runtime: str, name: str = "spectral", folder: Path | None = None) -> Encoder:
    """Load an encoder.

    Parameters
    ----------
    runtime : {"onnx", "tensorflow"}
        What computes it; the features are equal to within 1e-4.
    name : str
        One of those that ship with this process, or that lie in the folder.
    folder : Path, optional
        Where ``<name>.onnx``, ``<name>.keras`` and ``<name>.yaml`` lie, if not here.

    Returns
    -------
    Encoder
        It works on one thread, and may be called by several at once.

    Raises
    ------
    InputError
        If the runtime is not installed.
    ValueError
        If the weights are not those that the facts about the encoder tell of.
    """
    if folder is None:
        with as_file(files(__package__)) as own_folder:
            return load_encoder(runtime, name, own_folder)
    suffix = SUFFIXES[runtime]
    path = folder / f"{name}{suffix}"
    found, expected = (
        hashlib.sha256(path.read_bytes()).hexdigest(),
        Facts.read(name, folder).sha256[suffix],
    )
    if found != expected:
        raise ValueError(f"{path.name} has SHA-256 {found}; {name}.yaml tells {expected}")
    return {"onnx": _load_onnx, "tensorflow": _load_keras}[runtime](path)


def _load_onnx(path: Path) -> Encoder:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    bands = session.get_inputs()[0].shape[1]
    smallest = np.zeros((1, bands, COARSEST, COARSEST), np.float32)
    kernel, bias = session.run(["kernel", "bias"], {"image": smallest})

    def encode(image: Image) -> Features:
        fine, met = session.run(["fine", "met"], {"image": image[None]})
        return Features(fine[0], Code(met[0], kernel, bias))

    return encode


def _load_keras(path: Path) -> Encoder:
    try:
        tensorflow: Any = importlib.import_module("tensorflow")
        keras: Any = importlib.import_module("keras")
    except ModuleNotFoundError as error:
        raise InputError(
            f"runtime tensorflow is not installed here ({error.name} is missing); use onnx",
            "runtime",
        ) from error
    whole = keras.saving.load_model(path)
    kernel, bias = whole.get_layer("code").get_weights()
    kernel = np.ascontiguousarray(kernel[0, 0].T)
    outputs = [whole.get_layer(name).output for name in ("fine", "met")]
    model = tensorflow.function(keras.Model(whole.input, outputs))

    def encode(image: Image) -> Features:
        fine, met = model(np.moveaxis(image, 0, -1)[None], training=False)
        return Features(_bands_first(fine.numpy()), Code(_bands_first(met.numpy()), kernel, bias))

    return encode


def _bands_first(batch: Image) -> Image:
    return np.ascontiguousarray(np.moveaxis(batch[0], -1, 0))
