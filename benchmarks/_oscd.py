"""The cities of the Onera Satellite Change Detection set (Daudt et al. 2018)."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.warp import Resampling, reproject
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.models.encoder import BANDS

COLUMNS = 4  # of cities in the mosaic


@dataclass(frozen=True)
class City:
    """A labelled pair, stacked as Jpeg2Tiff would."""

    name: str
    before: Path
    after: Path
    truth: np.ndarray  # bool
    seen: np.ndarray  # bool: the earlier image has data

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both images, (bands, rows, cols), uint16."""
        return read(self.before), read(self.after)


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
        bands = np.stack([warp(folder / images / f"{band}.tif", grid) for band in BANDS])
        write(workdir / f"{name}.tif", bands, grid, tags)
    with rasterio.open(folder / "cm" / f"{folder.name}-cm.tif") as mask:
        truth = mask.read(1) == 2
    return City(folder.name, workdir / "before.tif", workdir / "after.tif", truth, seen)


def mosaic(cities: list[City], workdir: Path) -> tuple[City, dict[str, Window]]:
    """Put cities side by side into one pair, as a full tile puts landscapes side by side.

    Every city has a cell of the size of the largest; what is left of it is mirrored. Returns the
    pair and where each city is in it.
    """
    rows = max(city.truth.shape[0] for city in cities)
    cols = max(city.truth.shape[1] for city in cities)
    shape = Shape(-(-len(cities) // COLUMNS) * rows, COLUMNS * cols)
    pictures = np.zeros((2, len(BANDS), *shape), np.uint16)
    truth = np.zeros(shape, bool)
    places = {}
    for number, city in enumerate(cities):
        top, left = number // COLUMNS * rows, number % COLUMNS * cols
        height, width = city.truth.shape
        missing = ((0, 0), (0, rows - height), (0, cols - width))
        for picture, image in zip(pictures, city.images(), strict=True):
            cell = np.pad(image, missing, mode="symmetric")
            picture[:, top : top + rows, left : left + cols] = cell
        truth[top : top + height, left : left + width] = city.truth
        places[city.name] = Window(left, top, width, height)
    grid = Grid(rasterio.CRS.from_epsg(32631), Affine(10, 0, 300_000, 0, -10, 4_900_020), shape)
    workdir.mkdir(parents=True)
    for name, picture in zip(("before", "after"), pictures, strict=True):
        write(workdir / f"{name}.tif", picture, grid, {})
    whole = City("mosaic", workdir / "before.tif", workdir / "after.tif", truth, truth | True)
    return whole, places


def warp(path: Path, grid: Grid) -> np.ndarray:
    values = np.zeros(grid.shape, np.float32)
    with rasterio.open(path) as source:
        reproject(
            source.read(1).astype(np.float32), values, src_transform=source.transform,
            src_crs=source.crs, src_nodata=0, dst_transform=grid.transform, dst_crs=grid.crs,
            dst_nodata=0, resampling=Resampling.bilinear,
        )  # fmt: skip
    return np.clip(np.rint(values), 0, 65535).astype(np.uint16)


def write(path: Path, bands: np.ndarray, grid: Grid, tags: dict[str, str]) -> None:
    with create_image(path, grid, dtype="uint16", nodata=0, bands=BANDS, tags=tags) as sink:
        sink.write(bands)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()
