"""How fast ChangeDetect is on a full tile, and how much memory it takes.

    python benchmarks/change_speed.py [--size 10980] [--folder .cache/bench] [--model construction]

The pair is synthetic: two dates of a scene of 2196 pixels, repeated over the tile, ten bands.
Making it takes some minutes the first time and is not measured. ChangeDetect runs in a process of
its own, as a job does.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import rasterio
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image, gdal_environment
from candela.models.encoder import BANDS
from candela.synthetic.scene import Scene, make_pair
from candela.synthetic.sentinel2 import demo_grid

SCENE = 2196  # pixels that are repeated
SAMPLE_S = 0.05


def make_pair_of_images(folder: Path, size: int) -> tuple[Path, Path]:
    """Return both images, made if they are not there yet."""
    place = folder / f"change-{size}"
    paths = place / "before.tif", place / "after.tif"
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        side = min(SCENE, size)
        with gdal_environment():
            pair = make_pair(seed=3, size=side)
            for path, scene in zip(paths, (pair.before, pair.after), strict=True):
                write_repeated(path, fine_bands(scene, side), size)
        (place / "complete").touch()
    return paths


def fine_bands(scene: Scene, side: int) -> np.ndarray:
    """Return a scene's ten bands at 10 m, (bands, rows, cols), uint16."""
    bands = []
    for name in BANDS:
        values = scene.bands[name]
        times = side // len(values)
        bands.append(values.repeat(times, axis=0).repeat(times, axis=1))
    return np.stack(bands)


def write_repeated(path: Path, image: np.ndarray, size: int) -> None:
    side = image.shape[1]
    grid = demo_grid(side)
    whole = Grid(grid.crs, grid.transform, Shape(size, size))
    with create_image(path, whole, dtype="uint16", nodata=0, bands=BANDS) as sink:
        for row in range(0, size, side):
            rows = min(side, size - row)
            strip = np.tile(image[:, :rows], (1, 1, -(-size // side)))[:, :, :size]
            sink.write(strip, window=Window(0, row, size, rows))


def detect(before: Path, after: Path, model: str, workdir: Path) -> None:
    """Run ChangeDetect as a job does."""
    from candela.services.change_detect import run
    from candela.spec import load_specs

    options = load_specs()["ChangeDetect"].defaults | {"model": model}
    run(before=before, after=after, **options, workdir=workdir, progress=lambda *_: None)


def measure(before: Path, after: Path, model: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=before.parent) as workdir:
        start = time.perf_counter()
        process = psutil.Popen(
            [sys.executable, __file__, "--worker", str(before), str(after), model, workdir]
        )
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
        with rasterio.open(next(Path(workdir).glob("change*.tif"))) as change:
            pixels = change.width * change.height
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mib": peak // 2**20,
        "mpx_per_s": round(pixels / wall / 1e6, 2),
        "load_1min": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        before, after, model, workdir = sys.argv[2:]
        detect(Path(before), Path(after), model, Path(workdir))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10980, help="side of the pair in pixels")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"), help="for the pair")
    parser.add_argument("--model", default="construction", help="see the process's description")
    options = parser.parse_args()
    images = make_pair_of_images(options.folder, options.size)
    print(json.dumps({"size": options.size} | measure(*images, options.model)))


if __name__ == "__main__":
    main()
