"""The layers and the preview of a series, from its state."""

import datetime as dt
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from rasterio.enums import Resampling

from candela.eo.raster.blocks import Block, split
from candela.eo.raster.grid import Grid
from candela.eo.raster.images import add_overviews, create_image
from candela.eo.raster.preview import preview_shape

from .confirmation import (
    CONFIRMED,
    FINISHED,
    FIRST,
    NO_DATA,
    NONE,
    PROVISIONAL,
    STATUSES,
    probability,
)
from .history import EVIDENCE, History, magnitude_bands
from .seasons import EPOCH
from .state import SeriesDescription, read_bands

BLOCK = 1024
GREY_DB = (-24.0, 0.0)  # from black to white
COLOURS = {  # as in styles/sar_change_status.yaml
    FIRST: (254, 217, 118),
    PROVISIONAL: (253, 141, 60),
    CONFIRMED: (189, 0, 38),
    FINISHED: (128, 125, 186),
}
LEGEND = 22  # pixels, its height

Status = NDArray[np.uint8]


class Layer(NamedTuple):
    """How the values of a layer are stored."""

    dtype: str
    nodata: float


LAYERS = {
    "change": Layer("float32", np.nan),
    "status": Layer("uint8", NO_DATA),
    "date": Layer("int32", 0),
    "direction": Layer("uint8", NO_DATA),
    "magnitude": Layer("float32", np.nan),
}


def write_layers(
    state: rasterio.DatasetReader,
    description: SeriesDescription,
    outputs: dict[str, Path],
    *,
    baseline: int,
    least_pixels: int,
    tags: dict[str, str],
) -> Status:
    """Write the layers of a state.

    Parameters
    ----------
    state : rasterio dataset
    description : SeriesDescription
    outputs : dict of str to Path
        By the names of ``LAYERS``.
    baseline : int
        Pixels with fewer dates have no data.
    least_pixels : int
        Minimum mapping unit: connected changes of fewer pixels are left out.
    tags : dict
        Of the files.

    Returns
    -------
    ndarray, shape (rows, cols), uint8
        The status.
    """
    grid = Grid.of(state)
    status = _statuses(state, description, baseline)
    dropped = _small(status, least_pixels)
    status[dropped] = NONE
    calendar = _calendar(description.dates[-1])
    names = ("since", "direction", "evidence", *magnitude_bands(description.polarisations))
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(
                create_image(
                    outputs[name], grid, dtype=layer.dtype, nodata=layer.nodata,
                    bands=description.polarisations if name == "magnitude" else [name], tags=tags,
                )
            )
            for name, layer in LAYERS.items()
        }  # fmt: skip
        for block in split(grid.shape, BLOCK):
            bands = read_bands(state, names, block.inner)
            history, place = History(bands, description.polarisations), _place(block)
            values = _values(history, status[place], dropped[place], calendar)
            for name, layer_values in values.items():
                files[name].write(np.atleast_3d(layer_values.T).T, window=block.inner)
    for name, layer in LAYERS.items():
        is_mean = layer.dtype == "float32"
        add_overviews(outputs[name], resampling=Resampling.average if is_mean else Resampling.mode)
    return status


def _values(
    history: History, status: Status, dropped: NDArray[np.bool_], calendar: NDArray[np.int32]
) -> dict[str, NDArray[np.generic]]:
    """Return the values of the layers in a block."""
    missing, none = status == NO_DATA, status == NONE
    bands = history.bands
    change = probability(np.where(dropped, 0, bands["evidence"]) * np.float32(EVIDENCE))
    change[missing] = np.nan
    direction = np.where(none, 0, np.where(bands["direction"] > 0, 1, 2)).astype(np.uint8)
    direction[missing] = NO_DATA
    magnitude = history.magnitude()
    magnitude[:, none] = 0
    magnitude[:, missing] = np.nan
    return {
        "change": change,
        "status": status,
        "date": calendar[np.where(missing | none, 0, bands["since"])],
        "direction": direction,
        "magnitude": magnitude,
    }


