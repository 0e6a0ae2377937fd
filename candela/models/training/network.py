"""The encoder's architecture, and its way from Keras to ONNX.

A pyramid of strided convolutions, beside the image itself at every resolution. Its upper levels are
summed top-down to the context, as in a feature pyramid network [1]_; context, features and image
are concatenated at 20 m and enter a wide 1 x 1 layer of ReLUs: the code. With a linear decoder it
is a piecewise linear model whose knots are the thresholds of the units::

    image ─────────── 3x3 ─────────────────────────────────► fine features, 10 m
      ▼ mean 2x2       ▼ 3x3/2, 3x3
    image, 20 m ── features, 20 m ── 1x1, ReLU ────────────► code, 20 m
      ▼                ▼                ▲
    image, 40 m ── features, 40 m ─────(+) context
      ▼                                 ▲
    image, 80 m ────────────────────────┘

(``spectral`` has one level more.)

Imports Keras and ONNX, which only training needs: serving does not import this module.

References
----------
.. [1] Lin, T.-Y., Dollár, P., Girshick, R., He, K., Hariharan, B., Belongie, S. (2017). Feature
   pyramid networks for object detection. CVPR. https://doi.org/10.1109/CVPR.2017.106
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # the oldest that knows the opset: old runtimes read the file
OPERATORS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "Add": ("Add", [], {}),
    "AveragePooling2D": ("AveragePool", [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "Concatenate": ("Concat", [], {"axis": 1}),
    "UpSampling2D": (
        "Resize",
        ["", "twice"],
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    ),
}  # Keras layer: ONNX operator, further inputs, attributes


def build_encoder(bands: int, widths: tuple[int, ...], context: int, code: int) -> Any:  # noqa: ANN401
    """Build the encoder.

    Parameters
    ----------
    bands : int
        Bands of the input, standardised reflectance.
    widths : tuple of int
        Feature maps of each level of the pyramid, the finest first.
    context : int
        Channels of the context, the sum of the levels above the second.
    code : int
        Units of the code.

    Returns
    -------
    keras.Model
        From (batch, rows, cols, bands) to the fine features (batch, rows, cols, widths[0]) and
        the code (batch, rows / 2, cols / 2, code).
    """
    image = keras.Input((None, None, bands), name="image")
    fine = layers.Conv2D(widths[0], 3, padding="same", activation="relu", name="fine")(image)
    mean, features = image, fine
    known = []  # at each level, the finest first
    for level, width in enumerate(widths[1:], 1):
        mean = layers.AveragePooling2D(2, name=f"mean{level}")(mean)
        for name, stride in ((f"reduce{level}", 2), (f"mix{level}", 1)):
            features = layers.Conv2D(
                width, 3, strides=stride, padding="same", activation="relu", name=name
            )(features)
        known.append(layers.Concatenate(name=f"known{level}")([mean, features]))
    last = len(widths)
    known.append(layers.AveragePooling2D(2, name=f"mean{last}")(mean))
    total = layers.Conv2D(context, 1, name=f"lateral{last}")(known[-1])
    for level in range(last - 1, 1, -1):
        coarse = layers.UpSampling2D(2, interpolation="bilinear", name=f"enlarge{level}")(total)
        own = layers.Conv2D(context, 1, name=f"lateral{level}")(known[level - 1])
        total = layers.Add(name=f"sum{level}")([own, coarse])
    coarse = layers.UpSampling2D(2, interpolation="bilinear", name="context")(total)
    met = layers.Concatenate(name="met")([known[0], coarse])
    units = layers.Conv2D(code, 1, activation="relu", name="code")(met)
    return keras.Model(image, [fine, units], name="encoder")


def export_onnx(encoder: Any, path: Path) -> None:  # noqa: ANN401 - Keras is untyped
    """Write the encoder as an ONNX graph with inputs and outputs in (batch, bands, rows, cols).

    The graph leaves resampling and the code to the caller, which computes them faster. Its inputs
    are the image and ``mean1``, its means of 2 x 2 pixels; its outputs are the fine features, the
    features at 20 m, the context at 40 m, and the ``kernel`` (units, channels) and ``bias`` of the
    code's layer. The caller concatenates means, features and upsampled context.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    for layer in encoder.layers[1:-1]:
        if layer.name in {"mean1", "known1", "context", "met"}:
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        sources = [_tensor_name(tensor) for tensor in inputs]
        if isinstance(layer, layers.Conv2D):
            kernel, bias = (np.asarray(weight) for weight in layer.get_weights())
            weights += [
                numpy_helper.from_array(
                    kernel.transpose(3, 2, 0, 1).copy(), f"{layer.name}.kernel"
                ),
                numpy_helper.from_array(bias, f"{layer.name}.bias"),
            ]
            nodes += _convolution(layer, sources[0])
        else:
            kind, inputs, attributes = OPERATORS[type(layer).__name__]
            nodes.append(
                helper.make_node(
                    kind, [*sources, *inputs], [layer.name], name=layer.name, **attributes
                )
            )
    weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
    described = [encoder.get_layer(name).output for name in ("fine", "mix1")]
    described.append(encoder.get_layer("context").input)
    outputs = [_image_info(_tensor_name(output), int(output.shape[-1])) for output in described]
    for name, weight in zip(("kernel", "bias"), encoder.layers[-1].get_weights(), strict=True):
        stored = np.asarray(weight)[0, 0].T.copy() if name == "kernel" else np.asarray(weight)
        weights.append(numpy_helper.from_array(stored, f"last.{name}"))
        nodes.append(helper.make_node("Identity", [f"last.{name}"], [name], name=name))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, stored.shape))
    inputs = [_image_info(name, int(encoder.input_shape[-1])) for name in ("image", "mean1")]
    _write_model(helper.make_graph(nodes, "encoder", inputs, outputs, weights), path)


