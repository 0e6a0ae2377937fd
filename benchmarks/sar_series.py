"""False alarms and recall of SarChangeSeries on real backscatter of one track.

    python benchmarks/sar_series.py --data FOLDER [--level 0.001] [--repeats 12]

FOLDER has a folder for each date and in it GeoTIFFs T<track>-<burst>-<swath>_<time>_<VV|VH>.tif of
gamma0, as from OPERA RTC-S1. All dates but the last are the baseline. On the last nothing is known
to have changed: what is reported counts as false alarm. Into the same date steps of +3 and -3 dB
are injected, in both polarisations: squares of 3 to 11 pixels a side on 2 % of the area, each size
and sign in runs of their own. Recall of pixels is the share of their pixels that is reported; of
objects, the share of squares of which at least half of the pixels are.

Beside it stands a plain z-score: the log ratio to the mean of the baseline by its deviation, for
each polarisation, reported where the larger is above 3.5.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.windows import Window

from candela.eo.progress import silent
from candela.eo.s1.backscatter import decibel
from candela.services.sar_change_series import run
from candela.services.sar_change_series.confirmation import Rule
from candela.services.sar_change_series.history import History
from candela.services.sar_change_series.seasons import day_number, season_of
from candela.services.sar_change_series.series import add_date
from candela.services.sar_change_series.state import SeriesDescription, read_bands

SIZES = (3, 4, 5, 7, 11)
STEP_DB = 3.0
MARGIN = 6  # pixels around squares that count for neither side
Z = 3.5


class Burst(NamedTuple):
    """Images of a burst by date, and its intensity on the last."""

    name: str
    files: dict[str, list[Path]]

    def last(self) -> np.ndarray:
        return self.intensity(max(self.files))

    def intensity(self, day: str) -> np.ndarray:
        bands = {}
        for file in self.files[day]:
            with rasterio.open(file) as image:
                bands[file.stem[-2:]] = image.read(1)
        intensity = np.stack([bands["VV"], bands["VH"]])
        intensity[:, (intensity <= 0).any(axis=0)] = np.nan
        return intensity


def bursts(folder: Path) -> list[Burst]:
    files: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted(folder.glob("*/*.tif")):
        files[file.name.split("_")[0]][file.parent.name].append(file)
    return [Burst(name, dict(found)) for name, found in sorted(files.items())]


def squares(shape, size, random) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of squares of ``size`` pixels, 0 between them, and where they are far.

    They cover 2 % of the area: denser ones would raise the spread of their neighbourhood.
    """
    pitch = round(size / np.sqrt(0.02))
    labels = np.zeros(shape, np.int32)
    near = np.zeros(shape, bool)
    top, left = random.integers(0, pitch, 2)
    for row in range(top - pitch, shape[0], pitch):
        for col in range(left - pitch, shape[1], pitch):
            if row < 0 or col < 0 or row + size > shape[0] or col + size > shape[1]:
                continue
            labels[row : row + size, col : col + size] = labels.max() + 1
            near[max(0, row - MARGIN) : row + size + MARGIN,
                 max(0, col - MARGIN) : col + size + MARGIN] = True  # fmt: skip
    return labels, ~near


def recall(reported, labels) -> tuple[float, float, int]:
    """Return the recall of pixels and of objects, and how many objects there are."""
    inside = labels > 0
    share = np.bincount(labels[inside], reported[inside])[1:] / np.bincount(labels[inside])[1:]
    return float(reported[inside].mean()), float((share >= 0.5).mean()), len(share)


