"""Train the encoder on unlabelled Sentinel-2 images.

    python -m candela.services.change_detect.train --data IMAGES --output FOLDER [--name balanced]

reads all images below IMAGES, trains for some minutes (on a GPU where TensorFlow finds one) and
writes FOLDER/NAME.keras and FOLDER/NAME.onnx, the same network twice, with their checksums in
NAME.yaml; the course of the loss as NAME_loss.csv and .png, and patches as they were restored as
NAME_samples.png. The same images and seed give the same weights, up to rounding. Interrupted
training goes on where it was: what it needs is in FOLDER/NAME.checkpoints.

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
from .network import build_encoder, export_onnx, export_units
from .training_images import TrainingImage, find_images
from .training_report import draw_losses, draw_samples, write_facts

logger = logging.getLogger(__name__)

SIDE = 96  # pixels of a patch, a multiple of the coarsest level
BATCH = 8  # patches
RIDGE = 1e-2
OUTLIER = 0.1  # mean squared error beyond which a pixel hardly counts
LEARNING_RATE = 3e-4
CALIBRATION_PATCHES = 64
TINY = 1e-6  # instead of a division by zero
REPORT_EVERY = 50  # steps; also between checkpoints
SAMPLES = 4  # patches that are drawn


class Options(NamedTuple):
    """What to train, and how.

    Attributes
    ----------
    bands : tuple of str
        Of ``BANDS``, the visible ones first.
    widths, context, code
        See ``build_encoder``.
    seed : int
    steps : int
    """

    bands: tuple[str, ...] = BANDS
    widths: tuple[int, ...] = (8, 12, 16)
    context: int = 24
    code: int = 128
    seed: int = 0
    steps: int = 150


ENCODERS = {
    "balanced": Options(),
    "spectral": Options(widths=(8, 16, 32, 32), context=48, code=256),
    "visible": Options(bands=("B02", "B03", "B04", "B08")),
    "compact": Options(context=16, code=64),
}


class Trained(NamedTuple):
    """A trained encoder, the loss of each step, and some patches: source, target and restored."""

    encoder: Any
    losses: list[float]
    samples: list[NDArray[np.float32]]


def train(images: Sequence[TrainingImage], options: Options, checkpoints: Path) -> Trained:
    """Train an encoder, from the last checkpoint on if there is one.

    Parameters
    ----------
    images : sequence of TrainingImage
        With the bands of the options.
    options : Options
    checkpoints : Path
        Folder for what is needed to go on after an interruption.
    """
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    encoder = build_encoder(len(options.bands), options.widths, options.context, options.code)
    random = np.random.default_rng(options.seed)
    patches = [_draw(images, random).source for _ in range(CALIBRATION_PATCHES)]
    spread_bends(encoder, np.stack(patches), options)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, max(1, options.steps))
    optimizer = keras.optimizers.Adam(schedule, clipnorm=1.0)
    optimizer.build(encoder.trainable_variables)
    losses = tf.Variable(tf.zeros(options.steps))
    done = tf.Variable(0)
    state = tf.train.Checkpoint(encoder=encoder, optimizer=optimizer, losses=losses, done=done)
    manager = tf.train.CheckpointManager(state, str(checkpoints), max_to_keep=1)
    if manager.restore_or_initialize():
        logger.info("Going on after step %d.", int(done))

    def step(source: Any, target: Any, order: Any) -> Any:  # noqa: ANN401 - TensorFlow is untyped
        with tf.GradientTape() as tape:
            restored, truth = restore(encoder(source, training=True), source, target, order)
            loss = restoration_loss(restored, truth)
        gradients = tape.gradient(loss, encoder.trainable_variables)
        optimizer.apply_gradients(zip(gradients, encoder.trainable_variables, strict=True))
        return loss

    fast_step = tf.function(step)
    for number in range(int(done), options.steps):
        source, target, order = _batch(images, options.seed, number, BATCH)
        losses[number].assign(fast_step(source, target, order))
        if (number + 1) % REPORT_EVERY == 0 or number + 1 == options.steps:
            done.assign(number + 1)
            manager.save()
            recent = float(np.mean(losses[max(0, number + 1 - REPORT_EVERY) : number + 1]))
            logger.info("Step %d of %d: loss %.4f.", number + 1, options.steps, recent)
    return Trained(encoder, losses.numpy().tolist(), _restore_samples(encoder, images, options))


def restore(outputs: Any, source: Any, target: Any, order: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Restore the target view from the features of the source view.

    Parameters
    ----------
    outputs : tensors
        The encoder's fine features and code, (batch, rows, cols, features) each.
    source, target : tensor, shape (batch, rows, cols, bands)
        Standardised reflectance of both views.
    order : tensor, shape (rows * cols,), int
        A permutation: the first half of it are the pixels to fit on.

    Returns
    -------
    tuple of two tensors, shape (batch, rows * cols, bands)
        The restored pixels and the true ones, in the order given.
    """
    fine, code = outputs
    _, rows, cols, bands = source.shape
    code = tf.image.resize(code, (rows, cols), method="bilinear")
    features = tf.concat([source, fine, code, tf.ones_like(source[..., :1])], axis=-1)
    features = tf.reshape(features, (-1, rows * cols, features.shape[-1]))
    features = tf.gather(features, order, axis=1)
    target = tf.gather(tf.reshape(target, (-1, rows * cols, bands)), order, axis=1)
    half = rows * cols // 2
    known = features[:, :half]
    normal_matrix = tf.matmul(known, known, transpose_a=True) / half
    normal_matrix += RIDGE * tf.eye(features.shape[-1])
    right_side = tf.matmul(known, target[:, :half], transpose_a=True) / half
    return tf.matmul(features, tf.linalg.solve(normal_matrix, right_side)), target


