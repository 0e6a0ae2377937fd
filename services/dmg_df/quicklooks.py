"""Small pictures of patches, both sensors side by side."""

import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.progress import Progress
from candela.eo.raster.grid import Shape
from candela.eo.raster.preview import write_png
from candela.eo.s1.backscatter import decibel
from candela.eo.threads import thread_count
from candela.patches.store.model import PatchModel

from .pair import OPTICAL_BANDS, Pair, Seen

RGB = ("B04", "B03", "B02")
LOW, HIGH = 2.0, 98.0  # percentiles of the product that are black and white
LEAST_RANGE = 0.02  # of reflectance: noise over dark water is not stretched to white
# VV, VH and VV - VH in dB: what is black, what is white; the same for all products.
RADAR_RANGES = ((-22.0, 0.0), (-28.0, -6.0), (2.0, 16.0))
LOOK = 1024  # pixels; how much is looked at for the percentiles
LONGEST_SIDE = 120  # pixels of one picture of a pair
JPEG_QUALITY = 85
GAP = 2  # pixels between pictures
SHEET_PAIRS = 48
SHEET_COLS = 6

Picture = NDArray[np.uint8]


class Stretch(NamedTuple):
    """Reflectance of red, green and blue that is shown black, and white."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @classmethod
    def of(cls, pair: Pair) -> "Stretch":
        """Look at a thinned-out pair with red, green and blue alone."""
        rows, cols = pair.grid.shape
        looked = Shape(min(rows, LOOK), min(cols, LOOK))
        whole = pair.see(pair.read(Window(0, 0, cols, rows), shape=looked))
        seen = whole.optical[:, whole.usable]
        if not seen.size:
            return cls(np.zeros(3, np.float32), np.ones(3, np.float32))
        low, high = np.percentile(seen, [LOW, HIGH], axis=1)
        return cls(low.astype(np.float32), np.maximum(high, low + LEAST_RANGE).astype(np.float32))


def picture_of_pair(seen: Seen, stretch: Stretch) -> tuple[Picture, Picture]:
    """Return pictures of both sensors.

    Parameters
    ----------
    seen : Seen
        Red, green and blue; VV and VH. What cannot be used is shown as it is.
    stretch : Stretch

    Returns
    -------
    tuple of two ndarray, shape (rows, cols, 3), uint8
        True colour; VV, VH and VV - VH as red, green and blue.
    """
    colour = _shown(seen.optical, stretch.low, stretch.high)
    vv, vh = decibel(seen.radar)
    low, high = np.array(RADAR_RANGES, np.float32).T
    return colour, _shown(np.stack([vv, vh, vv - vh]), low, high)


def _visible(pair: Pair) -> Pair:
    """Return the pair with red, green and blue alone."""
    indexes = [pair.optical.indexes[OPTICAL_BANDS.index(name)] for name in RGB]
    return replace(pair, optical=pair.optical._replace(indexes=indexes))


def _shown(
    bands: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> Picture:
    scaled = (bands - low[:, None, None]) / (high - low)[:, None, None]
    levels = np.nan_to_num(np.clip(scaled, 0, 1) * 255 + np.float32(0.5))
    return np.ascontiguousarray(np.moveaxis(levels.astype(np.uint8), 0, -1))


def add_quicklooks(pair: Pair, model: PatchModel, size: int, progress: Progress) -> None:
    """Give all patches of one size their quick-look.

    Parameters
    ----------
    pair : Pair
        The images the model was made of.
    model : PatchModel
        Its ``quicklooks`` are filled.
    size : int
        Which patches.
    progress : Progress
    """
    pair = _visible(pair)
    stretch = Stretch.of(pair)
    numbers = list(model.of_size(size))
    by_row: dict[int, list[int]] = {}
    for number in numbers:
        by_row.setdefault(int(model.patches.row[number]), []).append(number)
    with ThreadPoolExecutor(thread_count()) as pool:
        for done, (row, of_row) in enumerate(by_row.items(), 1):
            stored = pair.read(Window(0, row * size, pair.grid.shape.cols, size))
            shown = picture_of_pair(pair.see(stored), stretch)
            places = [int(model.patches.col[number]) * size for number in of_row]
            pictures = pool.map(lambda left: _encoded(shown, left, size), places)  # noqa: B023
            model.quicklooks.update(zip(of_row, pictures, strict=True))
            progress(100 * done / len(by_row), f"{len(by_row)} rows of quick-looks")


def _encoded(shown: tuple[Picture, Picture], left: int, size: int) -> bytes:
    side = min(size, LONGEST_SIDE)
    parts = [
        cv2.resize(picture[:, left : left + size], (side, side), interpolation=cv2.INTER_AREA)
        for picture in shown
    ]
    both = np.concatenate([parts[0], np.zeros((side, GAP, 3), np.uint8), parts[1]], axis=1)
    _, content = cv2.imencode(".jpg", both[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return content.tobytes()


def _decoded(content: bytes) -> Picture:
    coded = np.frombuffer(content, np.uint8)
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]


def write_archive(path: Path, model: PatchModel) -> None:
    """Write all quick-looks into a zip, called after size, row and column."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in _named(model):
            archive.writestr(name, content)


def _named(model: PatchModel) -> Iterator[tuple[str, bytes]]:
    patches = model.patches
    for number, content in model.quicklooks.items():
        row, col = patches.row[number], patches.col[number]
        yield f"{patches.size[number]}/{row:03d}_{col:03d}.jpg", content


def write_contact_sheet(path: Path, model: PatchModel) -> None:
    """Write one picture of pairs from all over the product, from the upper left on."""
    numbers = sorted(model.quicklooks)
    chosen = [
        numbers[index]
        for index in np.linspace(0, len(numbers) - 1, min(SHEET_PAIRS, len(numbers))).astype(int)
    ]
    pictures = [_decoded(model.quicklooks[number]) for number in chosen]
    rows, cols, _ = pictures[0].shape
    across = min(SHEET_COLS, len(pictures))
    down = -(-len(pictures) // across)
    step_down, step_across = rows + 4 * GAP, cols + 4 * GAP
    sheet = np.full((down * step_down, across * step_across, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // across * step_down + 2 * GAP, index % across * step_across + 2 * GAP
        sheet[top : top + rows, left : left + cols] = picture
    write_png(path, sheet)
