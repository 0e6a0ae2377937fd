"""How well ChangeDetect finds labelled change, beside simpler methods.

    python benchmarks/change_accuracy.py [--data OSCD] [--of WHAT] [--encoder FOLDER] [CITY ...]

Measures on the cities of the Onera Satellite Change Detection set (Daudt et al. 2018, IGARSS), one
folder per city with imgs_1, imgs_2 and cm. The labels mark urban change only: vegetation, season,
clouds and water count as false alarms. The masks are CC BY-NC-SA 4.0: measure with them, do not
train a model on them that is to be given away. The encoders that ship have seen none of the images.

WHAT is one of
  methods     the models beside classical methods (the default)
  parts       "construction" without one of its parts, or with one map only
  encoders    what each encoder brings: none, linear, random weights, as trained
  mosaic      each city within one large image of all of them, beside alone

AUC and average precision (AP) are means over cities, with their standard deviation; F1, precision,
recall and the expected calibration error (ECE, ten bins) are over all pixels, change at 0.5.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import _change_anchors as change_anchors
import numpy as np
from _change_encoders import LINEAR_ENCODER, NO_ENCODER, random_encoder
from _oscd import City, mosaic, prepare

from candela.demo.accuracy import area_under_curve
from candela.eo.progress import silent
from candela.eo.raster.images import gdal_environment
from candela.eo.raster.registration import Shift
from candela.eo.s2.pair import NO_MASKS, open_pair
from candela.models.change import survey
from candela.models.change.catalogue import MODELS, ChangeModel
from candela.models.change.mapping import map_change
from candela.models.encoder import Encoder, EncoderCard, load_encoder

DATA = Path(".cache/oscd")
BINS = 10

Method = Callable[[City], np.ndarray]


def anchor(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Method:
    """Apply a classical method to both images."""

    def call(city: City) -> np.ndarray:
        before, after = city.images()
        return function(before.astype(float), after.astype(float))

    return call


def process(model: str, encode: Encoder | None = None, *, register: bool = True) -> Method:
    """Map change as the process does, perhaps with something taken out or exchanged."""
    name = MODELS[model].encoder
    encode = encode or load_encoder("onnx", name)

    def call(city: City) -> np.ndarray:
        bands = EncoderCard.read(name).bands
        with gdal_environment(), open_pair(city.before, city.after, NO_MASKS, bands) as pair:
            surveyed = survey.survey_pair(pair)
            if not register:
                surveyed = surveyed._replace(applied=Shift(0, 0))
            detector = survey.fit(surveyed, encode, model, silent)
            change = np.empty(pair.grid.shape, np.float32)
            for window, part, *_ in map_change(pair, detector, silent):
                change[window.toslices()] = part
            return change

    return call


def average_precision(scores: np.ndarray, changed: np.ndarray) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(changed[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of equal scores
    recalls = hits[last] / hits[-1]
    return float(np.sum(np.diff(recalls, prepend=0) * hits[last] / (last + 1)))


def calibration_error(scores: np.ndarray, changed: np.ndarray) -> float:
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    told, true = (np.bincount(bins, values, BINS) for values in (scores, changed))
    return float(np.abs(told - true).sum() / counts.sum())


def measure(method: Method, cities: list[City]) -> tuple[np.ndarray, dict]:
    """Return AUC and AP of each city, and the numbers over all."""
    each, all_scores, all_changed = [], [], []
    for city in cities:
        scores = np.nan_to_num(method(city).astype(float))[city.seen]
        changed = city.truth[city.seen]
        each.append((area_under_curve(scores, changed), average_precision(scores, changed)))
        all_scores.append(scores)
        all_changed.append(changed)
    scores, changed = np.concatenate(all_scores), np.concatenate(all_changed)
    found = scores >= 0.5
    hits = (found & changed).sum()
    table = np.array(each)
    return table, {
        "AUC": f"{table[:, 0].mean():.3f} ± {table[:, 0].std():.3f}",
        "AP": f"{table[:, 1].mean():.3f} ± {table[:, 1].std():.3f}",
        "F1": f"{2 * hits / (found.sum() + changed.sum()):.3f}",
        "precision": f"{hits / max(found.sum(), 1):.3f}",
        "recall": f"{hits / changed.sum():.3f}",
        "ECE": f"{calibration_error(scores, changed):.3f}",
    }


def compared_methods(options: argparse.Namespace) -> dict[str, Method]:
    return {
        "change vector": anchor(change_anchors.change_vector),
        "IR-MAD": anchor(change_anchors.irmad),
        "PCA and k-means": anchor(change_anchors.celik),
        "like SiROC": anchor(change_anchors.siroc_like),
    } | {
        model: process(model, of_folder(options.encoder, model))
        for model in ("distance", "vegetation", "ten_metre", "fast", "construction", "generic")
    }


def parts(options: argparse.Namespace) -> dict[str, Method]:
    chosen = MODELS["construction"]
    variants = {f"only {name}": (name,) for name in chosen.emphasis} | {
        f"without {name}": tuple(other for other in chosen.emphasis if other != name)
        for name in chosen.emphasis
    }
    for name, emphasis in variants.items():
        MODELS[name] = ChangeModel(chosen.encoder, emphasis)
    encode = of_folder(options.encoder, "construction")
    return {
        "all of it": process("construction", encode),
        "no registration": process("construction", encode, register=False),
    } | {name: process(name, encode) for name in variants}


def encoders(options: argparse.Namespace) -> dict[str, Method]:
    return {
        "none: the bands and their means": process("construction", NO_ENCODER),
        "linear: PCA of 8 x 8 pixels": process("construction", LINEAR_ENCODER),
        "random weights": process("construction", random_encoder(options.data)),
        "as trained": process("construction", of_folder(options.encoder, "construction")),
    }


def of_folder(folder: Path | None, model: str) -> Encoder:
    return load_encoder("onnx", MODELS[model].encoder, folder)


def in_mosaic(method: Method, cities: list[City], workdir: Path) -> Method:
    """Map all cities at once, and give each its part."""
    whole, places = mosaic(cities, workdir)
    maps: list[np.ndarray] = []

    def call(city: City) -> np.ndarray:
        if not maps:
            maps.append(method(whole))
        return maps[0][places[city.name].toslices()]

    return call


def mosaics(options: argparse.Namespace, cities: list[City], workdir: Path) -> dict[str, Method]:
    method = process("construction", of_folder(options.encoder, "construction"))
    return {"alone": method, "in the mosaic": in_mosaic(method, cities, workdir / "mosaic")}


def main() -> None:
    options = parse()
    if not options.data.is_dir():
        print(f"no labelled pairs in {options.data}: nothing measured")
        sys.exit()
    folders = [path.parent for path in sorted(options.data.glob("*/dates.txt"))]
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        cities = [
            prepare(path, workdir / path.name)
            for path in folders
            if not options.cities or path.name in options.cities
        ]
        asked = {
            "methods": lambda: compared_methods(options),
            "parts": lambda: parts(options),
            "encoders": lambda: encoders(options),
            "mosaic": lambda: mosaics(options, cities, workdir),
        }[options.of]()
        per_city, totals = {}, {}
        for name, method in asked.items():
            per_city[name], totals[name] = measure(method, cities)
            print(f"{name}: {totals[name]}", file=sys.stderr, flush=True)
    print_table(
        "AUC / AP",
        [
            [
                city.name,
                *(f"{table[index, 0]:.3f} / {table[index, 1]:.3f}" for table in per_city.values()),
            ]
            for index, city in enumerate(cities)
        ],
        list(per_city),
    )
    first = next(iter(totals.values()))
    print_table("method", [[name, *row.values()] for name, row in totals.items()], list(first))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the cities")
    parser.add_argument(
        "--of", choices=["methods", "parts", "encoders", "mosaic"], default="methods"
    )
    parser.add_argument("--encoder", type=Path, help="folder of other encoders")
    parser.add_argument("cities", nargs="*", metavar="CITY", help="some of them only")
    return parser.parse_args()


def print_table(corner: str, rows: list[list[str]], head: list[str]) -> None:
    """Print a table in Markdown."""
    print(f"| {' | '.join([corner, *head])} |")
    print(f"|{'---|' * (len(head) + 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


if __name__ == "__main__":
    main()