def export_units(folder: Path) -> None:
    """Write the ONNX graph of ``units.py``."""
    shapes: dict[str, list[str | int]] = {
        "weights": ["sums", "units"],
        "bands": ["bands", "pixels"],
        "sums": ["sums", "pixels"],
        "kernel": ["units", "bands"],
    }
    layer = [
        helper.make_node("MatMul", ["kernel", "bands"], ["products"]),
        helper.make_node("Relu", ["products"], ["code"]),
        helper.make_node("MatMul", ["weights", "code"], ["sums"]),
    ]
    _write_model(_small_graph("units", layer, shapes), folder / "units.onnx")


def _small_graph(
    name: str, nodes: list[onnx.NodeProto], shapes: Mapping[str, Sequence[str | int]]
) -> onnx.GraphProto:
    """Return a graph of float matrices, all of them inputs but the sums."""
    infos = {
        tensor: helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape)
        for tensor, shape in shapes.items()
    }
    sums = infos.pop("sums")
    return helper.make_graph(nodes, name, list(infos.values()), [sums])


def _write_model(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(
        graph,
        producer_name="candela",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _tensor_name(tensor: Any) -> str:  # noqa: ANN401 - Keras is untyped
    """Return the name of the layer that makes a tensor: its ONNX name."""
    return str(tensor._keras_history.operation.name)


def _image_info(name: str, bands: int) -> onnx.ValueInfoProto:
    shape = ["batch", bands, f"rows_{name}", f"cols_{name}"]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _convolution(layer: Any, source: str) -> list[onnx.NodeProto]:  # noqa: ANN401 - untyped
    """Return a convolution and its ReLU, padded as Keras pads ("same", even sizes)."""
    side, stride = int(layer.kernel_size[0]), int(layer.strides[0])
    before = (side - 1) // 2 if stride == 1 else 0
    after = side - stride - before
    has_relu = layer.activation is keras.activations.relu
    result = f"{layer.name}.sum" if has_relu else layer.name
    nodes = [
        helper.make_node(
            "Conv",
            [source, f"{layer.name}.kernel", f"{layer.name}.bias"],
            [result],
            name=f"{layer.name}.conv",
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[before, before, after, after],
        )
    ]
    if has_relu:
        nodes.append(helper.make_node("Relu", [result], [layer.name], name=f"{layer.name}.relu"))
    return nodes
