"""How well ChangeDetect finds labelled change, beside simpler methods.

    python benchmarks/change_accuracy.py [--data OSCD] [--ablation] [--encoder FOLDER] [CITY ...]

Measures on the cities of the Onera Satellite Change Detection set (Daudt et al. 2018, IGARSS), one
folder per city with imgs_1, imgs_2 and cm. The labels mark urban change only: vegetation, season,
clouds and water count as false alarms. The masks are CC BY-NC-SA 4.0: measure with them, do not
train a model on them that is to be given away. The encoder that ships has seen none of the images.

AUC and average precision (AP) are means over cities, with their standard deviation; F1, precision,
recall and the expected calibration error (ECE, ten bins) are over all pixels, change at 0.5.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.warp import Resampling, reproject

from candela.demo.accuracy import area_under_curve
from candela.eo.grid import Grid
from candela.eo.progress import silent
from candela.eo.raster import create_image, gdal_environment
from candela.eo.registration import Shift
from candela.services.change_detect import run, survey
from candela.services.change_detect.encoder import BANDS, load_encoder
from candela.services.change_detect.pair import open_pair
from candela.services.change_detect.prediction import EMPHASES
from candela.spec import load_specs

DATA = Path(".cache/oscd")
BINS = 10
CELIK_BLOCK, CELIK_COMPONENTS = 5, 3


@dataclass(frozen=True)
class City:
    """A labelled pair, stacked as Jpeg2Tiff would."""

    name: str
    before: Path
    after: Path
    truth: np.ndarray  # bool
    seen: np.ndarray  # bool: the earlier image has data


Method = Callable[[City, Path], np.ndarray]


def prepare(folder: Path, workdir: Path) -> City:
    """Bring both dates of a city to the 10 m grid of the earlier one."""
    dates = re.findall(r"\d{8}", (folder / "dates.txt").read_text())
    workdir.mkdir(parents=True)
    with rasterio.open(folder / "imgs_1" / "B02.tif") as blue:
        grid, seen = Grid.of(blue), blue.read(1) > 0
    for name, images, date in zip(("before", "after"), ("imgs_1", "imgs_2"), dates, strict=True):
        tags = {
            "PRODUCT_ID": f"{folder.name} {date}",
            "SENSING_TIME": f"{date[:4]}-{date[4:6]}-{date[6:]}T10:30:00Z",
            "LEVEL": "L1C",
        }
        with create_image(
            workdir / f"{name}.tif", grid, dtype="uint16", nodata=0, bands=BANDS, tags=tags
        ) as sink:
            for index, band in enumerate(BANDS, 1):
                sink.write(warp(folder / images / f"{band}.tif", grid), index)
    with rasterio.open(folder / "cm" / f"{folder.name}-cm.tif") as mask:
        truth = mask.read(1) == 2
    return City(folder.name, workdir / "before.tif", workdir / "after.tif", truth, seen)


def warp(path: Path, grid: Grid) -> np.ndarray:
    values = np.zeros(grid.shape, np.float32)
    with rasterio.open(path) as source:
        reproject(
            source.read(1).astype(np.float32), values, src_transform=source.transform,
            src_crs=source.crs, src_nodata=0, dst_transform=grid.transform, dst_crs=grid.crs,
            dst_nodata=0, resampling=Resampling.bilinear,
        )  # fmt: skip
    return np.clip(np.rint(values), 0, 65535).astype(np.uint16)


def standardised_difference(city: City) -> np.ndarray:
    """Return the difference of the dates, each band with mean 0 and deviation 1 in both."""
    images = []
    for path in (city.before, city.after):
        with rasterio.open(path) as dataset:
            image = dataset.read().astype(np.float32)
        images.append(
            (image - image.mean((1, 2), keepdims=True)) / image.std((1, 2), keepdims=True)
        )
    return images[1] - images[0]


def change_vector(city: City, _: Path) -> np.ndarray:
    """Change vector analysis: the length of the difference, cut by Otsu's rule."""
    length = np.linalg.norm(standardised_difference(city), axis=0)
    levels = np.clip(length / np.percentile(length, 99.9) * 255, 0, 255).astype(np.uint8)
    cut, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
    return levels / np.maximum(levels + cut, 1.0)


