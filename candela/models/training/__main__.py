"""Train an encoder on unlabelled Sentinel-2 images.

    python -m candela.models.training --data IMAGES --output FOLDER [--name balanced]

reads all images below IMAGES, trains for some minutes (on a GPU where TensorFlow finds one) and
writes FOLDER/NAME.keras and FOLDER/NAME.onnx, the same network twice, and its card NAME.yaml with
their checksums; the loss of each step as NAME_loss.csv and .png, and restored patches as
NAME_samples.png. The same images and seed give the same weights, up to rounding. An interrupted
training resumes at its last checkpoint, in FOLDER/NAME.checkpoints.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from candela.errors import InputError
from candela.models.encoder import BANDS

from .autoencoder import ENCODERS, TrainingOptions, train
from .images import find_images
from .network import export_onnx, export_units
from .report import draw_losses, draw_samples, write_card

logger = logging.getLogger(__name__)


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
    card = {"version": asked.version} | options._asdict() | {"images": len(images)}
    write_card(output, asked.name, card)
    draw_losses(output / f"{asked.name}_loss", trained.losses)
    draw_samples(output / f"{asked.name}_samples.png", trained.samples)
    logger.info("%s holds the encoder %s.", output, asked.name)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m candela.models.training",
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
    parser.add_argument(
        "--version", type=int, default=1, help="version of the encoder, for its card"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--steps", type=int, default=TrainingOptions().steps, help="training steps")
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
