"""Run a trained encoder: standardised image in, features out."""

import hashlib
import importlib
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnxruntime
import yaml
from numpy.typing import NDArray

from candela.eo.memory import Memory
from candela.errors import InputError

from .code import Code

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
COARSEST = 16  # pixels; the top of the highest pyramid has one value for so many
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


class Encoder(Protocol):
    """Describes images."""

    def __call__(self, image: Image, memory: Memory | None = None) -> Features:
        """Describe a standardised image.

        Parameters
        ----------
        image : ndarray, shape (bands, rows, cols), float32
            Contiguous, with sides that are multiples of ``COARSEST``.
        memory : Memory, optional
            Has the features; they hold until the next image is encoded into the same.
        """


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


def load_encoder(runtime: str, name: str = "balanced", folder: Path | None = None) -> Encoder:
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
    kernel = np.column_stack(session.run(["kernel", "bias"], {"image": smallest}))
    channels = {
        output.name: output.shape[1]
        for output in session.get_outputs()
        if output.name not in {"kernel", "bias"}
    }

    def encode(image: Image, memory: Memory | None = None) -> Features:
        _, rows, cols = image.shape
        memory = memory or Memory()
        fine = memory.array("fine", channels["fine"], rows, cols)
        met = memory.array("met", kernel.shape[1], rows // 2, cols // 2)
        binding = session.io_binding()
        binding.bind_cpu_input("image", image[None])
        first = 0
        for name, count in channels.items():
            if name == "fine":
                array = fine
            else:  # side by side: they meet
                array, first = met[first : first + count], first + count
            binding.bind_output(name, "cpu", 0, np.float32, (1, *array.shape), array.ctypes.data)
        session.run_with_iobinding(binding)
        met[first:] = 1
        return Features(fine, Code(met, kernel))

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
    kernel = np.column_stack([kernel[0, 0].T, bias])
    outputs = [whole.get_layer(name).output for name in ("fine", "met")]
    model = tensorflow.function(keras.Model(whole.input, outputs))

    def encode(image: Image, memory: Memory | None = None) -> Features:  # noqa: ARG001
        fine, met = model(np.moveaxis(image, 0, -1)[None], training=False)
        met = np.pad(met.numpy(), ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=1)
        return Features(_bands_first(fine.numpy()), Code(_bands_first(met), kernel))

    return encode


def _bands_first(batch: Image) -> Image:
    return np.ascontiguousarray(np.moveaxis(batch[0], -1, 0))
