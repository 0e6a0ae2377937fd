"""Echo: return what was given."""

import time
from pathlib import Path

from candela.eo.progress import Progress
from candela.eo.raster.grid import Area

STEP_S = 0.2


def run(
    *,
    literal: str | None,
    complex: Path | None,  # noqa: A002 - the names are the inputs'
    bbox: Area | None,
    numbers: list[float],
    pause: float,
    workdir: Path,
    progress: Progress,
) -> dict[str, str | float | Area | Path]:
    """Wait for ``pause`` seconds, then return the inputs."""
    start = time.monotonic()
    while (waited := time.monotonic() - start) < pause:
        progress(100 * waited / pause, f"pausing, {pause - waited:.0f} s left")
        time.sleep(min(STEP_S, pause - waited))
    outputs: dict[str, str | float | Area | Path] = {"sum": sum(numbers)}
    if literal is not None:
        outputs["literalOutput"] = literal
    if bbox is not None:
        outputs["bboxOutput"] = bbox
    if complex is not None:
        copy = workdir / "complexOutput.xml"
        copy.write_bytes(complex.read_bytes())
        outputs["complexOutput"] = copy
    return outputs