def celik(city: City, _: Path) -> np.ndarray:
    """PCA and k-means on blocks of the difference (Celik 2009, 10.1109/LGRS.2009.2025059)."""
    length = np.linalg.norm(standardised_difference(city), axis=0)
    radius = CELIK_BLOCK // 2
    padded = np.pad(length, radius, mode="symmetric")
    blocks = np.lib.stride_tricks.sliding_window_view(padded, (CELIK_BLOCK, CELIK_BLOCK))
    vectors = blocks.reshape(-1, CELIK_BLOCK**2)
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    features = (centred @ axes[:, -CELIK_COMPONENTS:]).astype(np.float32)
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-4)
    _, labels, centres = cv2.kmeans(features, 2, None, stop, 5, cv2.KMEANS_PP_CENTERS)
    lengths = [length.ravel()[labels.ravel() == label].mean() for label in (0, 1)]
    gaps = [np.linalg.norm(features - centre, axis=1) for centre in centres]
    changed = int(np.argmax(lengths))
    near = gaps[1 - changed] / np.maximum(gaps[0] + gaps[1], 1e-9)
    return near.reshape(length.shape)


def process(model: str) -> Method:
    """The process itself, as a job runs it."""

    def call(city: City, workdir: Path) -> np.ndarray:
        options = load_specs()["ChangeDetect"].defaults | {"model": model}
        outputs = run(
            before=city.before, after=city.after, **options, workdir=workdir, progress=silent
        )
        with rasterio.open(outputs["change"]) as dataset:
            return dataset.read(1)

    return call


def variant(model: str, encoder: Path | None, *, register: bool = True) -> Method:
    """The process with something taken out or exchanged."""

    def call(city: City, _: Path) -> np.ndarray:
        with gdal_environment(), open_pair(city.before, city.after) as pair:
            surveyed = survey.survey_pair(pair)
            if not register:
                surveyed = surveyed._replace(applied=Shift(0, 0))
            detector = survey.fit(surveyed, load_encoder("onnx", encoder), model, silent)
            return detector(*pair.read(None))

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


def measure(method: Method, cities: list[City], workdir: Path) -> tuple[np.ndarray, dict]:
    """Return AUC and AP of each city, and the numbers over all."""
    each, all_scores, all_changed = [], [], []
    for city in cities:
        place = Path(tempfile.mkdtemp(dir=workdir))
        scores = np.nan_to_num(method(city, place).astype(float))[city.seen]
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


def methods(options: argparse.Namespace) -> dict[str, Method]:
    if not options.ablation:
        models = ("distance", "vegetation", "construction")
        return {"change vector": change_vector, "PCA and k-means": celik} | {
            model: variant(model, options.encoder) if options.encoder else process(model)
            for model in models
        }
    single = {f"only {name}": (name,) for name in EMPHASES["construction"]}
    EMPHASES.update(single)
    return {
        "all of it": variant("construction", options.encoder),
        "no registration": variant("construction", options.encoder, register=False),
    } | {name: variant(name, options.encoder) for name in single}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the cities")
    parser.add_argument("--ablation", action="store_true", help="take parts out instead")
    parser.add_argument("--encoder", type=Path, help="folder of another encoder.onnx")
    parser.add_argument("cities", nargs="*", metavar="CITY", help="some of them only")
    options = parser.parse_args()
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
        per_city, totals = {}, {}
        for name, method in methods(options).items():
            per_city[name], totals[name] = measure(method, cities, workdir)
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


def print_table(corner: str, rows: list[list[str]], head: list[str]) -> None:
    """Print a table in Markdown."""
    print(f"| {' | '.join([corner, *head])} |")
    print(f"|{'---|' * (len(head) + 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


if __name__ == "__main__":
    main()
