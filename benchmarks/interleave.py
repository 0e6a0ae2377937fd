"""What the order of bands in a GeoTIFF costs: size, and time and memory of writing and reading.

    python benchmarks/interleave.py --image FILE [--size 10980] [--folder .cache/bench]

The image's pixels are repeated over a full tile, which is written in each layout as Jpeg2Tiff
writes (strips of 1024 rows; band by band where bands lie apart, all bands of a strip at once where
they do not), read as ChangeDetect reads (all ten bands of windows of 832 pixels), and its first
three bands as a map does. Each runs in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from candela.eo.raster.images import BLOCK, ZSTD_LEVEL, add_overviews, gdal_environment
from candela.eo.threads import thread_count

LAYOUTS = {
    "band, predictor 2": ("band", 2),
    "band, no predictor": ("band", 1),
    "pixel, predictor 2": ("pixel", 2),
    "pixel, no predictor": ("pixel", 1),
}
STRIP = 1024
PLACE, HALO = 768, 32  # of ChangeDetect
SAMPLE_S = 0.05


def read_source(path: Path) -> np.ndarray:
    with rasterio.open(path) as image:
        values: np.ndarray = image.read()
    return values


def write(source: np.ndarray, path: Path, layout: str, size: int) -> None:
    interleave, predictor = LAYOUTS[layout]
    bands, rows, cols = source.shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype=source.dtype, count=bands, height=size, width=size,
        tiled=True, blockxsize=BLOCK, blockysize=BLOCK, interleave=interleave, compress="ZSTD",
        zstd_level=ZSTD_LEVEL, predictor=predictor, num_threads=thread_count(), nodata=0,
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 600_000, 0, -10, 5_400_000),
    ) as image:  # fmt: skip
        for row in range(0, size, STRIP):
            height = min(STRIP, size - row)
            lines = np.arange(row, row + height) % rows
            strip = np.tile(source[:, lines], (1, 1, -(-size // cols)))[:, :, :size]
            window = Window(0, row, size, height)
            if interleave == "pixel":
                image.write(strip, window=window)
            else:
                for band in range(bands):
                    image.write(strip[band], band + 1, window=window)
    add_overviews(path)


def read_windows(path: Path) -> None:
    with rasterio.open(path) as image:
        indexes = list(range(1, min(10, image.count) + 1))
        for col in range(0, image.width, PLACE):
            for row in range(0, image.height, PLACE):
                left, top = max(0, col - HALO), max(0, row - HALO)
                right, bottom = col + PLACE + HALO, row + PLACE + HALO
                window = Window(
                    left, top, min(right, image.width) - left, min(bottom, image.height) - top
                )
                image.read(indexes, window=window)


def read_map(path: Path) -> None:
    """Read 200 pictures of 256 pixels of three bands, at full resolution."""
    places = np.random.default_rng(1)
    with rasterio.open(path) as image:
        for _ in range(200):
            col, row = places.integers(0, image.width - 256, 2)
            image.read([1, 2, 3], window=Window(col, row, 256, 256), resampling=Resampling.nearest)


def work(step: str, layout: str, source: Path, path: Path, size: int) -> None:
    with gdal_environment():
        if step == "write":
            write(read_source(source), path, layout, size)
        else:
            {"read": read_windows, "map": read_map}[step](path)


def measure(step: str, layout: str, source: Path, path: Path, size: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--worker", step, layout, str(source), str(path)]
    start, before = time.perf_counter(), os.times()
    process = subprocess.Popen([*command, "--size", str(size)])
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_S):
            try:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            except psutil.Error:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    failed = process.wait()
    done.set()
    watcher.join()
    if failed:
        raise SystemExit(f"{step} of {layout} failed")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user
    return {
        f"{step}_s": round(time.perf_counter() - start, 1),
        f"{step}_cpu_s": round(cpu - before.children_system, 1),
        f"{step}_mib": peak // 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        step, layout, source, path = options.worker
        work(step, layout, Path(source), Path(path), options.size)
        return
    if options.image is None:
        parser.error("--image is needed")
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "interleave.tif"
    for layout in LAYOUTS:
        row: dict[str, float] = {}
        for step in ("write", "read", "map"):
            row |= measure(step, layout, options.image, path, options.size)
        row["size_mib"] = path.stat().st_size // 2**20
        row["load_1min"] = round(os.getloadavg()[0], 1)
        print(json.dumps({"layout": layout} | row), flush=True)
        path.unlink()


if __name__ == "__main__":
    main()
