"""Clouds and their shadows by a neural network, and together with what the product says of them.

The network is ukis-csmask [1]_, a U-Net trained on Level-1C and Level-2A images, whose package
(the extra ``clouds``) carries the weights. It sees three classes at 30 m: ground, cloud, cloud
shadow.

References
----------
.. [1] Wieland, M., Li, Y., Martinis, S. (2019). Multi-sensor cloud and cloud shadow segmentation
   with a convolutional neural network. Remote Sensing of Environment 230, 111203.
   https://doi.org/10.1016/j.rse.2019.05.022
"""

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from candela.eo.raster.band_names import COMMON_NAMES
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import open_image
from candela.eo.s2.bands import NODATA, SCALE, open_band
from candela.eo.s2.mask import CloudReader, Mask, Usability, open_clouds
from candela.eo.s2.product import Granule
from candela.eo.threads import thread_count
from candela.errors import InputError

CloudSource = Literal["cloud", "model", "both"]

PIXEL_M = 30  # what the network was trained at: at 10 m it takes haze for cloud
TILE = 256  # pixels; the network takes no other size
OVERLAP = 51  # pixels, at least, over which neighbouring tiles are blended
USABILITY = np.array([Usability.USABLE, Usability.CLOUD, Usability.CLOUD_SHADOW], np.uint8)

Image = NDArray[np.float32]
Reflectance = NDArray[np.uint16]
Network = Callable[[Image], Image]


@dataclass(frozen=True)
class CloudModel:
    """A network and the bands that it takes.

    Attributes
    ----------
    bands : tuple of str
        ESA's names.
    mean, deviation : ndarray, shape (bands, 1, 1), float32
        Of its training images, reflectance times 10 000.
    network : callable
        Standardised tile, (bands, 256, 256), to scores of ground, cloud, shadow, (3, 256, 256).
    """

    bands: tuple[str, ...]
    mean: Image
    deviation: Image
    network: Network

    def classify(self, image: Reflectance) -> Mask:
        """Find clouds and their shadows.

        Parameters
        ----------
        image : ndarray, shape (bands, rows, cols), uint16
            Reflectance times 10 000 of pixels of 30 m, nodata 0.

        Returns
        -------
        ndarray, shape (rows, cols), uint8
            ``Usability.USABLE``, ``CLOUD`` or ``CLOUD_SHADOW``; nodata is usable.

        Notes
        -----
        Tiles of 256 pixels overlap by a fifth at least. Their class probabilities are blended with
        weights that rise linearly over the overlap. Images smaller than a tile are mirrored.
        """
        rows, cols = image.shape[1:]
        below, beside = max(0, TILE - rows), max(0, TILE - cols)
        padded = image
        if below or beside:
            padded = np.pad(image, ((0, 0), (0, below), (0, beside)), mode="symmetric")
        starts = [_tile_starts(side) for side in padded.shape[1:]]
        tiles = [
            np.s_[row : row + TILE, col : col + TILE]
            for row, col in product(*starts)
            if padded[:, row : row + TILE, col : col + TILE].any()
        ]
        ramp = (np.arange(TILE, dtype=np.float32) + 0.5) / OVERLAP
        fade = np.clip(np.minimum(ramp, ramp[::-1]), 0, 1)

        def infer(tile: tuple[slice, slice]) -> Image:
            stored = padded[:, *tile]
            standard = (stored - self.mean) / self.deviation
            standard[:, (stored == NODATA).any(axis=0)] = 0
            return np.asarray(_softmax(self.network(standard)) * fade[:, None] * fade, np.float32)

        shares = np.zeros((len(USABILITY), *padded.shape[1:]), np.float32)
        with ThreadPoolExecutor(thread_count()) as pool:
            for tile, found in zip(tiles, pool.map(infer, tiles), strict=True):
                shares[:, *tile] += found
        classes: Mask = USABILITY[shares[:, :rows, :cols].argmax(axis=0)]
        classes[(image == NODATA).any(axis=0)] = Usability.USABLE
        return classes


def load_cloud_model(level: str, present: Sequence[str]) -> CloudModel:
    """Load the network for a processing level and the bands that are there.

    Parameters
    ----------
    level : str
        ``L1C`` or ``L2A``.
    present : sequence of str
        Bands; with B02, B03, B04, B08, B11 and B12 the more accurate network is taken, else the
        one that needs the first four only.

    Raises
    ------
    InputError
        If ukis-csmask is not installed, or bands are missing.
    """
    folder = _weights()
    for count in (6, 4):
        name = f"model_{count}b_{level.lower()}"
        card = json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8"))
        statistics = card["data"]["dataset_statistics"]
        bands = tuple(COMMON_NAMES[band] for band in statistics["band_names"])
        missing = [band for band in bands if band not in present]
        if not missing:
            mean, deviation = (
                np.array(values, np.float32)[:, None, None] * SCALE for values in statistics["img"]
            )
            network = _load_network(folder.joinpath(f"{name}.onnx"))
            return CloudModel(bands, mean, deviation, network)
    raise InputError(
        f"band {', '.join(missing)} is missing, which the cloud model needs: "
        "choose the mask cloud, validity or none"
    )


