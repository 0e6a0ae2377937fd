"""How fast DMG-DF is on a full tile, into which database, and how fast similar patches are found.

    python benchmarks/dmg_df.py [--size 10980] [--folder .cache/bench] [--database URL | --postgis]
    python benchmarks/dmg_df.py --similarity 100000
    python benchmarks/dmg_df.py --http 100000

The pair is made up: a scene of 2196 pixels, repeated over the tile, with speckle on its brightness
as Sentinel-1 image; making it takes some minutes the first time and is not measured. DMG-DF runs in
a process of its own, as a job does. `--postgis` starts a PostgreSQL of its own; so does `--http`,
which asks a gateway for the patches most like one among so many of random vectors, in two products.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import psutil
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image, gdal_environment
from candela.services.dmg_df.pair import OPTICAL_BANDS, RADAR_BANDS
from candela.synthetic.scene import make_pair
from candela.synthetic.sentinel2 import demo_grid

SCENE = 2196  # pixels that are repeated
SAMPLE_S = 0.1
LOOKS = 4.4  # of Sentinel-1's IW GRDH images
DIMENSION = 568  # of fused features, if all usual sets are wanted
QUERIES = 20


def make_images(folder: Path, size: int) -> tuple[Path, Path]:
    """Return the radar and the optical image, made if they are not there yet."""
    place = folder / f"dmg-df-{size}"
    paths = place / "s1.tif", place / "s2.tif"
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        side = min(SCENE, size)
        with gdal_environment():
            scene = make_pair(seed=3, size=side).before
            optical = np.stack([finest(scene.bands[name], side) for name in OPTICAL_BANDS])
            write_repeated(paths[1], optical, size, OPTICAL_BANDS, "uint16")
            write_repeated(paths[0], speckled(optical), size, RADAR_BANDS, "float32")
        (place / "complete").touch()
    return paths


def finest(values: np.ndarray, side: int) -> np.ndarray:
    times = side // len(values)
    return values.repeat(times, axis=0).repeat(times, axis=1)


def speckled(optical: np.ndarray) -> np.ndarray:
    """Return VV and VH in linear power."""
    random = np.random.default_rng(1)
    level = optical[6].astype(np.float32) / 10_000
    speckle = random.gamma(LOOKS, 1 / LOOKS, (2, *level.shape)).astype(np.float32)
    return np.stack([0.3 * level + 0.01, 0.06 * level + 0.002]) * speckle


def write_repeated(path, image, size, bands, dtype):
    side = image.shape[1]
    grid = demo_grid(side)
    whole = Grid(grid.crs, grid.transform, Shape(size, size))
    with create_image(path, whole, dtype=dtype, nodata=0, bands=bands) as sink:
        for row in range(0, size, side):
            rows = min(side, size - row)
            strip = np.tile(image[:, :rows], (1, 1, -(-size // side)))[:, :, :size]
            sink.write(strip, window=Window(0, row, size, rows))


def describe(s1: Path, s2: Path, database: str, workdir: Path) -> None:
    """Run DMG-DF as a job does, and print when each step ended: seconds, and seconds of CPU."""
    from candela.eo.threads import use_threads
    from candela.patches.store.target import PatchTarget
    from candela.services.dmg_df import run
    from candela.spec import load_specs

    use_threads(2)
    target = PatchTarget(database, "benchmark")
    steps: dict[str, tuple[float, float]] = {}
    start, used = time.perf_counter(), time.process_time()

    def progress(_: float, message: str) -> None:
        passed = time.perf_counter() - start, time.process_time() - used
        steps[message] = round(passed[0], 1), round(passed[1], 1)

    options = load_specs()["DMG-DF"].defaults
    run(s1=[s1], s2=s2, **options, patches=target, workdir=workdir, progress=progress)
    print(json.dumps(steps))


def measure(s1: Path, s2: Path, database: str) -> None:
    with tempfile.TemporaryDirectory(dir=s1.parent) as workdir:
        start = time.perf_counter()
        given = ["--describe", str(s1), str(s2), database, workdir]
        process = psutil.Popen([sys.executable, __file__, *given])
        highest, cpu = 0, 0.0
        while process.poll() is None:
            try:
                highest = max(highest, process.memory_info().rss)
                cpu = sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                break
            time.sleep(SAMPLE_S)
        if process.returncode:
            sys.exit(f"DMG-DF ended with {process.returncode}")
        wall = time.perf_counter() - start
        sizes = {path.name: path.stat().st_size // 10**6 for path in Path(workdir).iterdir()}
    summary = f"{wall:.1f} s, {cpu:.1f} s of CPU in DMG-DF, {highest / 1e9:.2f} GB"
    print(f"full pair into {database.partition(':')[0] or 'files'}: {summary}; MB: {sizes}")


def measure_similarity(count: int) -> None:
    """Write an index as the query library does, and ask it."""
    from candela.patches.query.similarity import FACTS, NORMS, NUMBERS, VECTORS, VectorIndex

    random = np.random.default_rng(1)
    vectors = random.normal(size=(count, DIMENSION)).astype(np.float32)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.save(folder / VECTORS, vectors)
        np.save(folder / NORMS, np.einsum("ij,ij->i", vectors, vectors))
        np.save(folder / NUMBERS, np.arange(count))
        facts = {"name": "fused", "version": 1, "scaler": None}
        (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
        index = VectorIndex(folder)
        times = []
        for number in random.integers(0, count, QUERIES):
            start = time.perf_counter()
            index.like_patch(int(number), 20)
            times.append(1000 * (time.perf_counter() - start))
    print(
        f"like one of {count} patches, {DIMENSION} numbers each: first {times[0]:.0f} ms, then "
        f"{np.median(times[1:]):.0f} ms (longest {max(times[1:]):.0f} ms)"
    )


def measure_http(count: int, folder: Path) -> None:
    """Fill a PostgreSQL, and ask a gateway that has it."""
    import requests
    import sqlalchemy as sa

    from candela.demo.gateway import LocalGateway
    from candela.patches.store.database import open_database, open_server
    from candela.patches.store.load import store_model

    side = math.isqrt(count // 2 - 1) + 1
    with own_postgis() as url:
        logins = make_logins(sa.make_url(url))
        open_server(logins["owner"]).upgrade()
        database = open_database(logins["writer"])
        for number in range(2):
            store_model(database, random_model(number, side), owner="anonymous")
        with database.acting_for("anonymous") as connection:
            size = connection.execute(
                sa.text("SELECT pg_database_size(current_database())")
            ).scalar_one()
        environment = {"CANDELA_PATCHES_QUERY_DATABASE": logins["reader"]}
        with LocalGateway(folder / "gateway", environment=environment) as gateway:
            address = f"{gateway.url}/patches/items"
            last = 2 * side**2
            questions = {
                "like one": {},
                "like one, of one product": {"product": "random 1"},
                "like one, in a box": {"bbox": "15.2,44.4,15.9,44.8"},
                "without likeness, 100 in a box": {"bbox": "15.2,44.4,15.9,44.8", "limit": "100"},
            }
            for name, parameters in questions.items():
                times = []
                for number in np.random.default_rng(1).integers(1, last, QUERIES):
                    like = {} if "without" in name else {"like": str(number)}
                    start = time.perf_counter()
                    given = {**parameters, **like}
                    while True:
                        answer = requests.get(address, params=given, timeout=600)
                        if answer.status_code != 503:  # vectors that have not all been read yet
                            break
                    times.append(1000 * (time.perf_counter() - start))
                    answer.raise_for_status()
                    assert answer.json()["features"]
                print(
                    f"{name}: first {times[0]:.0f} ms, then {np.median(times[1:]):.0f} ms "
                    f"(longest {max(times[1:]):.0f} ms)"
                )
            serving = psutil.Process(gateway.process.pid).children(recursive=True)
            memory = max(process.memory_full_info().uss for process in serving) / 1e9
        database.close()
    print(f"{last} patches, {DIMENSION} numbers each: {size / 1e9:.2f} GB in PostgreSQL, ", end="")
    print(f"the gateway has {memory:.2f} GB of its own")


def make_logins(server) -> dict[str, str]:
    """Make the database of a production; return the address of each of its logins."""
    names = ("owner", "writer", "reader")
    script = Path(__file__).parents[1] / "k8s/components/patches/roles.sql"
    place = f"host={server.host} port={server.port} user={server.username} dbname=postgres"
    environment = os.environ | {f"PATCHES_{name.upper()}_PASSWORD": "secret" for name in names}
    command = ["psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", script, place]
    subprocess.run(command, check=True, env=environment)
    return {
        name: server.set(username=f"patches_{name}", password="secret", database="patches")
        .render_as_string(hide_password=False)
        for name in names
    }  # fmt: skip


def random_model(number: int, side: int):
    """Return a model of side x side patches of 60 pixels with random vectors."""
    from affine import Affine
    from rasterio.crs import CRS

    from candela.eo.raster.patches import quad_tree
    from candela.patches.store.model import FeatureSetRecord, Patches, PatchModel, Scene

    place = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    grid = Grid(CRS.from_epsg(32633), place, Shape(60 * side, 60 * side))
    row, col = (index.ravel() for index in np.indices((side, side)))
    patches = Patches(grid, np.full(side**2, 60), row, col, np.ones(side**2, np.float32))
    random = np.random.default_rng(number)
    vectors = random.normal(size=(side**2, DIMENSION)).astype(np.float32)
    record = FeatureSetRecord("fused", 1, "fused", DIMENSION, {}, "random")
    scene = Scene("random", None)
    return PatchModel(
        f"random {number}", scene, scene, quad_tree(grid.shape, [60]), patches, [record],
        {"fused": vectors},
    )  # fmt: skip


def own_postgis():
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from databases import find_binaries, postgres_server

    binaries = find_binaries()
    if binaries is None:
        sys.exit("there is no PostgreSQL server here")
    return postgres_server(binaries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--database", default="")
    parser.add_argument("--postgis", action="store_true")
    parser.add_argument("--similarity", type=int, metavar="PATCHES")
    parser.add_argument("--http", type=int, metavar="PATCHES")
    parser.add_argument("--describe", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.describe:
        s1, s2, database, workdir = given.describe
        describe(Path(s1), Path(s2), database, Path(workdir))
        return
    if given.similarity:
        measure_similarity(given.similarity)
        return
    if given.http:
        with tempfile.TemporaryDirectory() as place:
            measure_http(given.http, Path(place))
        return
    images = make_images(given.folder, given.size)
    with tempfile.TemporaryDirectory() as place:
        server = own_postgis() if given.postgis else nullcontext(given.database)
        with server as database:
            if given.postgis:
                from candela.patches.store.database import open_server

                open_server(database).upgrade()
            measure(*images, database)


if __name__ == "__main__":
    main()
