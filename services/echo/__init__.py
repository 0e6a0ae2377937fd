"""Echo: return what was given."""

import shutil
import time
from pathlib import Path

from candela.eo.file_names import output_file
from candela.eo.progress import Progress
from candela.eo.raster.grid import Area
from candela.errors import InputError

STEP_S = 0.2
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def run(
    *,
    literal: str | None,
    bbox: Area | None,
    numbers: list[float],
    image: Path | None,
    document: Path | None,
    mixed: Path | None,
    complex: Path | None,  # noqa: A002 - the names are the inputs'
    pause: float,
    workdir: Path,
    progress: Progress,
) -> dict[str, str | float | Area | Path]:
    """Wait for ``pause`` seconds, then return the inputs."""
    _wait(pause, progress)
    outputs: dict[str, str | float | Area | Path] = {"sum": sum(numbers)}
    if literal is not None:
        outputs["literalOutput"] = literal
    if bbox is not None:
        outputs["bboxOutput"] = bbox
    if image is not None:
        _check_tiff(image)
        outputs["imageOutput"] = shutil.copyfile(image, workdir / "imageOutput.tif")
    if document is not None:
        outputs["documentOutput"] = shutil.copyfile(document, workdir / "documentOutput.json")
    if mixed is not None:
        copy = output_file(workdir, "mixedOutput", mixed.suffix)
        outputs["mixedOutput"] = shutil.copyfile(mixed, copy)
    if complex is not None:
        outputs["complexOutput"] = shutil.copyfile(complex, workdir / "complexOutput.xml")
    return outputs


def _wait(pause: float, progress: Progress) -> None:
    start = time.monotonic()
    while (waited := time.monotonic() - start) < pause:
        progress(100 * waited / pause, f"pausing, {pause - waited:.0f} s left")
        time.sleep(min(STEP_S, pause - waited))


def _check_tiff(image: Path) -> None:
    with image.open("rb") as file:
        if file.read(4) not in TIFF_STARTS:
            raise InputError(f"{image.name} is no TIFF", "image")