def restoration_loss(restored: Any, truth: Any) -> Any:  # noqa: ANN401 - TensorFlow is untyped
    """Measure the error of restored pixels (batch, pixels, bands): of those not fitted on."""
    half = truth.shape[1] // 2
    squares = tf.reduce_mean((restored - truth)[:, half:] ** 2, axis=-1)
    return tf.reduce_mean(tf.math.log1p(squares / OUTLIER))


def _restore_samples(
    encoder: Any,  # noqa: ANN401 - Keras is untyped
    images: Sequence[TrainingImage],
    options: Options,
) -> list[NDArray[np.float32]]:
    """Restore some patches: (source, target and restored view, rows, cols, bands) of each."""
    source, target, order = _batch(images, options.seed, options.steps, SAMPLES)
    restored, _ = restore(encoder(source, training=False), source, target, order)
    places = np.argsort(order)
    pictures = restored.numpy()[:, places].reshape(target.shape)
    return [np.stack(views) for views in zip(source, target, pictures, strict=True)]


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
    asked = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = ENCODERS[asked.name]._replace(seed=asked.seed, steps=asked.steps)
    images = list(find_images(asked.data, exclude=asked.exclude))
    if not images:
        raise InputError(f"{asked.data} has no image with the bands {', '.join(BANDS)}")
    for image in images:
        logger.info("%s: %d x %d pixels.", image.name, *image.pixels.shape[:2])
    chosen = [BANDS.index(band) for band in options.bands]
    images = [image._replace(pixels=image.pixels[..., chosen]) for image in images]
    output: Path = asked.output
    output.mkdir(parents=True, exist_ok=True)
    trained = train(images, options, output / f"{asked.name}.checkpoints")
    trained.encoder.save(output / f"{asked.name}.keras")
    export_onnx(trained.encoder, output / f"{asked.name}.onnx")
    export_units(output)
    facts = {"version": asked.version} | options._asdict() | {"images": len(images)}
    write_facts(output, asked.name, facts)
    draw_losses(output / f"{asked.name}_loss", trained.losses)
    draw_samples(output / f"{asked.name}_samples.png", trained.samples)
    logger.info("%s holds the encoder %s.", output, asked.name)


def _batch(
    images: Sequence[TrainingImage], seed: int, number: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Draw the patches of a step and an order of their pixels: the same for the same number."""
    random = np.random.default_rng([seed, number])
    batch = [_draw(images, random) for _ in range(size)]
    source, target = (np.stack(views) for views in zip(*batch, strict=True))
    return source, target, random.permutation(SIDE * SIDE)


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
    parser.add_argument("--name", choices=sorted(ENCODERS), default="balanced", help="which one")
    parser.add_argument("--version", type=int, default=1, help="what to call the result")
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
