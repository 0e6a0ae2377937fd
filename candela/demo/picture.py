"""One picture of what was found: before, after, change."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from rasterio.enums import Resampling

from candela.eo.raster.images import band_indexes

LARGEST_SIDE = 1000  # pixels of a panel
TRUE_COLOUR = ("B04", "B03", "B02")
BRIGHT = 3000.0  # reflectance x 10 000 that is shown as white
TRUTH_COLOUR = "#35e0ff"


class Titles(NamedTuple):
    """What stands above the panels."""

    whole: str
    before: str
    after: str
    change: str


def draw_change(
    before: rasterio.DatasetReader,
    after: rasterio.DatasetReader,
    change: rasterio.DatasetReader,
    *,
    titles: Titles,
    target: Path,
    truth: NDArray[np.bool_] | None = None,
) -> None:
    """Draw two dates and what changed between them.

    Parameters
    ----------
    before, after : DatasetReader
        Images with the bands B04, B03, B02.
    change : DatasetReader
        Probability of change, 0..1, of the same size.
    titles : Titles
        For people.
    target : Path
        The PNG to write.
    truth : ndarray of bool, shape of the images, optional
        What has changed; its outlines are drawn over the map of change.
    """
    width, height = (
        change.bounds.right - change.bounds.left,
        change.bounds.top - change.bounds.bottom,
    )
    extent = (0.0, width / 1000, 0.0, height / 1000)
    figure = Figure(figsize=(16, 1.6 + 4.9 * height / width), layout="constrained", dpi=110)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for axes, dataset, title in zip(
        panels[:2], (before, after), (titles.before, titles.after), strict=True
    ):
        axes.imshow(_true_colour(dataset), extent=extent, interpolation="nearest")
        axes.set_title(title)
    shown = panels[2].imshow(
        _decimated(change, [1])[0],
        extent=extent,
        vmin=0,
        vmax=1,
        cmap="inferno",
        interpolation="nearest",
    )
    panels[2].set_facecolor("0.6")  # nodata
    panels[2].set_title(titles.change)
    if truth is not None:
        _outline(panels[2], truth, extent)
    figure.colorbar(shown, ax=panels[2], label="Probability of change", shrink=0.85)
    for axes in panels:
        axes.set_xlabel("km")
    panels[0].set_ylabel("km")
    figure.suptitle(titles.whole, fontsize=15)
    figure.savefig(target)


def _outline(axes: Axes, truth: NDArray[np.bool_], extent: tuple[float, ...]) -> None:
    axes.contour(
        truth.astype(np.float32),
        levels=[0.5],
        colors=[TRUTH_COLOUR],
        linewidths=0.7,
        extent=extent,
        origin="upper",
    )
    key = Line2D([], [], color=TRUTH_COLOUR, label="True change")
    axes.legend(handles=[key], loc="lower right", framealpha=0.9)


def _true_colour(dataset: rasterio.DatasetReader) -> NDArray[np.float32]:
    """Return red, green and blue, 0..1; nodata is white."""
    bands = _decimated(dataset, band_indexes(dataset, TRUE_COLOUR))
    colour = np.clip(bands / BRIGHT, 0, 1) ** (1 / 1.4)
    colour[:, (bands == 0).any(axis=0)] = 1
    return np.moveaxis(colour, 0, -1).astype(np.float32)


def _decimated(dataset: rasterio.DatasetReader, indexes: list[int]) -> NDArray[Any]:
    step = max(1.0, max(dataset.shape) / LARGEST_SIDE)
    shape = (len(indexes), round(dataset.height / step), round(dataset.width / step))
    read: NDArray[Any] = dataset.read(indexes, out_shape=shape, resampling=Resampling.average)
    return read
