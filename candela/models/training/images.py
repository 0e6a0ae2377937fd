"""Unlabelled Sentinel-2 training images: stacks, full products or files of single bands."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from candela.eo.s2.metadata import BANDS as ALL_BANDS
from candela.models.encoder import BANDS
from candela.models.standardisation import Standardisation

WITHOUT_CIRRUS = tuple(band for band in ALL_BANDS if band != "B10")  # as in Level-2A
BAND_FILE = re.compile(r"B(?P<number>\d{1,2}|8A)\.tif$")


class TrainingImage(NamedTuple):
    """One standardised image.

    Attributes
    ----------
    name : str
    pixels : ndarray, shape (rows, cols, bands), float32
    """

    name: str
    pixels: NDArray[np.float32]


def find_images(folder: Path, *, exclude: Sequence[str] = ()) -> Iterator[TrainingImage]:
    """Read and standardise all images below a folder.

    An image is a GeoTIFF whose bands are described as B02 ... B12 (as Jpeg2Tiff makes them), one
    with all 12 or 13 bands in the order of ESA, or a folder of files ``...B02.tif``, one per band,
    which are brought to the grid of the blue band.

    Parameters
    ----------
    folder : Path
    exclude : sequence of str
        Names of folders that are left out.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*.tif"))
        if not set(path.relative_to(folder).parts) & set(exclude)
    ]
    by_folder: dict[Path, dict[str, Path]] = {}
    for path in paths:
        match = BAND_FILE.search(path.name)
        if match:
            number = match["number"]
            band = "B8A" if number == "8A" else f"B{int(number):02d}"
            by_folder.setdefault(path.parent, {})[band] = path
        else:
            stack = _read_stack(path)
            if stack is not None:
                yield _standardised(str(path.relative_to(folder)), stack)
    for parent, files in by_folder.items():
        if set(BANDS) <= set(files):
            stack = _read_files([files[band] for band in BANDS])
            yield _standardised(str(parent.relative_to(folder)), stack)


def _standardised(name: str, stack: NDArray[np.uint16]) -> TrainingImage:
    valid = np.asarray((stack > 0).all(axis=0))
    standard = Standardisation.of(stack[:, valid]).apply(stack, valid)
    return TrainingImage(name, np.ascontiguousarray(np.moveaxis(standard, 0, -1)))


def _read_stack(path: Path) -> NDArray[np.uint16] | None:
    with rasterio.open(path) as image:
        names: Sequence[str | None] = image.descriptions
        if not set(BANDS) <= set(names):
            names = {12: WITHOUT_CIRRUS, 13: ALL_BANDS}.get(image.count, ())
        if not names:
            return None
        stack = image.read([list(names).index(band) + 1 for band in BANDS])
    return np.asarray(np.clip(stack, 0, np.iinfo(np.uint16).max), np.uint16)


def _read_files(paths: Sequence[Path]) -> NDArray[np.uint16]:
    with rasterio.open(paths[BANDS.index("B02")]) as blue:
        shape = blue.shape
    bands = []
    for path in paths:
        with rasterio.open(path) as image:
            bands.append(image.read(1, out_shape=shape, resampling=Resampling.bilinear))
    return np.asarray(np.stack(bands), np.uint16)