class Detector:
    """The process on the last date of a burst, after a baseline of all others."""

    def __init__(self, burst: Burst, level: float, folder: Path, seasons: str) -> None:
        *earlier, last = sorted(burst.files)
        self.date = date.fromisoformat(last)
        self.rule = Rule(level, 6, 3)
        files = [file for day in earlier for file in burst.files[day]]
        outputs = run(
            images=files, state=None, scale="intensity", baseline=6,
            baseline_until=date.fromisoformat(earlier[-1]), seasons=seasons,
            false_alarms=level, confirmations=3, minimum_mapping_unit=1,
            workdir=folder, progress=silent,
        )  # fmt: skip
        self.state = outputs["state"]

    def report(self, intensity: np.ndarray) -> np.ndarray:
        with rasterio.open(self.state) as image:
            known = SeriesDescription.from_image(image)
            season = season_of(self.date, known.seasons)
            window = Window(0, 0, image.width, image.height)
            known = known.added(self.date, season)
            bands = read_bands(image, known.bands(), window)
        whole = tuple(slice(0, side) for side in intensity.shape[1:])
        history = History(bands, known.polarisations)
        added = add_date(
            history, bands, whole, intensity, season=season, day=day_number(self.date),
            prior=known.prior, rule=self.rule, is_learned=False,
        )  # fmt: skip
        return added.bands["status"] > 0


class ZScore:
    """The log ratio to the mean, by the deviation over dates."""

    def __init__(self, burst: Burst) -> None:
        earlier = [decibel(burst.intensity(day)) for day in sorted(burst.files)[:-1]]
        self.mean, self.deviation = np.mean(earlier, axis=0), np.std(earlier, axis=0, ddof=1)

    def report(self, intensity: np.ndarray) -> np.ndarray:
        return (np.abs(decibel(intensity) - self.mean) / self.deviation > Z).any(axis=0)


def measure(detector, burst: Burst, repeats: int):
    """Return false alarms, those around the squares, and recall by size."""
    random = np.random.default_rng(7)
    last = burst.last()
    alarms = float(detector.report(last).mean())
    found, beside = {}, []
    for size in SIZES:
        runs = []
        for number in range(repeats):
            gain = np.float32(10 ** (STEP_DB * (1 if number % 2 else -1) / 10))
            labels, far = squares(last.shape[1:], size, random)
            reported = detector.report(np.where(labels > 0, last * gain, last))
            runs.append(recall(reported, labels))
            beside.append(reported[far].mean())
        found[size] = np.mean([each[:2] for each in runs], axis=0)
    return alarms, float(np.mean(beside)), found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--level", type=float, default=0.001)
    parser.add_argument("--seasons", default="quarters")
    parser.add_argument("--repeats", type=int, default=12)
    options = parser.parse_args()
    if options.repeats % 2:
        sys.exit("repeats: expected an even number, half of them brighter")
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    heads = " ".join(f"{f'{size}x{size}':>11}" for size in SIZES)
    print(f"{'':34} {'alarms':>7} {'beside':>7} {heads}   recall of pixels/objects")
    for burst in bursts(options.data):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            detector = Detector(burst, options.level, Path(folder), options.seasons)
            methods = {"SarChangeSeries": detector, "z-score": ZScore(burst)}
            for name, method in methods.items():
                alarms, beside, found = measure(method, burst, options.repeats)
                values = np.array([alarms, beside, *np.ravel(list(found.values()))])
                rows[name].append(values)
                print_row(f"{burst.name} {name}", values)
            seconds = time.perf_counter() - start
        print(f"{'':34} {seconds:.1f} s", file=sys.stderr)
    for name, values in rows.items():
        print_row(f"mean {name}", np.mean(values, axis=0))
        print_row(f"deviation over bursts {name}", np.std(values, axis=0))
        pixels = np.mean(values, axis=0)[2::2]
        weights = np.square(SIZES)
        print(f"  recall of pixels: mean over sizes {pixels.mean():.3f}, of all pixels of as many "
              f"squares of each size {np.average(pixels, weights=weights):.3f}")  # fmt: skip


def print_row(name: str, values: np.ndarray) -> None:
    pairs = " ".join(f"{a:5.2f}/{b:4.2f} " for a, b in zip(values[2::2], values[3::2], strict=True))
    print(f"{name:34} {values[0]:7.4f} {values[1]:7.4f} {pairs}")


if __name__ == "__main__":
    main()
