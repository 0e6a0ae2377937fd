"""How fast Jpeg2Tiff is, and how much memory it takes, beside a plain loop with rasterio.

    python benchmarks/jpeg2tiff.py [--size 10980] [--folder .cache/bench] [--only candela|plain]

The product is synthetic: a scene of 2196 pixels repeated over a full tile, ten bands, lossless
JPEG 2000 with ESA's tiling. Making it takes some minutes the first time and is not measured.
Each side runs in a process of its own; memory is that of its whole process tree.
"""

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import rasterio
from rasterio.enums import Resampling

from candela.eo.s2.metadata import DEFAULT_BANDS
from candela.eo.s2.product import open_product
from candela.synthetic.scene import make_pair
from candela.synthetic.sentinel2 import TILE, Tile, demo_grid, tile_of, write_safe
from candela.synthetic.sentinel2_names import Identity

SCENE = 2196  # pixels of 10 m that are repeated
SAMPLE_S = 0.05


def make_product(folder: Path, size: int) -> Path:
    """Return a product of ``size`` pixels, made if it is not there yet."""
    identity = Identity(dt.datetime(2022, 6, 28, 10, 50, 31, tzinfo=dt.UTC), baseline="04.00")
    place = folder / str(size)
    path = place / f"{identity.product.format(tile=TILE)}.SAFE"
    if not (path / "manifest.safe").exists():
        place.mkdir(parents=True, exist_ok=True)
        side = min(SCENE, size)
        scene = tile_of(make_pair(seed=3, size=side).after, demo_grid(side), identity)
        bands = {
            name: repeat(scene.bands[name], size * len(scene.bands[name]) // side)
            for name in DEFAULT_BANDS
        }
        write_safe(place, identity, [Tile(TILE, demo_grid(size), bands)])
    return path


def repeat(values: np.ndarray, side: int) -> np.ndarray:
    """Lay an image side by side with itself until it is large enough."""
    times = -(-side // len(values))
    return np.tile(values, (times, times))[:side, :side]


def convert(product: Path, workdir: Path) -> None:
    """Run Jpeg2Tiff as a job does."""
    from candela.services.jpeg2tiff import run

    run(
        product=product,
        bands=[],
        area=None,
        resolution=10,
        resampling="bilinear",
        mask="none",
        cloud_margin=0,
        workdir=workdir,
        progress=lambda *_: None,
    )


def convert_plainly(product: Path, workdir: Path) -> None:
    """Do the same as one would in a notebook: band by band, whole arrays, overviews at the end."""
    granule = open_product(product).granule()
    grid = granule.base_grid
    with rasterio.open(
        workdir / "plain.tif", "w", driver="GTiff", dtype="uint16", count=len(DEFAULT_BANDS),
        height=grid.shape.rows, width=grid.shape.cols, crs=grid.crs, transform=grid.transform,
        nodata=0, tiled=True, blockxsize=512, blockysize=512, compress="ZSTD", predictor=2,
        interleave="band", bigtiff="IF_SAFER",
    ) as image:  # fmt: skip
        for index, band in enumerate(DEFAULT_BANDS, 1):
            with rasterio.open(granule.image(band, 10).location) as source:
                numbers = source.read(
                    1, out_shape=tuple(grid.shape), resampling=Resampling.bilinear
                )
            values = np.where(numbers == 0, 0, np.maximum(numbers.astype(np.int32) - 1000, 1))
            image.write(values.astype(np.uint16), index)
    with rasterio.open(workdir / "plain.tif", "r+") as image:
        image.build_overviews([2, 4, 8, 16, 32], Resampling.average)


SIDES = {"candela": convert, "plain": convert_plainly}


def measure(side: str, product: Path) -> dict[str, float]:
    """Run one side in a process of its own and watch it."""
    with tempfile.TemporaryDirectory(dir=product.parent) as workdir:
        before = os.times()
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, __file__, "--side", side, str(product), workdir]
        )
        peak = watch_memory(process)
        if process.wait():
            raise SystemExit(f"{side} failed")
        wall = time.perf_counter() - start
        after = os.times()
        written = sum(path.stat().st_size for path in Path(workdir).iterdir())
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mib": peak // 2**20,
        "written_mib": written // 2**20,
        "load_1min": round(os.getloadavg()[0], 1),
    }


def watch_memory(process: subprocess.Popen[bytes]) -> int:
    """Return the largest resident memory of a process and its children, in bytes."""
    peak = 0
    finished = threading.Event()

    def wait() -> None:
        process.wait()
        finished.set()

    threading.Thread(target=wait, daemon=True).start()
    while not finished.wait(SAMPLE_S):
        try:
            tree = psutil.Process(process.pid)
            members = [tree, *tree.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in members))
        except psutil.NoSuchProcess:
            break
    return peak


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10980, help="pixels of 10 m, multiple of 6")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--only", choices=SIDES)
    options = parser.parse_args(arguments)
    product = make_product(options.folder, options.size)
    sides = [options.only] if options.only else list(SIDES)
    results = {side: measure(side, product) for side in sides}
    print(json.dumps({"cpus": len(os.sched_getaffinity(0)), "size": options.size} | results))
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        SIDES[sys.argv[2]](Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
