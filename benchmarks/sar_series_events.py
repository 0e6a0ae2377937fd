"""What SarChangeSeries finds of a flood, of clear-cuts and of windthrow.

    python benchmarks/sar_series_events.py [--chip FOLDER] [--level 0.001]

Forest is simulated: VV -8.5 and VH -14 dB with a texture of 1 dB, a yearly cycle of 1.2 dB, a shift
of each date of 0.5 dB, speckle of 4.4 looks with a correlation of 0.3 between neighbours, an image
every 12 days for a year and a half. On one day come clear-cuts (VV -2, VH -4 dB, ellipses of 0.1 to
4 ha) or windthrow (VV +1, VH +1.5 dB, 0.5 to 10 ha). What is reported is counted after one, three
and six dates that show them.

The flood is that of a hand-labelled chip of Sen1Floods11 (``--chip``: its folder with S1 and
Labels). Its own image is the last date; ten dry dates before it are simulated from it, with land
from elsewhere in place of the water. What is reported as darker counts as flood; all labelled water
should be, the permanent one too, which dry dates lack.
"""

import argparse
import tempfile
from datetime import date, timedelta
from pathlib import Path

import cv2
import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS

from candela.eo.progress import silent
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.s1.speckle import despeckle
from candela.services.sar_change_series import run

SIZE = 512
DATES = 46
EVENT = 38  # number of the first date that shows it
AFTER = (1, 3, 6)
STEPS = {"clear-cut": (-2.0, -4.0), "windthrow": (1.0, 1.5)}
AREAS_HA = {"clear-cut": (0.1, 4.0), "windthrow": (0.5, 10.0)}
LOOKS = 1.72  # before the resampling below, which makes 4.4 of them


def speckle(random, shape) -> np.ndarray:
    """Return speckle of mean 1 as resampling by a quarter of a pixel leaves it."""
    fine = random.gamma(LOOKS, 1 / LOOKS, (shape[0] + 1, shape[1] + 1))
    rows = 0.75 * fine[:-1] + 0.25 * fine[1:]
    return 0.75 * rows[:, :-1] + 0.25 * rows[:, 1:]


def write(folder: Path, day: date, intensity: np.ndarray) -> Path:
    path = folder / f"s1a_simulated_{day:%Y%m%d}.tif"
    grid = Grid(
        CRS.from_epsg(32631), Affine(10, 0, 399960, 0, -10, 4800000), Shape(*intensity.shape[1:])
    )
    tags = {"CALIBRATION": "gamma", "SENSING_TIME": f"{day}T06:00:00Z"}
    with create_image(
        path, grid, dtype="float32", nodata=0, bands=["VV", "VH"], tags=tags
    ) as image:
        image.write(intensity.astype(np.float32))
    return path


def series(images: list[Path], level: float, folder: Path, state: Path | None = None):
    """Return status and direction after the images, and the state."""
    folder.mkdir()
    outputs = run(
        images=images, state=state, scale="auto", baseline=6, baseline_until=None,
        seasons="quarters", false_alarms=level, confirmations=3, minimum_mapping_unit=1,
        workdir=folder, progress=silent,
    )  # fmt: skip
    with rasterio.open(outputs["status"]) as image:
        status = image.read(1)
    with rasterio.open(outputs["direction"]) as image:
        direction = image.read(1)
    return status, direction, outputs["state"]


def ellipses(random, areas_ha, count: int) -> np.ndarray:
    """Return labels of ellipses that do not touch, 0 between them."""
    labels = np.zeros((SIZE, SIZE), np.int32)
    for number in range(1, count + 1):
        pixels = 100 * np.exp(random.uniform(*np.log(areas_ha)))
        long = np.sqrt(pixels / np.pi) * random.uniform(1, 1.7)
        axes = (long, pixels / np.pi / long)
        for _ in range(200):
            mask = np.zeros((SIZE, SIZE), np.uint8)
            place = random.uniform(20, SIZE - 20, 2)
            cv2.ellipse(
                mask, (tuple(place), tuple(2 * a for a in axes), random.uniform(0, 180)), 1, -1
            )
            if not labels[cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0].any():
                labels[mask > 0] = number
                break
    return labels


