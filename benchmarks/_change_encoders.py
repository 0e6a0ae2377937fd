"""Encoders to compare the trained one with: from a standardised image to features."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from candela.models.code import Code
from candela.models.encoder import Encoder, load_encoder

PATCH = 8  # pixels: what the linear encoder sees
COMPONENTS = 32
FITTED_ON = 20_000  # patches
ABOVE_ZERO = 256.0  # more than any code's value below zero


def means(image: np.ndarray, _fine: object, _memory: object) -> Code:
    """Tell nothing but the means over two pixels."""
    return as_code(halved(image))


def principal_components(image: np.ndarray, _fine: object, _memory: object) -> Code:
    """Encode patches by their principal components: the best linear autoencoder.

    It is fitted to the image itself; an offset of two pixels between patches.
    """
    padded = np.pad(image, ((0, 0), (PATCH // 2 - 1,) * 2, (PATCH // 2 - 1,) * 2), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH), axis=(1, 2))
    windows = windows[:, ::2, ::2].transpose(1, 2, 0, 3, 4)
    rows, cols = windows.shape[:2]
    patches = windows.reshape(rows * cols, -1)
    chosen = np.random.default_rng(0).permutation(rows * cols)[:FITTED_ON]
    mean = patches[chosen].mean(axis=0)
    centred = patches[chosen] - mean
    _, axes = np.linalg.eigh(centred.T @ centred)
    code = (patches - mean) @ axes[:, -COMPONENTS:]
    components = np.ascontiguousarray(code.T.reshape(-1, rows, cols), np.float32)
    return as_code(components)


def as_code(values: np.ndarray) -> Code:
    """Return a code that is these values and a constant: none of its ReLUs bends."""
    count, *shape = values.shape
    constant = np.full(count, ABOVE_ZERO, np.float32)
    kernel = np.column_stack([np.eye(count, dtype=np.float32), constant])
    return Code(np.concatenate([values, np.ones((1, *shape), np.float32)]), kernel)


NO_ENCODER = Encoder(0, means)
LINEAR_ENCODER = Encoder(0, principal_components)


def random_encoder(data: Path) -> Encoder:
    """Return the encoder as it is before training, scaled to images: needs TensorFlow."""
    from candela.models.training.__main__ import main

    with tempfile.TemporaryDirectory() as folder:
        main(["--data", str(data), "--output", folder, "--steps", "0"])
        return load_encoder("onnx", "balanced", Path(folder))


def halved(image: np.ndarray) -> np.ndarray:
    rows, cols = image.shape[1:]
    return np.stack(
        [cv2.resize(band, (cols // 2, rows // 2), interpolation=cv2.INTER_AREA) for band in image]
    )
