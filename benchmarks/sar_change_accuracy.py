"""How well SarChangeDetect finds change, beside simpler methods, and its false-alarm rate.

    python benchmarks/sar_change_accuracy.py [--labelled FOLDER] [--series FOLDER] [--seed NUMBER]

Simulated pairs are always measured: five lands, seven kinds of change of up to 25 % of the image,
equal and unequal looks, texture, correlated speckle, season. FOLDER of --labelled has pairs of
pictures NAME_1, NAME_2 and NAME_gt, where 128 or more is change; that of --series a folder for each
date of one track, with files TRACK-BURST_TIME_POLARISATION.tif of linear power. Consecutive dates
of a series are taken as unchanged.
"""

import argparse
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
from _sar_pairs import LabelledPair, gaussian_otsu, kappa, pca_kmeans, simulated_pairs

from candela.eo.sar.adaptive import fit_adaptive
from candela.eo.sar.detector import Detector
from candela.eo.sar.log_ratio import fit_log_ratio
from candela.eo.sar.looks import estimate_speckle
from candela.eo.sar.significance import fit_significance
from candela.eo.sar.survey import PairSurvey

LEVELS = (0.01, 0.001)

Method = Callable[[LabelledPair], np.ndarray]


def surveyed(before: np.ndarray, after: np.ndarray) -> PairSurvey:
    first, second = ([estimate_speckle([band]) for band in image] for image in (before, after))
    return PairSurvey([(before, after)], (first, second))


def fitted(fit: Callable[[PairSurvey], Detector]) -> Method:
    def call(pair: LabelledPair) -> np.ndarray:
        detector = fit(surveyed(pair.before, pair.after))
        return detector.probability(pair.before, pair.after) >= 0.5

    return call


METHODS: dict[str, Method] = {
    "PCA-KMeans": pca_kmeans,
    "Gaussian, Otsu": gaussian_otsu,
    "log_ratio": fitted(lambda survey: fit_log_ratio(survey, 0.001)),
    "statistics": fitted(lambda survey: fit_significance(survey, 0.001)),
    "statistics, 5 x 5": fitted(lambda survey: fit_significance(survey, 0.001, multilook=5)),
    "adaptive": fitted(fit_adaptive),
}


def labelled_pairs(folder: Path) -> Iterator[LabelledPair]:
    for path in sorted(folder.rglob("*_1.*")):
        name = path.stem.removesuffix("_1")
        images = {}
        for key in ("1", "2", "gt"):
            with rasterio.open(path.with_name(f"{name}_{key}{path.suffix}")) as image:
                images[key] = image.read(1)
        before, after = (
            np.square(np.maximum(images[key].astype(np.float32), 0.5))[None] for key in ("1", "2")
        )
        yield LabelledPair(name, before, after, images["gt"] > 127)


def series(folder: Path) -> dict[str, list[np.ndarray]]:
    """Return the images of each burst, (polarisations, rows, cols), in order of time."""
    bursts: dict[str, list[np.ndarray]] = {}
    for date in sorted(path for path in folder.iterdir() if path.is_dir()):
        names = sorted({path.name.split("_")[0] for path in date.glob("*.tif")})
        for name in names:
            bands = []
            for path in sorted(date.glob(f"{name}_*.tif"), reverse=True):  # VV before VH
                with rasterio.open(path) as image:
                    bands.append(image.read(1))
            image = np.stack(bands)
            image[:, (image <= 0).any(axis=0)] = np.nan
            bursts.setdefault(name, []).append(image)
    return bursts


def print_accuracy(pairs: list[LabelledPair]) -> None:
    print(f"| kappa | {' | '.join(METHODS)} |\n|---|{'---|' * len(METHODS)}")
    rows = []
    for pair in pairs:
        found = [method(pair) for method in METHODS.values()]
        if pair.changed.any():
            rows.append([kappa(each, pair.changed) for each in found])
            values = [f"{value:.3f}" for value in rows[-1]]
        else:
            values = [f"({each.mean():.4f} flagged)" for each in found]
        print(f"| {pair.name} | {' | '.join(values)} |", flush=True)
    for label, reduce in (("mean", np.mean), ("worst", np.min)):
        values = [f"{value:.3f}" for value in reduce(rows, axis=0)]
        print(f"| {label} of {len(rows)} | {' | '.join(values)} |")


def print_false_alarms(folder: Path) -> None:
    print("| burst | pairs | .01 | .001 | looks estimated | looks effective |")
    print("|---|---|---|---|---|---|")
    for name, images in series(folder).items():
        rates, looks, effective = [], [], []
        for before, after in pairwise(images):
            survey = surveyed(before, after)
            valid = np.isfinite(before[0]) & np.isfinite(after[0])
            rate = []
            for level in LEVELS:
                detector = fit_significance(survey, level)
                change = detector.probability(before, after)[valid]
                rate.append(np.mean(change >= 0.5))
            rates.append(rate)
            looks.append([each.looks for each in survey.speckle[0]])
            effective.append(detector.test.looks[0])
        cells = [
            f"{np.mean(each):.5f} ({np.min(each):.4f} to {np.max(each):.4f})"
            for each in np.transpose(rates)
        ]
        medians = [
            ", ".join(f"{value:.1f}" for value in np.median(each, axis=0))
            for each in (looks, effective)
        ]
        print(f"| {name} | {len(rates)} | {' | '.join([*cells, *medians])} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labelled", type=Path, help="folder of labelled pairs")
    parser.add_argument("--series", type=Path, help="folder of a series without change")
    parser.add_argument("--seed", type=int, default=1000, help="of the simulation; default 1000")
    options = parser.parse_args()
    print_accuracy(list(simulated_pairs(options.seed)))
    if options.labelled:
        print()
        print_accuracy(list(labelled_pairs(options.labelled)))
    if options.series:
        print()
        print_false_alarms(options.series)


if __name__ == "__main__":
    main()
