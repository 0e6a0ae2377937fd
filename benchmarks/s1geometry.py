"""How fast terrain correction is and how much memory it takes, beside sarsen on the same frame.

    python benchmarks/s1geometry.py --product SAFE [--size 5490] [--folder .cache/bench]
                                    [--sarsen PYTHON]

Takes the annotation of a product (its measurement may be blank: amplitudes are written into a
copy), a synthetic terrain model of 10 m in the middle of it, and makes beta0 on the grid of that
model, bilinear, as GeoTIFF. ``--sarsen`` names a Python that has sarsen (`pip install sarsen` in an
environment of its own, it pins other versions than we do); without it that side is left out. Each
side runs in a process of its own; memory is that of its whole process tree.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np

BLOCK = 1024
PIXEL_M = 10.0
POLARISATION = "VV"


def make_dem(product: Path, folder: Path, size: int) -> Path:
    """Return a terrain model in the middle of a product, made if it is not there yet."""
    import rasterio
    from affine import Affine
    from rasterio.crs import CRS

    from candela.eo.ellipsoid import GEOGRAPHIC, project
    from candela.eo.s1.product import open_product

    path = folder / f"dem-{product.stem}-{size}.tif"
    if path.exists():
        return path
    middle = open_product(product).outline.centroid
    zone = int((middle.x + 180) // 6) % 60 + 1
    utm = CRS.from_epsg((32600 if middle.y >= 0 else 32700) + zone)
    x, y = project(GEOGRAPHIC, utm, np.array([middle.x]), np.array([middle.y]))
    left, top = (round(float(value), -2) for value in (x[0], y[0]))
    rows, cols = np.mgrid[:size, :size] * PIXEL_M
    heights = 600 + 400 * np.sin(cols / 2500) * np.cos(rows / 1900) + 60 * np.sin(cols / 300)
    with rasterio.open(
        path, "w", driver="GTiff", width=size, height=size, count=1, dtype="float32", crs=utm,
        transform=Affine(PIXEL_M, 0, left - size * 5, 0, -PIXEL_M, top + size * 5), tiled=True,
        blockxsize=512, blockysize=512,
    ) as dataset:  # fmt: skip
        dataset.write(heights.astype(np.float32), 1)
    return path


def correct_with_candela(product: Path, dem: Path, output: Path) -> None:
    """Geocode with the terrain model, block by block, on all cores."""
    from candela.eo.raster.blocks import split
    from candela.eo.raster.images import create_image, gdal_environment
    from candela.eo.s1.calibration import calibrate, read_calibration
    from candela.eo.s1.geocoding import Geocoding, resample
    from candela.eo.s1.geometry import RangeDoppler
    from candela.eo.s1.heights import Dem
    from candela.eo.s1.product import open_measurement, open_product
    from candela.eo.threads import thread_count

    opened, heights, reading = open_product(product), Dem(dem), Lock()
    annotation = opened.annotation(POLARISATION)
    table = read_calibration(
        opened.document(POLARISATION, "calibration"), "beta0", annotation.samples, name="beta0"
    )
    geocoding = Geocoding(RangeDoppler.of(annotation), heights.grid)

    def compute(window):
        positions = geocoding.positions(window, heights.read(heights.grid, window))
        needed = geocoding.window(positions)
        if needed is None:
            return window, np.zeros(positions.lines.shape, np.float32)
        with reading:
            numbers = measurement.read(needed)
        power = calibrate(
            numbers, table, None, first_line=needed.row_off, first_pixel=needed.col_off
        )
        return window, resample(power, positions, needed)

    with (
        gdal_environment(),
        open_measurement(opened, POLARISATION, annotation, output.parent) as measurement,
        create_image(output, heights.grid, dtype="float32", nodata=0, bands=["beta0"]) as image,
        ThreadPoolExecutor(thread_count()) as pool,
    ):
        windows = [block.inner for block in split(heights.grid.shape, BLOCK)]
        for window, power in pool.map(compute, windows):
            image.write(power, 1, window=window)


def correct_with_sarsen(product: Path, dem: Path, output: Path) -> None:
    """Do the same with sarsen."""
    from sarsen import apps, sentinel1

    apps.terrain_correction(
        sentinel1.Sentinel1SarProduct(str(product), f"IW/{POLARISATION}"),
        str(dem),
        output_urlpath=str(output),
        interp_method="linear",
    )


SIDES = {"candela": correct_with_candela, "sarsen": correct_with_sarsen}


def measure(side: str, python: str, product: Path, dem: Path, output: Path) -> dict[str, float]:
    """Run one side in a process of its own and watch it."""
    from jpeg2tiff import watch_memory

    before, start = os.times(), time.perf_counter()
    process = subprocess.Popen([python, __file__, "--run", side, product, dem, output])
    peak = watch_memory(process)
    if process.wait():
        raise SystemExit(f"{side} failed")
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mib": peak // 2**20,
        "load_1min": round(os.getloadavg()[0], 1),
    }


def compare(first: Path, second: Path) -> dict[str, float]:
    """Return how far two images are apart, where both have data."""
    import rasterio

    with rasterio.open(first) as one, rasterio.open(second) as other:
        a, b = one.read(1), other.read(1)
        if one.transform.e * other.transform.e < 0:
            b = b[::-1]
    both = (a > 0) & (b > 0) & np.isfinite(b)
    difference = np.abs(a[both] / b[both] - 1)
    return {
        "share_with_data": round(float(both.mean()), 4),
        "median_relative_difference": float(np.median(difference)),
    }


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Measure what was asked for and print it."""
    from s1tiling import fill_product

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--product", type=Path, required=True)
    parser.add_argument("--size", type=int, default=5490, help="pixels a side")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--sarsen", help="a Python interpreter that has sarsen")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    product = fill_product(options.product, options.folder)
    dem = make_dem(product, options.folder, options.size)
    results: dict[str, object] = {"cpus": len(os.sched_getaffinity(0)), "size": options.size}
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        ours, theirs = (Path(place) / f"{side}.tif" for side in SIDES)
        results["candela"] = measure("candela", sys.executable, product, dem, ours)
        if options.sarsen:
            results["sarsen"] = measure("sarsen", options.sarsen, product, dem, theirs)
            results["apart"] = compare(ours, theirs)
        else:
            print("sarsen is left out: name a Python that has it with --sarsen", file=sys.stderr)
    print(json.dumps(results))
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        SIDES[sys.argv[2]](*(Path(value) for value in sys.argv[3:]))
    else:
        main()
