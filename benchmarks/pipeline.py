"""How long it takes from two products to a layer, and how much memory, at several sizes.

    python benchmarks/pipeline.py [--sizes 1098 2196 5490 10980] [--folder .cache/bench]
        [--picture docs/images/pipeline.png] [--ways jobs one_job]

The products are synthetic: two dates of a scene of 2196 pixels, repeated over a tile, ten bands,
lossless JPEG 2000 with ESA's tiling. Making them takes some minutes the first time and is not
measured. A gateway with its workers does the rest, as `candela serve` would; time is counted from
the first request to the first map of the published layer. The way ``jobs`` is Jpeg2Tiff twice,
ExtractInfo and ChangeDetect; ``one_job`` is ChangeFromProducts.
"""

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from jpeg2tiff import SCENE, repeat
from matplotlib.figure import Figure

from candela.client import Client, Job, Layer, detect_changes
from candela.demo.gateway import LocalGateway
from candela.eo.s2.metadata import DEFAULT_BANDS
from candela.synthetic.scene import EARLY, LATE, make_pair
from candela.synthetic.sentinel2 import TILE, Tile, demo_grid, tile_of, write_safe
from candela.synthetic.sentinel2_names import Identity

SIZES = [1098, 2196, 5490, 10980]  # pixels of 10 m
GOAL_S = 240


class Step(NamedTuple):
    """A job of the pipeline.

    Attributes
    ----------
    wall_s, cpu_s : float
        Of its worker.
    peak_mib : int
        Largest resident memory.
    """

    process: str
    wall_s: float
    cpu_s: float
    peak_mib: int


class Run(NamedTuple):
    """One run of the whole pipeline."""

    way: str
    size: int
    wall_s: float
    load: float
    steps: list[Step]

    def peak_mib(self, process: str) -> int:
        """Return the largest memory of a process's jobs."""
        return max(step.peak_mib for step in self.steps if step.process == process)


def make_products(folder: Path, size: int) -> list[Path]:
    """Return two products of ``size`` pixels, made if they are not there yet."""
    place = folder / f"pair-{size}"
    side = min(SCENE, size)
    found = sorted(place.glob("*.SAFE"))
    if len(found) == 2 and all((path / "manifest.safe").exists() for path in found):
        return found
    place.mkdir(parents=True, exist_ok=True)
    pair = make_pair(seed=3, size=side)
    made = []
    for scene, weather in ((pair.before, EARLY), (pair.after, LATE)):
        sensing = dt.datetime.combine(weather.day, dt.time(10, 50, 31), dt.UTC)
        identity = Identity(sensing, baseline="04.00")
        tile = tile_of(scene, demo_grid(side), identity)
        bands = {
            name: repeat(tile.bands[name], size * len(tile.bands[name]) // side)
            for name in DEFAULT_BANDS
        }
        made.append(write_safe(place, identity, [Tile(TILE, demo_grid(size), bands)]))
    return made


def by_jobs(client: Client, products: list[Path]) -> Layer | None:
    """Convert both products, then compare the images."""
    series = detect_changes(client, products, progress=False)
    if series.failures or len(series.changes) != 1:
        raise SystemExit(f"the pipeline failed: {series!r}")
    return series.changes[0].layer


def by_one_job(client: Client, products: list[Path]) -> Layer | None:
    """Compare the products."""
    before, after = products
    job = client.execute("ChangeFromProducts", before=before, after=after).wait()
    return job.layers["change"]


WAYS = {"jobs": by_jobs, "one_job": by_one_job}


def measure(products: list[Path], size: int, folder: Path, way: str) -> Run:
    """Run the pipeline once on a gateway of its own."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as data,
        LocalGateway(Path(data), input_folders=[folder]) as gateway,
        Client(gateway.url) as client,
    ):
        start = time.perf_counter()
        see(WAYS[way](client, products))
        wall_s = time.perf_counter() - start
        steps = [step_of(job, Path(data)) for job in reversed(client.jobs(limit=100))]
    return Run(way, size, round(wall_s, 1), round(os.getloadavg()[0], 1), steps)


def see(layer: Layer | None) -> None:
    """Ask for a map of the layer, as a map client does."""
    if layer is None:
        raise SystemExit("the map was not published")
    if not layer.image(width=512).startswith(b"\x89PNG"):
        raise SystemExit("the layer shows no map")


def step_of(job: Job, data: Path) -> Step:
    """Read what the worker told of itself."""
    result = json.loads((data / "storage" / "jobs" / job.id / "result.json").read_text())
    usage = result["usage"]
    return Step(
        job.process,
        round(usage["wall_s"], 1),
        round(usage["cpu_s"], 1),
        usage["max_rss_bytes"] // 2**20,
    )


def draw(runs: list[Run], path: Path) -> None:
    """Draw time and memory against the size of the image."""
    figure = Figure((9, 3.6), layout="constrained")
    times, memories = figure.subplots(1, 2)
    pixels = [run.size**2 / 1e6 for run in runs]
    times.plot(pixels, [run.wall_s for run in runs], "o-", color="#a8002b", label="wall clock")
    cpu_s = [sum(step.cpu_s for step in run.steps) for run in runs]
    times.plot(pixels, cpu_s, "o-", color="0.4", label="processors")
    times.axhline(GOAL_S, color="0.6", linestyle="--", linewidth=1)
    times.set(xlabel="million pixels", ylabel="s, two products to a layer", ylim=(0, None))
    times.legend(frameon=False)
    for process, colour in (("Jpeg2Tiff", "#1f6f8b"), ("ChangeDetect", "#a8002b")):
        memories.plot(
            pixels, [run.peak_mib(process) for run in runs], "o-", color=colour, label=process
        )
    memories.set(xlabel="million pixels", ylabel="MiB, largest resident memory", ylim=(0, None))
    memories.legend(frameon=False)
    for panel in (times, memories):
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlim(0, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main(arguments: list[str] | None = None) -> list[Run]:
    """Measure each size and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="multiples of 6")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--picture", type=Path, help="where to draw the curves")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["jobs"])
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    runs = []
    for size in options.sizes:
        products = make_products(folder, size)
        for way in options.ways:
            run = measure(products, size, folder, way)
            print(json.dumps(run._asdict() | {"steps": [step._asdict() for step in run.steps]}))
            sys.stdout.flush()
            runs.append(run)
    if options.picture:
        draw([run for run in runs if run.way == options.ways[0]], options.picture)
    return runs


if __name__ == "__main__":
    main()
