"""How long SarChangeSeries takes to add a date to a full tile, and how much memory.

    python benchmarks/sar_series_speed.py [--size 10980] [--dates 8] [--folder .cache/bench]

Dates are synthetic, as S1tiling makes them: VV and VH, float32, speckle of 4.4 looks, every
12 days from January on: two seasons from the sixth on. Making them is not measured. Each date is
added in a process of its own, as a job does, from the state that the one before wrote.
"""

import argparse
import json
import os
import shutil
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psutil
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image, gdal_environment

SAMPLE_S = 0.05
STRIP = 512
LOOKS = 4.4
FIRST = date(2023, 1, 5)


def make_date(folder: Path, size: int, number: int) -> list[Path]:
    """Return the images of a date, made if they are not there yet."""
    day = FIRST + timedelta(12 * number)
    grid = Grid(CRS.from_epsg(32631), Affine(10, 0, 399960, 0, -10, 4800000), Shape(size, size))
    paths = []
    for polarisation, level in (("vv", -10), ("vh", -17)):
        path = folder / f"s1a_31TCJ_{polarisation}_DES_008_{day:%Y%m%d}t060000.tif"
        paths.append(path)
        if path.exists():
            continue
        random = np.random.default_rng(number)
        pattern = np.random.default_rng(0).normal(level, 2, (STRIP // 16, size // 16 + 1))
        mean = 10 ** (pattern.repeat(16, axis=0).repeat(16, axis=1)[:, :size] / 10)
        tags = {"SENSING_TIME": f"{day}T06:00:00Z", "CALIBRATION": "gamma"}
        with create_image(
            path.with_suffix(".part"), grid, dtype="float32", nodata=0, bands=[""], tags=tags
        ) as image:
            for row in range(0, size, STRIP):
                rows = min(STRIP, size - row)
                speckle = random.standard_gamma(LOOKS, (rows, size), np.float32) / LOOKS
                image.write(
                    (mean[:rows] * speckle).astype(np.float32), 1, window=Window(0, row, size, rows)
                )
        path.with_suffix(".part").rename(path)
    return paths


def add(images: list[Path], state: Path | None, workdir: Path) -> None:
    """Run SarChangeSeries as a job does."""
    from candela.services.sar_change_series import run
    from candela.spec import load_specs

    options = load_specs()["SarChangeSeries"].defaults
    given = options | {"baseline_until": None, "state": state}
    outputs = run(images=images, **given, workdir=workdir, progress=lambda *_: None)
    (workdir / "state").symlink_to(outputs["state"].name)


def measure(images: list[Path], state: Path | None, workdir: Path) -> dict[str, float]:
    workdir.mkdir()
    start = time.perf_counter()
    given = [str(state or ""), str(workdir), *map(str, images)]
    process = psutil.Popen([sys.executable, __file__, "--worker", *given])
    peak, cpu = 0, 0.0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
            cpu = sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            break
        time.sleep(SAMPLE_S)
    if process.wait():
        raise SystemExit("the process failed")
    wall = time.perf_counter() - start
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mib": peak // 2**20,
        "state_mib": (workdir / "state").stat().st_size // 2**20,
        "load_1min": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        state, workdir, *images = sys.argv[2:]
        add([Path(image) for image in images], Path(state) if state else None, Path(workdir))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--dates", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    options = parser.parse_args()
    folder = options.folder / f"sar-series-{options.size}"
    folder.mkdir(parents=True, exist_ok=True)
    state, before = None, None
    for number in range(options.dates):
        with gdal_environment():
            images = make_date(folder, options.size, number)
        workdir = folder / f"added-{number}"
        shutil.rmtree(workdir, ignore_errors=True)
        print(json.dumps({"date": number + 1} | measure(images, state, workdir)), flush=True)
        state = (workdir / "state").resolve()
        if before:
            shutil.rmtree(before)
        before = workdir
    shutil.rmtree(before)


if __name__ == "__main__":
    main()
