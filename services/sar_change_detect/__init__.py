"""SarChangeDetect: the probability that each pixel changed between two SAR images."""

import json
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from candela.eo.file_names import output_file
from candela.eo.progress import Progress, part
from candela.eo.raster.blocks import Block, split
from candela.eo.raster.grid import Shape
from candela.eo.raster.images import add_overviews, create_image, gdal_environment
from candela.eo.raster.preview import colour
from candela.eo.sar.detector import Detector
from candela.eo.sar.images import SarStack, open_stack
from candela.eo.sar.mapping_unit import CHANGED, drop_small_areas
from candela.eo.sar.omnibus import Direction, direction
from candela.eo.sar.scale import Scale
from candela.eo.sar.survey import survey
from candela.eo.threads import one_thread_each, thread_count
from candela.eo.vector.parcels import ParcelTally
from candela.models.change.parcel_outputs import write_parcels
from candela.models.change.parcels import measured, open_parcels, summary
from candela.models.change.parcels_picture import Background
from candela.models.change.report import Report

from .methods import Options, fit

logger = logging.getLogger(__name__)

BLOCK = 1024  # pixels
NODATA = 255  # of the direction
GREY_LEVEL = 100.0  # added to decibels: brightness in a report is above 0

Change = NDArray[np.float32]
Intensity = NDArray[np.float32]


class MappedBlock(NamedTuple):
    """A block of the map.

    Attributes
    ----------
    change : ndarray, shape (rows, cols), float32
        Probability, above 0 and up to 1; nodata is NaN.
    direction : ndarray, shape (rows, cols), uint8
    brightness : tuple of two ndarray, shape (rows, cols), float32
        Of both dates in decibels, plus ``GREY_LEVEL``; nodata is 0.
    """

    change: Change
    direction: NDArray[np.uint8]
    brightness: tuple[Change, Change]


