"""An autoencoder across radiometry, trained on unlabelled Sentinel-2 images.

The encoder is one half of it: from the code of one view of a patch, a linear decoder restores
another view of the patch, as if of another day. The decoder has no trained weights. It is a ridge
regression in closed form [1]_, fitted to half of the pixels of each patch and scored on the other
half, as in change detection itself. So the encoder learns what makes one day predictable from
another.

References
----------
.. [1] Bertinetto, L., Henriques, J. F., Torr, P. H. S., Vedaldi, A. (2019). Meta-learning with
   differentiable closed-form solvers. ICLR. https://arxiv.org/abs/1805.08136
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from candela.models.encoder import BANDS

from .augmentation import Views, crop, two_views
from .images import TrainingImage
from .network import build_encoder

logger = logging.getLogger(__name__)

SIDE = 96  # pixels of a patch, a multiple of the coarsest level
BATCH = 8  # patches
RIDGE = 1e-2
OUTLIER = 0.1  # scale of the Cauchy loss: mean squared error
LEARNING_RATE = 3e-4
CALIBRATION_PATCHES = 64
TINY = 1e-6  # instead of a division by zero
REPORT_EVERY = 50  # steps; also between checkpoints
SAMPLES = 4  # patches that are drawn


class TrainingOptions(NamedTuple):
    """Architecture and training of an encoder.

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
    "balanced": TrainingOptions(),
    "spectral": TrainingOptions(widths=(8, 16, 32, 32), context=48, code=256),
    "visible": TrainingOptions(bands=("B02", "B03", "B04", "B08")),
    "compact": TrainingOptions(context=16, code=64),
}


class Trained(NamedTuple):
    """A trained encoder, the loss of each step, and sample patches: source, target, restored."""

    encoder: Any
    losses: list[float]
    samples: list[NDArray[np.float32]]


def train(images: Sequence[TrainingImage], options: TrainingOptions, checkpoints: Path) -> Trained:
    """Train an encoder by Adam with cosine decay, from the last checkpoint if there is one.

    Parameters
    ----------
    images : sequence of TrainingImage
        With the bands of the options.
    options : TrainingOptions
    checkpoints : Path
        Folder of the checkpoints: weights, optimiser, losses and the number of the step.
    """
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    encoder = build_encoder(len(options.bands), options.widths, options.context, options.code)
    random = np.random.default_rng(options.seed)
    patches = [_draw(images, random).source for _ in range(CALIBRATION_PATCHES)]
    initialise_relu_thresholds(encoder, np.stack(patches), options)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, max(1, options.steps))
    optimizer = keras.optimizers.Adam(schedule, clipnorm=1.0)
    optimizer.build(encoder.trainable_variables)
    losses = tf.Variable(tf.zeros(options.steps))
    done = tf.Variable(0)
    state = tf.train.Checkpoint(encoder=encoder, optimizer=optimizer, losses=losses, done=done)
    manager = tf.train.CheckpointManager(state, str(checkpoints), max_to_keep=1)
    if manager.restore_or_initialize():
        logger.info("Training resumes after step %d.", int(done))

    def step(source: Any, target: Any, order: Any) -> Any:  # noqa: ANN401 - TensorFlow is untyped
        with tf.GradientTape() as tape:
            restored, truth = restore(encoder(source, training=True), source, target, order)
            loss = restoration_loss(restored, truth)
        gradients = tape.gradient(loss, encoder.trainable_variables)
        optimizer.apply_gradients(zip(gradients, encoder.trainable_variables, strict=True))
        return loss

    fast_step = tf.function(step)
    for number in range(int(done), options.steps):
        source, target, order = training_batch(images, options.seed, number, BATCH)
        losses[number].assign(fast_step(source, target, order))
        if (number + 1) % REPORT_EVERY == 0 or number + 1 == options.steps:
            done.assign(number + 1)
            manager.save()
            recent = float(np.mean(losses[max(0, number + 1 - REPORT_EVERY) : number + 1]))
            logger.info("Step %d of %d: loss %.4f.", number + 1, options.steps, recent)
    return Trained(encoder, losses.numpy().tolist(), _restore_samples(encoder, images, options))


