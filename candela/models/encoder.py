"""Runtime of the trained encoders: standardised image in, features out."""

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import yaml
from numpy.typing import NDArray

from candela.eo.memory import Memory
from candela.eo.s2.metadata import DEFAULT_BANDS
from candela.errors import InputError
from candela.models.code import Code, double, halve

BANDS = DEFAULT_BANDS
VISIBLE = slice(0, 3)  # B02, B03, B04: the first bands of every encoder
COARSEST = 16  # pixels; stride of the coarsest level of the deepest encoder
FOLDER = "encoders"  # of those that ship
SUFFIXES = {"onnx": ".onnx", "tensorflow": ".keras"}

Image = NDArray[np.float32]


class Features(NamedTuple):
    """Features of an image.

    Attributes
    ----------
    fine : ndarray, shape (features, rows, cols), float32
        At 10 m.
    code : Code
        At 20 m: rows / 2 and cols / 2.
    """

    fine: Image
    code: Code


@dataclass(frozen=True)
class Encoder:
    """A convolutional encoder, loaded into a runtime.

    Attributes
    ----------
    fine_features : int
        Number of fine features.
    compute : callable
        (image, array for its fine features, memory for the rest) -> code.
    """

    fine_features: int
    compute: Callable[[Image, Image, Memory], Code]

    def __call__(
        self, image: Image, fine: Image | None = None, memory: Memory | None = None
    ) -> Features:
        """Encode a standardised image.

        Parameters
        ----------
        image : ndarray, shape (bands, rows, cols), float32
            Contiguous, with sides that are multiples of ``COARSEST``.
        fine : ndarray, shape (features, rows, cols), float32, optional
            Where the fine features are written; contiguous.
        memory : Memory, optional
            Holds the code, until the next image is encoded into the same memory.
        """
        if fine is None:
            fine = np.empty((self.fine_features, *image.shape[1:]), np.float32)
        return Features(fine, self.compute(image, fine, memory or Memory()))


class EncoderCard(NamedTuple):
    """The model card of an encoder, ``<name>.yaml`` beside its weights.

    Attributes
    ----------
    version : int
    bands : tuple of str
        Input bands, the visible ones first.
    sha256 : dict
        Checksums of ``<name>.onnx`` and ``<name>.keras``, by suffix.
    """

    version: int
    bands: tuple[str, ...]
    sha256: dict[str, str]

    @classmethod
    def read(cls, name: str, folder: Path | None = None) -> "EncoderCard":
        """Read the card of an encoder in a folder, or of one that ships."""
        text = (
            (folder or files(__package__) / FOLDER)
            .joinpath(f"{name}.yaml")
            .read_text(encoding="utf-8")
        )
        card = yaml.safe_load(text)
        return cls(card["version"], tuple(card["bands"]), card["sha256"])


def load_encoder(runtime: str, name: str = "balanced", folder: Path | None = None) -> Encoder:
    """Load an encoder, whose weights must have the checksum of its card.

    Parameters
    ----------
    runtime : {"onnx", "tensorflow"}
        Their features agree to within 1e-4.
    name : str
        An encoder of the folder.
    folder : Path, optional
        With ``<name>.onnx``, ``<name>.keras`` and ``<name>.yaml``; by default the encoders that
        ship.

    Returns
    -------
    Encoder
        Runs on the calling thread; several threads may call it at once.

    Raises
    ------
    InputError
        If the runtime is not installed.
    ValueError
        If the SHA-256 of the weights is not that of the card.
    """
    if folder is None:
        with as_file(files(__package__) / FOLDER) as own_folder:
            return load_encoder(runtime, name, own_folder)
    suffix = SUFFIXES[runtime]
    path = folder / f"{name}{suffix}"
    found, expected = (
        hashlib.sha256(path.read_bytes()).hexdigest(),
        EncoderCard.read(name, folder).sha256[suffix],
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
    feeds = {"image": smallest, "mean1": smallest[..., ::2, ::2]}
    kernel = np.column_stack(session.run(["kernel", "bias"], feeds))
    names, counts = zip(
        *((output.name, output.shape[1]) for output in session.get_outputs()[:-2]), strict=True
    )

    def compute(image: Image, fine: Image, memory: Memory) -> Code:
        _, rows, cols = image.shape
        coarse = memory.array("coarse", counts[-1], rows // 4, cols // 4)
        inputs = memory.array("inputs", kernel.shape[1], rows // 2, cols // 2)
        mean, mixed, doubled = np.split(inputs[:-1], np.cumsum([bands, counts[1]]))
        halve(image, mean)
        binding = session.io_binding()
        binding.bind_cpu_input("image", image[None])
        binding.bind_cpu_input("mean1", mean[None])
        for name, array in zip(names, (fine, mixed, coarse), strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, (1, *array.shape), array.ctypes.data)
        session.run_with_iobinding(binding)
        double(coarse, out=doubled)
        inputs[-1] = 1
        return Code(inputs, kernel)

    return Encoder(counts[0], compute)


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

    def compute(image: Image, fine: Image, _memory: Memory) -> Code:
        fine_features, inputs = model(np.moveaxis(image, 0, -1)[None], training=False)
        fine[:] = _bands_first(fine_features.numpy())
        inputs = np.pad(inputs.numpy(), ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=1)
        return Code(_bands_first(inputs), kernel)

    return Encoder(int(outputs[0].shape[-1]), compute)


def _bands_first(batch: Image) -> Image:
    return np.ascontiguousarray(np.moveaxis(batch[0], -1, 0))