def run(
    *,
    before: list[Path],
    after: list[Path],
    method: str,
    scale: Scale,
    false_alarm_rate: float,
    looks: float | None,
    multilook: int,
    minimum_pixels: int,
    parcels: Path | None,
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Map the change between two SAR images.

    Parameters
    ----------
    before, after : list of Path
        The files of each date: one, or one for each polarisation.
    method, scale, false_alarm_rate, looks, multilook, minimum_pixels
        See process.yaml.
    parcels : Path, optional
        Vector file with polygons.
    workdir : Path
        Folder of the outputs.
    progress : Progress

    Returns
    -------
    dict
        ``change`` and ``direction`` (GeoTIFF), ``preview`` (PNG) and ``statistics`` (JSON); with
        parcels also ``parcels`` (GeoJSON), ``parcels_table`` (CSV) and ``parcels_preview`` (PNG).

    Raises
    ------
    InputError
        If the images cannot be compared.
    """
    options = Options(method, false_alarm_rate, looks, multilook)
    with (
        gdal_environment(),
        open_stack([before, after], scale, locators=["before", "after"]) as stack,
    ):
        placed = open_parcels(parcels, stack.grid) if parcels else []
        tally = ParcelTally(placed, stack.grid)
        outputs = _output_files(stack, workdir)
        progress(1, "surveying samples of both images")
        detector = fit(survey(stack), options)
        logger.info("Method %s: %s", method, detector.facts())
        report, areas = _write_maps(
            stack, detector, minimum_pixels, outputs, tally, options, part(progress, 15, 95)
        )
        progress(95, "making overviews, preview and statistics")
        add_overviews(outputs["change"])
        add_overviews(outputs["direction"], resampling=Resampling.nearest)
        report.write_preview(outputs["preview"], _captions(stack))
        facts = _facts(stack, detector, options, minimum_pixels, areas)
        if placed:
            found = measured(placed, tally.statistics(), stack.grid)
            facts["parcels"] = summary(found)
            stem = output_file(workdir, _name("change", stack), "_parcels")
            outputs |= write_parcels(found, stack.grid, _background(stack), stem)
        statistics = json.dumps(facts | report.statistics(), indent=2)
        outputs["statistics"].write_text(statistics + "\n", encoding="utf-8")
    progress(100, "done")
    return outputs


def map_change(
    stack: SarStack, detector: Detector, minimum_pixels: int, progress: Progress
) -> Iterator[tuple[Window, MappedBlock]]:
    """Yield the map block by block; this thread reads, the others compute."""
    halo = detector.halo + (minimum_pixels if minimum_pixels > 1 else 0)
    blocks = list(split(stack.grid.shape, BLOCK, halo=halo))
    waiting: deque[tuple[Block, Future[MappedBlock]]] = deque()
    ahead = thread_count()
    with one_thread_each(), ThreadPoolExecutor(thread_count()) as pool:
        for number, block in enumerate([*blocks, *[None] * ahead]):
            if block is not None:
                images = stack.read(0, block.outer), stack.read(1, block.outer)
                task = pool.submit(_map_block, block, images, detector, minimum_pixels)
                waiting.append((block, task))
            if number >= ahead and waiting:
                done, mapped = waiting.popleft()
                yield done.inner, mapped.result()
                progress(100 * (number - ahead + 1) / len(blocks), f"{len(blocks)} blocks")


def _map_block(
    block: Block, images: tuple[Intensity, Intensity], detector: Detector, minimum_pixels: int
) -> MappedBlock:
    before, after = images
    if np.isnan(before[0]).all() or np.isnan(after[0]).all():
        return _empty(block)
    change = drop_small_areas(detector.probability(before, after), minimum_pixels)[block.crop]
    levelled = detector.levelled(before, after)
    directions = direction(levelled[0][:, *block.crop], levelled[1][:, *block.crop])
    directions[change < CHANGED] = Direction.NONE
    directions[np.isnan(change)] = NODATA
    first, second = (_brightness(image[:, *block.crop]) for image in images)
    return MappedBlock(change, directions, (first, second))


def _empty(block: Block) -> MappedBlock:
    shape = Shape(int(block.inner.height), int(block.inner.width))
    dark = np.zeros(shape, np.float32)
    missing = np.full(shape, np.nan, np.float32)
    return MappedBlock(missing, np.full(shape, NODATA, np.uint8), (dark, dark))


def _brightness(image: Intensity) -> Change:
    """Return the mean of the polarisations in decibels, plus ``GREY_LEVEL``; nodata is 0."""
    grey = 10 * np.log10(image).mean(axis=0) + np.float32(GREY_LEVEL)
    return np.asarray(np.nan_to_num(grey), np.float32)


def _write_maps(
    stack: SarStack,
    detector: Detector,
    minimum_pixels: int,
    outputs: dict[str, Path],
    tally: ParcelTally,
    options: Options,
    progress: Progress,
) -> tuple[Report, NDArray[np.int64]]:
    """Write change and direction block by block; return the report and pixels by direction."""
    report = Report(stack.grid.shape)
    pixels = np.zeros(len(Direction), np.int64)
    tags = _tags(stack, options)
    with (
        create_image(
            outputs["change"], stack.grid, dtype="float32", nodata=np.nan, bands=["change"],
            tags=tags | {"Category": "change probability"},
        ) as change_image,
        create_image(
            outputs["direction"], stack.grid, dtype="uint8", nodata=NODATA, bands=["direction"],
            tags=tags | {"Category": "direction of change"} | _classes(),
        ) as direction_image,
    ):  # fmt: skip
        for window, mapped in map_change(stack, detector, minimum_pixels, progress):
            change_image.write(mapped.change, 1, window=window)
            direction_image.write(mapped.direction, 1, window=window)
            report.add(window, mapped.change, mapped.brightness)
            tally.add(window, mapped.change)
            counts = np.bincount(mapped.direction.ravel(), minlength=NODATA + 1)
            pixels += counts[: len(Direction)]
    return report, pixels


def _background(stack: SarStack) -> Background:
    """Return a function that draws a window of the later image in grey, by decibels."""

    def draw(window: Window, shape: Shape) -> NDArray[np.uint8]:
        return colour(_brightness(stack.read(1, window, shape))[None] / GREY_LEVEL)

    return draw


def _classes() -> dict[str, str]:
    """Return the classes of the direction as tags."""
    return {f"CLASS_{each.value}": each.name.lower() for each in Direction}


def _output_files(stack: SarStack, workdir: Path) -> dict[str, Path]:
    change, directions = _name("change", stack), _name("direction", stack)
    return {
        "change": output_file(workdir, change, ".tif"),
        "direction": output_file(workdir, directions, ".tif"),
        "preview": output_file(workdir, change, "_preview.png"),
        "statistics": output_file(workdir, change, "_statistics.json"),
    }


def _name(what: str, stack: SarStack) -> str:
    """Return the stem of an output's name: the dates become the title of the layer."""
    dates = [f"{each.date:%Y%m%d}" for each in stack.acquisitions if each.date]
    return "_".join([what, *dates])


def _captions(stack: SarStack) -> tuple[str, str]:
    before, after = (f"{each.date:%Y-%m-%d}" if each.date else "" for each in stack.acquisitions)
    return before or "before", after or "after"


def _tags(stack: SarStack, options: Options) -> dict[str, str]:
    """Return the dataset tags of the maps, as far as the images have them."""
    before, after = stack.acquisitions
    tags = {
        "Start_date": f"{before.date:%Y%m%d}" if before.date else "",
        "End_date": f"{after.date:%Y%m%d}" if after.date else "",
        "Product_id1": ", ".join(before.names),
        "Product_id2": ", ".join(after.names),
        "Agent": f"CANDELA SarChangeDetect, method {options.method}",
    }
    return {name: value for name, value in tags.items() if value}


def _facts(
    stack: SarStack,
    detector: Detector,
    options: Options,
    minimum_pixels: int,
    pixels: Sequence[int] | NDArray[np.int64],
) -> dict[str, object]:
    """Return the properties of the pair and of the method, as JSON values."""
    before, after = stack.acquisitions
    notes = []
    if before.date and after.date and after.date < before.date:
        notes.append(f"the later image is of {after.date}, before the earlier one of {before.date}")
    if any(each.is_filtered for each in stack.acquisitions) and options.method == "statistics":
        notes.append("speckle was filtered: p-values hold for unfiltered or multi-looked images")
    unused = {name for each in stack.acquisitions for name in each.bands} - set(stack.polarisations)
    if unused:
        notes.append(f"only one date has {', '.join(sorted(unused))}, which was not used")
    return {
        "start_date": before.date.isoformat() if before.date else None,
        "end_date": after.date.isoformat() if after.date else None,
        "images": [each.names for each in stack.acquisitions],
        "polarisations": list(stack.polarisations),
        "track": str(before.track),
        "scale": stack.scale,
        "method": options.method,
        "fit": detector.facts(),
        "minimum_pixels": minimum_pixels,
        "direction_pixels": {
            each.name.lower(): int(pixels[each]) for each in Direction if each is not Direction.NONE
        },
        "notes": notes,
    }