def _place(block: Block) -> tuple[slice, slice]:
    row, col = int(block.inner.row_off), int(block.inner.col_off)
    rows, cols = int(block.inner.height), int(block.inner.width)
    return slice(row, row + rows), slice(col, col + cols)


def _statuses(
    state: rasterio.DatasetReader, description: SeriesDescription, baseline: int
) -> Status:
    status = np.empty(state.shape, np.uint8)
    counts = [f"count {season}" for season in description.used]
    for block in split(Grid.of(state).shape, BLOCK):
        bands = read_bands(state, ["status", *counts], block.inner)
        part = bands["status"].astype(np.uint8)
        part[History(bands, description.polarisations).total() < baseline] = NO_DATA
        status[_place(block)] = part
    return status


def _small(status: Status, least_pixels: int) -> NDArray[np.bool_]:
    """Return the pixels of changes that are smaller than the minimum mapping unit."""
    changed = (status != NO_DATA) & (status != NONE)
    if least_pixels <= 1 or not changed.any():
        return np.zeros(status.shape, np.bool_)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8))
    small = facts[:, cv2.CC_STAT_AREA] < least_pixels
    small[0] = False
    return np.asarray(small[labels])


def _calendar(last: dt.date) -> NDArray[np.int32]:
    """Return YYYYMMDD by day number; 0 for day 0, which no image is of."""
    days = [EPOCH + dt.timedelta(number) for number in range((last - EPOCH).days + 1)]
    calendar = np.array([int(f"{day:%Y%m%d}") for day in days], np.int32)
    calendar[0] = 0
    return calendar


def write_preview(
    path: Path, state: rasterio.DatasetReader, description: SeriesDescription, status: Status
) -> None:
    """Draw the status over the mean backscatter, with a legend; nodata is transparent."""
    rows, cols = preview_shape(*status.shape)
    step = -(-max(status.shape) // max(rows, cols))
    mean = _mean(state, description, rows, cols)
    low, high = GREY_DB
    grey = np.clip((mean - low) / (high - low), 0, 1) * 255
    picture = np.repeat(grey[..., None], 4, axis=2).astype(np.uint8)
    shown = np.where(status == NO_DATA, 0, status).astype(np.uint8)
    largest = cv2.dilate(shown, np.ones((step, step), np.uint8))  # small objects stay visible
    thin = cv2.resize(largest, (cols, rows), interpolation=cv2.INTER_NEAREST)
    for value, colour in COLOURS.items():
        picture[thin == value, :3] = colour
    seen = cv2.resize(
        (status != NO_DATA).astype(np.uint8), (cols, rows), interpolation=cv2.INTER_NEAREST
    )
    picture[..., 3] = np.where((seen > 0) | (mean > low - 100), 255, 0)
    sheet = Picture.new("RGBA", (cols, rows + LEGEND * 5), "white")
    sheet.paste(Picture.fromarray(picture), (0, 0))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((6, rows + 4), f"{description.dates[-1]}", "black", font)
    for place, (value, colour) in enumerate(COLOURS.items(), 1):
        top = rows + LEGEND * place
        draw.rectangle([6, top + 4, 22, top + 16], fill=colour)
        draw.text((28, top + 2), STATUSES[value], "black", font)
    sheet.save(path)


def _mean(
    state: rasterio.DatasetReader, description: SeriesDescription, rows: int, cols: int
) -> NDArray[np.float32]:
    """Return the mean of the first polarisation, dB, as its season last seen has it."""
    mean = np.full((rows, cols), -1000, np.float32)
    for season in description.used:
        names = (f"count {season}", f"mean {season} {description.polarisations[0]}")
        indexes = [state.descriptions.index(name) + 1 for name in names]
        count, values = state.read(indexes, out_shape=(2, rows, cols))
        np.copyto(mean, values * np.float32(0.01), where=count > 0)
    return mean
