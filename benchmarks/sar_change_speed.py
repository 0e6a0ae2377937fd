"""How long SarChangeDetect takes for a pair of two polarisations, and its memory.

    python benchmarks/sar_change_speed.py [--size PIXELS] [--method NAME ...]

The pair is synthetic: the landscape and speckle of the tests' Sentinel-1 products, and an area of
water in the later image. Each method runs in a process of its own.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from candela.eo.progress import silent
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import add_overviews, create_image, gdal_environment
from candela.services.sar_change_detect import run
from candela.spec import load_specs
from candela.synthetic.radar import GAIN, LOOKS, radar_image

FULL = 10980
ROWS = 1024


def write_date(folder: Path, number: int, polarisation: str, size: int) -> Path:
    random = np.random.default_rng(number + 10 * (polarisation == "VH"))
    power = np.square(radar_image(size, size, cross=polarisation == "VH").astype(np.float32) / GAIN)
    if number:
        power[size // 4 : size // 3, size // 3 : size // 2] *= 0.1
        for row in range(0, size, ROWS):
            part = power[row : row + ROWS]
            part *= random.gamma(LOOKS, 1 / LOOKS, part.shape).astype(np.float32)
    path = folder / f"{polarisation}_{number}.tif"
    grid = Grid(CRS.from_epsg(32631), Affine(10, 0, 300_000, 0, -10, 4_900_020), Shape(size, size))
    with create_image(path, grid, dtype="float32", nodata=0, bands=[polarisation]) as image:
        image.write(power, 1)
    add_overviews(path)
    return path


def measure(dates: list[list[Path]], method: str, workdir: Path) -> None:
    workdir.mkdir()
    options = load_specs()["SarChangeDetect"].defaults | {"method": method}
    wall, cpu = time.perf_counter(), time.process_time()
    run(before=dates[0], after=dates[1], workdir=workdir, progress=silent, **options)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{method}: {wall:.1f} s, {cpu:.1f} s of processor time, {memory} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=FULL, help=f"of the images; default {FULL}")
    parser.add_argument("--method", nargs="*", default=["statistics", "adaptive"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with gdal_environment():
            dates = [
                [write_date(folder, number, band, options.size) for band in ("VV", "VH")]
                for number in (0, 1)
            ]
        for method in options.method:
            process = multiprocessing.get_context("spawn").Process(
                target=measure, args=(dates, method, folder / method)
            )
            process.start()
            process.join()


if __name__ == "__main__":
    main()