@contextmanager
def open_cloud_mask(
    granule: Granule, grid: Grid, source: CloudSource, stack: Path | None = None
) -> Iterator[CloudReader]:
    """Open the clouds of a granule.

    Parameters
    ----------
    granule : Granule
    grid : Grid
        ``granule.grid(...)`` or a part of it.
    source : {"cloud", "model", "both"}
        What the product says (``open_clouds``), what the network sees, or either: where the product
        says usable, the network is asked.
    stack : Path, optional
        A band stack of the granule on the grid, which is faster to read than the product.

    Yields
    ------
    callable
        Window of the grid -> ``Usability``, shape (rows, cols), uint8.

    Raises
    ------
    InputError
        If the product has no cloud information, or the network cannot run.
    """
    with ExitStack() as opened:
        readers = []
        if source != "model":
            readers.append(opened.enter_context(open_clouds(granule, grid)))
        if source != "cloud":
            readers.append(opened.enter_context(open_model_clouds(granule, grid, stack)))

        def read(window: Window) -> Mask:
            first, *others = (reader(window) for reader in readers)
            for other in others:
                first = np.where(first == Usability.USABLE, other, first)
            return first

        yield read


@contextmanager
def open_model_clouds(
    granule: Granule, grid: Grid, stack: Path | None = None
) -> Iterator[CloudReader]:
    """Open the clouds that the network sees; it runs when the first window is read.

    Parameters are those of ``open_cloud_mask``.

    Yields
    ------
    callable
        Window of the grid -> ``Usability``, shape (rows, cols), uint8.
    """
    model = load_cloud_model(granule.metadata.level, [band for band, _ in granule.images])
    for band in model.bands:
        with open_band(granule, band, grid, "nearest"):
            pass  # whatever is wrong with it is reported before anything is computed

    @cache
    def classes() -> Mask:
        return model.classify(_read_coarse(granule, grid, model.bands, stack))

    def read(window: Window) -> Mask:
        coarse = classes()
        places = (
            ((np.arange(begin, begin + count) + 0.5) * len_coarse / length).astype(np.intp)
            for begin, count, length, len_coarse in (
                (int(window.row_off), int(window.height), grid.shape.rows, coarse.shape[0]),
                (int(window.col_off), int(window.width), grid.shape.cols, coarse.shape[1]),
            )
        )
        return coarse[np.ix_(*places)]

    yield read


def _read_coarse(
    granule: Granule, grid: Grid, bands: Sequence[str], stack: Path | None
) -> Reflectance:
    """Read reflectance at 30 m: bands that the stack has from there, others from the product."""
    rows, cols = grid.shape
    scale = PIXEL_M / grid.transform.a
    coarse = Shape(max(1, round(rows / scale)), max(1, round(cols / scale)))
    image = np.empty((len(bands), *coarse), np.uint16)
    stacked = _stacked_bands(stack) if stack and scale >= 1 else {}

    def read(index: int) -> None:
        band = bands[index]
        if stack and band in stacked:
            with open_image(stack) as dataset:
                dataset.read(stacked[band], out=image[index], resampling=Resampling.average)
            return
        with open_band(granule, band, grid, "nearest") as reader:  # decodes a lower resolution
            image[index] = reader.read_small(Window(0, 0, cols, rows), *coarse)

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(read, range(len(bands))))
    return image


def _stacked_bands(stack: Path) -> dict[str, int]:
    """Return the index of each band of a stack."""
    with open_image(stack) as dataset:
        return {str(name): index for index, name in enumerate(dataset.descriptions, 1)}


def _weights() -> Traversable:
    """Return the folder of the package with the networks' weights."""
    try:
        importlib.import_module("ukis_csmask")
    except ModuleNotFoundError as error:
        raise InputError(
            "the cloud model is not installed here (ukis-csmask is missing, of the extra clouds): "
            "choose the mask cloud, validity or none",
            "mask",
        ) from error
    return files("ukis_csmask")


def _load_network(weights: Traversable) -> Network:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # tiles are computed side by side
    session = onnxruntime.InferenceSession(
        weights.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda tile: session.run(None, {name: tile[None]})[0][0]


def _tile_starts(side: int) -> list[int]:
    """Return where tiles begin that cover a side evenly."""
    count = -(-(side - TILE) // (TILE - OVERLAP)) + 1
    return [round(start) for start in np.linspace(0, side - TILE, count)]


def _softmax(scores: Image) -> Image:
    shares = np.exp(scores - scores.max(axis=0))
    return np.asarray(shares / shares.sum(axis=0), np.float32)
