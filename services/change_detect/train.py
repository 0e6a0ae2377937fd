"""Train the encoder on unlabelled Sentinel-2 images.

    python -m candela.services.change_detect.train --data IMAGES --output FOLDER

reads all images below IMAGES, trains for some minutes and writes FOLDER/encoder.keras and
FOLDER/encoder.onnx, the same network twice (and the graph of a matrix product, which does not
depend on the images). The same images and seed give the same weights, up to rounding.

The encoder is one half of an autoencoder that looks across radiometry: from the code of one view
of a patch, a linear decoder restores another view of it, as it were of another day. The decoder is
not trained: as in change detection itself, it is the best one for the patch at hand, in closed
form, fitted on half of its pixels and judged on the others. So the encoder learns what makes one
day predictable from another, and the test is the task.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from candela.errors import InputError

from .augmentation import Views, crop, two_views
from .encoder import BANDS
from .network import build_encoder, export_onnx, export_product
from .training_images import TrainingImage, find_images

logger = logging.getLogger(__name__)

SIDE = 96  # pixels of a patch, a multiple of the coarsest level
BATCH = 8  # patches
RIDGE = 1e-2
OUTLIER = 0.1  # mean squared error beyond which a pixel hardly counts
LEARNING_RATE = 3e-4
CALIBRATION_PATCHES = 64
TINY = 1e-6  # instead of a division by zero
REPORT_EVERY = 50  # steps


class Options(NamedTuple):
    """How to train."""

    seed: int = 0
    steps: int = 150
    widths: tuple[int, ...] = (8, 16, 32, 32)
    context: int = 48
    code: int = 256


def train(images: Sequence[TrainingImage], options: Options) -> Any:  # noqa: ANN401 - untyped
    """Train an encoder.

    Parameters
    ----------
    images : sequence of TrainingImage
    options : Options

    Returns
    -------
    keras.Model
    """
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    random = np.random.default_rng(options.seed)
    encoder = build_encoder(len(BANDS), options.widths, options.context, options.code)
    patches = [_draw(images, random).source for _ in range(CALIBRATION_PATCHES)]
    spread_bends(encoder, np.stack(patches), options)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, max(1, options.steps))
    optimizer = keras.optimizers.Adam(schedule, clipnorm=1.0)

    def step(source: Any, target: Any, order: Any) -> Any:  # noqa: ANN401 - TensorFlow is untyped
        with tf.GradientTape() as tape:
            loss = restoration_loss(encoder(source, training=True), source, target, order)
        gradients = tape.gradient(loss, encoder.trainable_variables)
        optimizer.apply_gradients(zip(gradients, encoder.trainable_variables, strict=True))
        return loss

    fast_step = tf.function(step)
    losses = []
    for number in range(1, options.steps + 1):
        batch = [_draw(images, random) for _ in range(BATCH)]
        source, target = (np.stack(views) for views in zip(*batch, strict=True))
        losses.append(float(fast_step(source, target, random.permutation(SIDE * SIDE))))
        if number % REPORT_EVERY == 0:
            recent = float(np.mean(losses[-REPORT_EVERY:]))
            logger.info("Step %d of %d: loss %.4f.", number, options.steps, recent)
    return encoder


def restoration_loss(outputs: Any, source: Any, target: Any, order: Any) -> Any:  # noqa: ANN401
    """Restore the target view from the features of the source view, and measure the error.

    Parameters
    ----------
    outputs : tensors
        The encoder's fine features and code, (batch, rows, cols, features) each.
    source, target : tensor, shape (batch, rows, cols, bands)
        Standardised reflectance of both views.
    order : tensor, shape (rows * cols,), int
        A permutation: the first half of it are the pixels to fit on.
    """
    fine, code = outputs
    _, rows, cols, bands = source.shape
    code = tf.image.resize(code, (rows, cols), method="bilinear")
    features = tf.concat([source, fine, code, tf.ones_like(source[..., :1])], axis=-1)
    features = tf.reshape(features, (-1, rows * cols, features.shape[-1]))
    features = tf.gather(features, order, axis=1)
    target = tf.gather(tf.reshape(target, (-1, rows * cols, bands)), order, axis=1)
    half = rows * cols // 2
    known, unknown = features[:, :half], features[:, half:]
    normal_matrix = tf.matmul(known, known, transpose_a=True) / half
    normal_matrix += RIDGE * tf.eye(features.shape[-1])
    right_side = tf.matmul(known, target[:, :half], transpose_a=True) / half
    decoder = tf.linalg.solve(normal_matrix, right_side)
    squares = tf.reduce_mean((tf.matmul(unknown, decoder) - target[:, half:]) ** 2, axis=-1)
    return tf.reduce_mean(tf.math.log1p(squares / OUTLIER))


def spread_bends(encoder: Any, patches: NDArray[np.float32], options: Options) -> None:  # noqa: ANN401
    """Scale the code's units so that they bend within the data, each at another place.

    Every level of the pyramid brings the same variance to a unit; before its ReLU every unit has
    standard deviation 1 and a mean between -1 and 1.
    """
    for layer in encoder.layers:
        if layer.name.startswith("lateral"):
            kernel, bias = layer.get_weights()
            spread = _values(encoder, layer.output, patches).std(axis=0) + TINY
            layer.set_weights([kernel / spread, bias / spread])
    inputs = _values(encoder, encoder.get_layer("met").output, patches)
    code = encoder.get_layer("code")
    kernel = code.get_weights()[0][0, 0] / (inputs.std(axis=0)[:, None] + TINY)
    kernel[-options.context :] *= np.sqrt(len(options.widths) - 1)  # so many levels in one
    values = inputs @ kernel
    spread = values.std(axis=0) + TINY
    bias = np.linspace(-1, 1, len(spread)) - values.mean(axis=0) / spread
    code.set_weights([(kernel / spread)[None, None], bias])


def _values(encoder: Any, tensor: Any, patches: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ANN401
    """Compute a tensor inside the encoder, shape (pixels, units)."""
    values = keras.Model(encoder.input, tensor).predict(patches, verbose=0)
    return np.asarray(values).reshape(-1, values.shape[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    images = list(find_images(options.data, exclude=options.exclude))
    if not images:
        raise InputError(f"{options.data} has no image with the bands {', '.join(BANDS)}")
    for image in images:
        logger.info("%s: %d x %d pixels.", image.name, *image.pixels.shape[:2])
    encoder = train(images, Options(options.seed, options.steps))
    options.output.mkdir(parents=True, exist_ok=True)
    encoder.save(options.output / "encoder.keras")
    export_onnx(encoder, options.output / "encoder.onnx")
    export_product(options.output / "product.onnx")
    logger.info("%s holds encoder.keras and encoder.onnx.", options.output)


def _draw(images: Sequence[TrainingImage], random: np.random.Generator) -> Views:
    """Draw a patch; large images count more, but not by their full area."""
    sides = np.sqrt([image.pixels.shape[0] * image.pixels.shape[1] for image in images])
    chosen = images[random.choice(len(images), p=sides / sides.sum())]
    return two_views(crop(chosen.pixels, SIDE, random), random)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m candela.services.change_detect.train",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of images: GeoTIFFs as Jpeg2Tiff makes them, GeoTIFFs with all 12 or 13 "
        "bands, or folders with one file per band (...B02.tif)",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the encoder")
    parser.add_argument("--seed", type=int, default=0, help="start of all random numbers")
    parser.add_argument("--steps", type=int, default=Options().steps, help="training steps")
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="NAME",
        help="folder not to look into, for example one that accuracy is measured on; repeatable",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