def forest(level: float, folder: Path) -> None:
    random = np.random.default_rng(11)
    texture = cv2.GaussianBlur(random.standard_normal((SIZE, SIZE)), (0, 0), 2)
    texture *= 1 / texture.std()
    mean = np.array([-8.5, -14.0])[:, None, None] + texture
    for kind, steps in STEPS.items():
        labels = ellipses(random, AREAS_HA[kind], 60)
        images, statuses, state = [], {}, None
        for number in range(EVENT + max(AFTER)):
            cycle = 0.6 * np.sin(2 * np.pi * number * 12 / 365)
            shifts = 0.5 * random.standard_normal(2)[:, None, None]
            decibels = mean + cycle + shifts
            if number >= EVENT:
                decibels = decibels + np.array(steps)[:, None, None] * (labels > 0)
            noise = np.stack([speckle(random, (SIZE, SIZE)) for _ in range(2)])
            day = date(2022, 3, 1) + timedelta(12 * number)
            images.append(write(folder, day, 10 ** (decibels / 10) * noise))
            if number == EVENT - 1 or number + 1 - EVENT in AFTER:
                status, _, state = series(images, level, folder / f"{kind} {number}", state)
                statuses[number + 1 - EVENT], images = status, []
        for after in AFTER:
            report(kind, after, statuses[after], labels)


def report(kind: str, after: int, status: np.ndarray, labels: np.ndarray) -> None:
    inside = labels > 0
    reported, confirmed = (status > 0) & (status < 4), status == 3
    share = np.bincount(labels[inside], reported[inside])[1:] / np.bincount(labels[inside])[1:]
    sure = np.bincount(labels[inside], confirmed[inside])[1:] / np.bincount(labels[inside])[1:]
    far = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9))) == 0
    print(
        f"{kind:10} after {after} dates: area reported {reported[inside].mean():.3f}, objects "
        f"{(share >= 0.5).mean():.3f} (confirmed {(sure >= 0.5).mean():.3f}), elsewhere "
        f"{reported[far].mean():.5f} (confirmed {confirmed[far].mean():.5f})"
    )


def flood(chip: Path, level: float, folder: Path) -> None:
    random = np.random.default_rng(12)
    with rasterio.open(next(chip.glob("S1/*.tif"))) as image:
        last = 10 ** (image.read() / 10)
    with rasterio.open(next(chip.glob("Labels/*.tif"))) as image:
        label = image.read(1)
    water = label == 1
    sources = np.array([np.roll(~water, shift, axis=(0, 1)) for shift in _shifts(water)])
    first = sources.argmax(axis=0)[None]
    dry = []
    for band in last:  # land from elsewhere, in pieces so that its texture stays
        land = despeckle(np.where(water, 0, band).astype(np.float32), "lee")
        pieces = np.array([np.roll(land, shift, axis=(0, 1)) for shift in _shifts(water)])
        filled = np.take_along_axis(pieces, first, axis=0)[0]
        filled[~sources.any(axis=0)] = np.median(land[~water])
        dry.append(np.where(water, filled, land))
    images = []
    for number in range(10):
        shift = 10 ** (0.07 * random.standard_normal((2, 1, 1)))
        noise = np.stack([speckle(random, water.shape) for _ in range(2)])
        images.append(
            write(folder, date(2019, 5, 1) + timedelta(12 * number), np.stack(dry) * shift * noise)
        )
    images.append(write(folder, date(2019, 9, 17), last))
    status, direction, _ = series(images, level, folder / "flood")
    known = label >= 0
    reported = (status > 0) & (status < 4) & (direction == 2)
    a, b = reported[known], water[known]
    agreement, chance = (a == b).mean(), a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    print(
        f"flood: recall {a[b].mean():.3f}, precision {b[a].mean():.3f}, of land reported "
        f"{a[~b].mean():.4f}, IoU {(a & b).sum() / (a | b).sum():.3f}, kappa "
        f"{(agreement - chance) / (1 - chance):.3f}"
    )


def _shifts(water: np.ndarray) -> list[tuple[int, int]]:
    rows, cols = water.shape
    steps = range(6)
    return [(i * rows // 6, j * cols // 6) for i in steps for j in steps if i or j]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chip", type=Path)
    parser.add_argument("--level", type=float, default=0.001)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.chip:
            flood(options.chip, options.level, Path(folder))
        forest(options.level, Path(folder))


if __name__ == "__main__":
    main()
