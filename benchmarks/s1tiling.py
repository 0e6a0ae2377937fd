"""How fast S1tiling is, how much memory it takes, and how that grows with the number of tiles.

    python benchmarks/s1tiling.py [--product SAFE] [--tiles N] [--folder .cache/bench]
                                  [--sides candela,otb] [--lines 16705] [--samples 26102]

The product has the size of a real one. Its amplitudes are synthetic; with --product, a SAFE whose
measurement may be blank, they are written into a copy of that product, so that its annotation is
real. Making it takes a minute the first time and is not measured. Each side runs in a process of
its own; memory is that of its whole process tree.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rasterio
import shapely
from jpeg2tiff import watch_memory
from rasterio.control import GroundControlPoint

from candela.eo.s1.product import open_product
from candela.eo.s2.tiles import tile_grid, tiles_over
from candela.synthetic.radar import radar_image
from candela.synthetic.sentinel1 import Acquisition, write_product

LINES, SAMPLES = 16705, 26102


def make_product(folder: Path, lines: int, samples: int) -> Path:
    """Return a synthetic product, made if it is not there yet."""
    place = folder / f"s1-{lines}x{samples}"
    made = list(place.glob("*.SAFE"))
    if made:
        return made[0]
    place.mkdir(parents=True, exist_ok=True)
    images = {name: radar_image(lines, samples, cross=name == "VH") for name in ("VV", "VH")}
    return write_product(place, Acquisition(lines=lines, samples=samples), images)


def fill_product(source: Path, folder: Path) -> Path:
    """Return a copy of a product whose measurements have pixels, made if it is not there yet."""
    target = folder / "s1-filled" / source.name
    if (target / "filled").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for item in [target, *target.rglob("*")]:
        item.chmod(0o755 if item.is_dir() else 0o644)
    product = open_product(target)
    for name in product.polarisations:
        annotation = product.annotation(name)
        grid = annotation.grid
        points = [
            GroundControlPoint(row=row, col=col, x=x, y=y, z=z)
            for row, col, x, y, z in zip(
                grid.lines, grid.pixels, grid.longitudes, grid.latitudes, grid.heights, strict=True
            )
        ]
        image = radar_image(annotation.lines, annotation.samples, cross=name in {"VH", "HV"})
        with rasterio.open(
            target / product.file(name, "measurement"), "w", driver="GTiff", dtype="uint16",
            count=1, height=annotation.lines, width=annotation.samples, gcps=points,
            crs="EPSG:4326",
        ) as dataset:  # fmt: skip
            dataset.update_tags(
                TIFFTAG_IMAGEDESCRIPTION=f"Sentinel-{product.platform[1:]} IW GRD HR L1",
                TIFFTAG_SOFTWARE="Sentinel-1 IPF 003.40",
            )
            dataset.write(image, 1)
    (target / "filled").touch()
    return target


def tile_with_candela(product: Path, workdir: Path, tiles: list[str], options: dict) -> None:
    """Run S1tiling as a job does."""
    from candela.services.s1tiling import run

    run(
        product=[product],
        tiles=tiles,
        workdir=workdir,
        progress=lambda *_: None,
        **DEFAULTS | options,
    )


DEFAULTS = {
    "area": None,
    "region": None,
    "polarisations": ["VV"],
    "calibration": "sigma0",
    "noise_removal": True,
    "resolution": 10,
    "interpolation": "bilinear",
    "speckle_filter": "none",
    "filter_radius": 2,
    "looks": 4.4,
    "damping": 2.0,
    "incidence_angle": False,
    "dem": None,
    "geoid": None,
    "orbits": [],
    "minimum_coverage": 0.0,
}


def tile_with_otb(product: Path, workdir: Path, tiles: list[str], _: dict) -> None:
    """Calibrate and orthorectify with Orfeo ToolBox: two programs, as S1Tiling runs them."""
    opened = open_product(product)
    image = product / opened.file("VV", "measurement")
    calibrated = workdir / image.name  # OTB finds the geometry in the image's own metadata
    subprocess.run(
        ["otbcli_SARCalibration", "-in", image, "-lut", "sigma", "-removenoise", "true", "-ram",
         "1024", "-out", calibrated, "float"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for name in tiles:
        grid = tile_grid(name)
        epsg = grid.crs.to_epsg()
        zone, is_north = epsg % 100, epsg < 32700
        subprocess.run(
            ["otbcli_OrthoRectification", "-io.in", calibrated, "-io.out", workdir / f"{name}.tif",
             "float", "-interpolator", "linear", "-map", "utm", "-map.utm.zone", str(zone),
             "-map.utm.northhem", str(is_north).lower(), "-outputs.mode", "auto",
             "-outputs.ulx", str(grid.bounds.left), "-outputs.uly", str(grid.bounds.top),
             "-outputs.sizex", str(grid.shape.cols), "-outputs.sizey", str(grid.shape.rows),
             "-outputs.spacingx", "10", "-outputs.spacingy", "-10", "-opt.gridspacing", "40",
             "-opt.ram", "1024"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip


SIDES = {"candela": tile_with_candela, "otb": tile_with_otb}


def measure(side: str, product: Path, tiles: list[str], **options: object) -> dict[str, float]:
    """Run one side in a process of its own and watch it."""
    with tempfile.TemporaryDirectory(dir=product.parent) as workdir:
        before = os.times()
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, __file__, "--run", side, str(product), workdir, ",".join(tiles),
             json.dumps(options)]
        )  # fmt: skip
        peak = watch_memory(process)
        if process.wait():
            raise SystemExit(f"{side} failed")
        wall = time.perf_counter() - start
        after = os.times()
        written = sum(path.stat().st_size for path in Path(workdir).rglob("*") if path.is_file())
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mib": peak // 2**20,
        "written_mib": written // 2**20,
        "load_1min": round(os.getloadavg()[0], 1),
    }


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--product", type=Path, help="a SAFE to take the annotation of")
    parser.add_argument("--tiles", type=int, default=1, help="how many at most")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--sides", default="candela")
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--polarisations", default="VV")
    parser.add_argument("--speckle-filter", default="none")
    options = parser.parse_args(arguments)
    if options.product:
        product = fill_product(options.product, options.folder)
    else:
        product = make_product(options.folder, options.lines, options.samples)
    shares = tiles_over(shapely.union_all([open_product(product).outline]))
    best = sorted(shares, key=lambda name: -shares[name])
    results: dict[str, object] = {"cpus": len(os.sched_getaffinity(0)), "product": product.name}
    for side in options.sides.split(","):
        for count in dict.fromkeys((1, options.tiles)):
            chosen = best[:count]
            extra = {
                "speckle_filter": options.speckle_filter,
                "polarisations": options.polarisations.split(","),
            }
            results[f"{side}, {count} tiles"] = measure(side, product, chosen, **extra)
            print(json.dumps({side: chosen} | {"": results[f"{side}, {count} tiles"]}), flush=True)
    print(json.dumps(results))
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        SIDES[sys.argv[2]](
            Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5].split(","), json.loads(sys.argv[6])
        )
    else:
        main()