def restore(outputs: Any, source: Any, target: Any, order: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Restore the target view from the features of the source view, by ridge regression.

    With features H and target Y of half of the n pixels, C = (H'H / n + 0.01 I)^-1 H'Y / n; all
    pixels are restored as H C. The loss is differentiated through the solution.

    Parameters
    ----------
    outputs : tensors
        The encoder's fine features and code, (batch, rows, cols, features) each.
    source, target : tensor, shape (batch, rows, cols, bands)
        Standardised reflectance of both views.
    order : tensor, shape (rows * cols,), int
        A permutation; its first half are the pixels of the fit.

    Returns
    -------
    tuple of two tensors, shape (batch, rows * cols, bands)
        Restored and true pixels in this order.
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
    """Return the Cauchy loss, mean of log(1 + e^2 / 0.1), over the pixels held out of the fit.

    Both are (batch, pixels, bands); e^2 is the mean squared error over the bands.
    """
    half = truth.shape[1] // 2
    squares = tf.reduce_mean((restored - truth)[:, half:] ** 2, axis=-1)
    return tf.reduce_mean(tf.math.log1p(squares / OUTLIER))


def _restore_samples(
    encoder: Any,  # noqa: ANN401 - Keras is untyped
    images: Sequence[TrainingImage],
    options: TrainingOptions,
) -> list[NDArray[np.float32]]:
    """Restore sample patches: (source, target and restored view, rows, cols, bands) of each."""
    source, target, order = training_batch(images, options.seed, options.steps, SAMPLES)
    restored, _ = restore(encoder(source, training=False), source, target, order)
    places = np.argsort(order)
    pictures = restored.numpy()[:, places].reshape(target.shape)
    return [np.stack(views) for views in zip(source, target, pictures, strict=True)]


def initialise_relu_thresholds(
    encoder: Any,  # noqa: ANN401 - Keras is untyped
    patches: NDArray[np.float32],
    options: TrainingOptions,
) -> None:
    """Initialise the code by data: unit variance, thresholds spread over the data's distribution.

    Weights are random, then scaled by the statistics of calibration patches, so that each level of
    the pyramid contributes the same variance to a unit. Before its ReLU unit k of n has standard
    deviation 1 and mean -1 + 2 k / (n - 1): the thresholds of the units lie evenly within one
    standard deviation of their mean.

    References
    ----------
    .. [1] Krähenbühl, P., Doersch, C., Donahue, J., Darrell, T. (2016). Data-dependent
       initializations of convolutional neural networks. ICLR. https://arxiv.org/abs/1511.06856
    """
    for layer in encoder.layers:
        if layer.name.startswith("lateral"):
            kernel, bias = layer.get_weights()
            spread = _values(encoder, layer.output, patches).std(axis=0) + TINY
            layer.set_weights([kernel / spread, bias / spread])
    inputs = _values(encoder, encoder.get_layer("met").output, patches)
    code = encoder.get_layer("code")
    kernel = code.get_weights()[0][0, 0] / (inputs.std(axis=0)[:, None] + TINY)
    kernel[-options.context :] *= np.sqrt(len(options.widths) - 1)  # levels summed in the context
    values = inputs @ kernel
    spread = values.std(axis=0) + TINY
    bias = np.linspace(-1, 1, len(spread)) - values.mean(axis=0) / spread
    code.set_weights([(kernel / spread)[None, None], bias])


def _values(encoder: Any, tensor: Any, patches: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ANN401
    """Evaluate a tensor inside the encoder, shape (pixels, units)."""
    values = keras.Model(encoder.input, tensor).predict(patches, verbose=0)
    return np.asarray(values).reshape(-1, values.shape[-1])


def training_batch(
    images: Sequence[TrainingImage], seed: int, number: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Draw the patches of a step and a permutation of their pixels; seeded by its number."""
    random = np.random.default_rng([seed, number])
    batch = [_draw(images, random) for _ in range(size)]
    source, target = (np.stack(views) for views in zip(*batch, strict=True))
    return source, target, random.permutation(SIDE * SIDE)


def _draw(images: Sequence[TrainingImage], random: np.random.Generator) -> Views:
    """Draw a patch, from an image drawn with a probability proportional to the root of its area."""
    sides = np.sqrt([image.pixels.shape[0] * image.pixels.shape[1] for image in images])
    chosen = images[random.choice(len(images), p=sides / sides.sum())]
    return two_views(crop(chosen.pixels, SIDE, random), random)
