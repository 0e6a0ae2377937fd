"""The encoder's architecture, and its way from Keras to ONNX.

Four levels, each at half the resolution of the one before; every level is a feature map::

    image (10 bands) ── 3x3 ── 1x1 ──► level 0, 10 m
                          └─ 3x3/2 ── 3x3 ──► level 1, 20 m
                                 └─ 3x3/2 ── 3x3 ──► level 2, 40 m
                                        └─ 3x3/2 ── 3x3 ──► level 3, 80 m

Imports Keras and ONNX, which only training needs: serving does not import this module.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # the oldest that knows the opset: old runtimes read the file


def build_encoder(bands: int, widths: tuple[int, ...]) -> Any:  # noqa: ANN401 - Keras is untyped
    """Build the encoder.

    Parameters
    ----------
    bands : int
        Bands of the input, standardised reflectance.
    widths : tuple of int
        Feature maps of each level, the finest first.

    Returns
    -------
    keras.Model
        From (batch, rows, cols, bands) to a list of (batch, rows / 2^l, cols / 2^l, widths[l]).
    """
    image = features = keras.Input((None, None, bands), name="image")
    levels = []
    for level, width in enumerate(widths):
        first = level == 0
        features = keras.layers.Conv2D(
            width,
            3,
            strides=1 if first else 2,
            padding="same",
            activation="relu",
            name=f"reduce{level}",
        )(features)
        features = keras.layers.Conv2D(
            width, 1 if first else 3, padding="same", activation="relu", name=f"mix{level}"
        )(features)
        levels.append(features)
    return keras.Model(image, levels, name="encoder")


def export_onnx(encoder: Any, path: Path) -> None:  # noqa: ANN401 - Keras is untyped
    """Write the encoder as an ONNX graph with inputs and outputs in (batch, bands, rows, cols)."""
    bands = int(encoder.input_shape[-1])
    layers = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    nodes, weights, outputs = [], [], []
    name = "image"
    for layer in layers:
        kernel, bias = (np.asarray(weight) for weight in layer.get_weights())
        weights += [
            numpy_helper.from_array(kernel.transpose(3, 2, 0, 1).copy(), f"{layer.name}.kernel"),
            numpy_helper.from_array(bias, f"{layer.name}.bias"),
        ]
        nodes += _convolution(layer.name, name, kernel, stride=int(layer.strides[0]))
        name = layer.name
        if name.startswith("mix"):
            rows, cols = f"rows_{name}", f"cols_{name}"
            shape = ["batch", bias.size, rows, cols]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info(
        "image", TensorProto.FLOAT, ["batch", bands, "rows", "cols"]
    )
    graph = helper.make_graph(nodes, "encoder", [image], outputs, weights)
    model = helper.make_model(
        graph,
        producer_name="candela",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _convolution(
    name: str, source: str, kernel: NDArray[np.float32], *, stride: int
) -> list[onnx.NodeProto]:
    """Return a convolution and its ReLU, padded as Keras pads ("same", even sizes)."""
    side = kernel.shape[0]
    before = (side - stride) // 2 if stride == 1 else 0
    after = side - stride - before
    return [
        helper.make_node(
            "Conv",
            [source, f"{name}.kernel", f"{name}.bias"],
            [f"{name}.sum"],
            name=f"{name}.conv",
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[before, before, after, after],
        ),
        helper.make_node("Relu", [f"{name}.sum"], [name], name=f"{name}.relu"),
    ]
