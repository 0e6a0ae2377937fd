"""How well ChangeDetect finds harm to vegetation, beside simpler methods.

    python benchmarks/change_damage.py [--data OSCD] [--strength 0.5 ...] [CITY ...]

Frost, windthrow, fire and flood are simulated (``candela.synthetic.damage``) in the later image, on
ground that is green on both dates: places of 100, 10 and 1 hectares and of 3 pixels across. The
season, mowing and harvest are those of a made-up landscape of two summers and, if there are any,
of the cities of the Onera Satellite Change Detection set (see ``change_accuracy.py``); their
labelled change is not judged. What else has changed there counts as a false alarm.

For each method, over all pairs: AUC and average precision (AP), means; for what is told to have
changed at 0.5 (the change vector and the NDVI difference: at their own 0.97 quantile) the recall,
for each size, and the share of false alarms.
"""

import argparse
import sys
import tempfile
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import _change_anchors as change_anchors
import numpy as np
import rasterio
from _oscd import City, prepare, write
from change_accuracy import DATA, Method, anchor, average_precision, print_table, process
from change_speed import fine_bands

from candela.demo.accuracy import area_under_curve
from candela.eo.raster.grid import Grid
from candela.synthetic.damage import BANDS, HARMED, choose_places, harm, vegetated
from candela.synthetic.scene import make_pair
from candela.synthetic.sentinel2 import demo_grid

AREAS = (10_000, 1000, 1000, 100, 100, 100, 100, 9, 9, 9, 9, 9, 9)  # pixels of each place
SIZES = {10_000: "100 ha", 1000: "10 ha", 100: "1 ha", 9: "3 px"}
SIDE = 600  # pixels of the made-up landscape
COUNTED_AS_CHANGE = 0.97  # quantile of a method that gives no probability


@dataclass(frozen=True)
class Case:
    """A pair in which something was harmed."""

    city: City
    places: np.ndarray  # one more than the index in AREAS; 0 where nothing was harmed
    judged: np.ndarray  # bool


def ndvi_difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    red, infrared = BANDS.index("B04"), BANDS.index("B08")
    first, second = (
        (image[infrared] - image[red]) / np.maximum(image[infrared] + image[red], 1)
        for image in (before, after)
    )
    return np.abs(second - first)


def ranked(method: Method) -> Method:
    """Move the quantile that counts as change to 0.5."""

    def call(city: City) -> np.ndarray:
        values = method(city)
        return values / np.quantile(values, COUNTED_AS_CHANGE) / 2

    return call


def methods() -> dict[str, Method]:
    return {
        "change vector": ranked(anchor(change_anchors.change_vector)),
        "NDVI difference": ranked(anchor(ndvi_difference)),
        "construction": process("construction"),
        "vegetation": process("vegetation"),
        "generic": process("generic"),
    }


def landscape(workdir: Path) -> City:
    """Return a made-up landscape of two summers; what changed in it is its truth."""
    pair = make_pair(seed=11, size=SIDE)
    workdir.mkdir()
    grid = demo_grid(SIDE)
    paths = workdir / "before.tif", workdir / "after.tif"
    for path, scene in zip(paths, (pair.before, pair.after), strict=True):
        write(path, fine_bands(scene, SIDE), grid, {})
    truth = pair.truth > 0
    return City("made up", *paths, truth, np.ones_like(truth))


def harmed_pair(city: City, kind: str, strength: float, workdir: Path) -> Case:
    random = np.random.default_rng(zlib.crc32(f"{city.name} {kind}".encode()))
    before, after = city.images()
    green = vegetated(before) & vegetated(after) & city.seen & ~city.truth
    places = choose_places(green, AREAS, random)
    path = workdir / f"{city.name}_{kind}_{strength}.tif"
    with rasterio.open(city.after) as dataset:
        grid = Grid.of(dataset)
    write(path, harm(after, kind, places > 0, strength, random), grid, {})
    return Case(replace(city, after=path), places, city.seen & ~city.truth)


def measure(method: Method, cases: list[Case]) -> dict[str, str]:
    """Return the numbers of a method over all cases."""
    found = defaultdict(list)
    for case in cases:
        scores = np.nan_to_num(method(case.city).astype(float))
        harmed = (case.places > 0)[case.judged]
        judged = scores[case.judged]
        found["AUC"].append(area_under_curve(judged, harmed))
        found["AP"].append(average_precision(judged, harmed))
        for area, name in SIZES.items():
            numbers = [number for number, other in enumerate(AREAS, 1) if other == area]
            inside = np.isin(case.places, numbers)
            if inside.any():
                found[f"recall {name}"].append((scores[inside] >= 0.5).mean())
        found["false alarms"].append((judged[~harmed] >= 0.5).mean())
    return {name: f"{np.mean(values):.3f}" for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the cities")
    parser.add_argument("--strength", type=float, nargs="+", default=[0.6, 0.3], help="0 to 1")
    parser.add_argument("cities", nargs="*", metavar="CITY", help="some of them only")
    options = parser.parse_args()
    folders = [path.parent for path in sorted(options.data.glob("*/dates.txt"))]
    chosen = [path for path in folders if not options.cities or path.name in options.cities]
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        pairs = [landscape(workdir / "made_up")]
        pairs += [prepare(path, workdir / path.name) for path in chosen]
        for strength in options.strength:
            for kind in HARMED:
                cases = [harmed_pair(pair, kind, strength, workdir) for pair in pairs]
                rows = {name: measure(method, cases) for name, method in methods().items()}
                head = list(next(iter(rows.values())))
                table = [[name, *row.values()] for name, row in rows.items()]
                print_table(f"{kind}, {strength:g}", table, head)
                sys.stdout.flush()


if __name__ == "__main__":
    main()
