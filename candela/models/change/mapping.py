"""Map the probability that each pixel changed between two Sentinel-2 images."""

import json
import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from candela.eo.file_names import output_file
from candela.eo.progress import Progress, part
from candela.eo.raster.blocks import Block, split
from candela.eo.raster.crossfade import CrossFade
from candela.eo.raster.grid import Shape
from candela.eo.raster.images import add_overviews, create_image
from candela.eo.raster.preview import colour
from candela.eo.s2.pair import Pair, PairImage, Reflectance
from candela.eo.threads import one_thread_each, thread_count
from candela.eo.vector.parcels import ParcelTally
from candela.models.change.catalogue import MODELS
from candela.models.change.detector import Detector, Evidence, Image, probability
from candela.models.change.kind_map import ClassifiedWindow, KindTally, classified, create_kinds
from candela.models.change.parcel_outputs import write_parcels
from candela.models.change.parcels import measured, open_parcels, summary
from candela.models.change.parcels_picture import Background
from candela.models.change.report import Report
from candela.models.change.survey import Survey, fit, survey_pair
from candela.models.change.views import Part
from candela.models.encoder import VISIBLE, EncoderCard, load_encoder

logger = logging.getLogger(__name__)

TRUE_COLOUR = ("B04", "B03", "B02")  # red, green, blue
SCALE = 10_000
BLOCK = 768  # pixels; side of a block with a local fit
STRIP_BLOCKS = 4

OVERLAP = 32  # pixels to each side of a border, where neighbouring blocks are cross-faded
HALO = OVERLAP  # of less context at the rim of a block, which has less weight there

Change = NDArray[np.float32]


class MappedWindow(NamedTuple):
    """A window of the change map.

    Attributes
    ----------
    window : Window
    change : ndarray, shape (rows, cols), float32
        Probability, above 0 and up to 1; nodata is NaN.
    visible : tuple of two ndarray, shape (rows, cols), float32
        Brightness of both images: mean of the visible bands, nodata 0.
    kinds : ClassifiedWindow, optional
        Kinds of change, where the model tells them.
    """

    window: Window
    change: Change
    visible: tuple[Change, Change]
    kinds: ClassifiedWindow | None = None


def map_pair(
    pair: Pair,
    *,
    model: str,
    runtime: str,
    scale: float | None,
    parcels: Path | None,
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Map the change between two images.

    Parameters
    ----------
    pair : Pair
        With the bands of ``model_bands(model)``.
    model, runtime : str
        See ChangeDetect's process.yaml.
    scale : float, optional
        Median log magnitude, in place of the pair's own: with one scale for all pairs of a
        series, their maps are comparable.
    parcels : Path, optional
        Vector file with polygons.
    workdir : Path
        Folder of the outputs.
    progress : Progress

    Returns
    -------
    dict
        ``change`` (GeoTIFF), ``preview`` (PNG) and ``statistics`` (JSON); ``kind`` (GeoTIFF) if
        the model tells kinds; with parcels also
        ``parcels`` (GeoJSON), ``parcels_table`` (CSV) and ``parcels_preview`` (PNG).

    Raises
    ------
    InputError
        If the images cannot be compared.
    """
    chosen = MODELS[model]
    card = EncoderCard.read(chosen.encoder)
    name = _name(pair)
    outputs = {
        "change": output_file(workdir, name, ".tif"),
        "preview": output_file(workdir, name, "_preview.png"),
        "statistics": output_file(workdir, name, "_statistics.json"),
    }
    placed = open_parcels(parcels, pair.grid) if parcels else []
    tally = ParcelTally(placed, pair.grid)
    encode = load_encoder(runtime, chosen.encoder)
    progress(1, "surveying samples of both images")
    surveyed = survey_pair(pair)
    logger.info("The images are shifted by %s pixels.", surveyed.shift)
    detector = fit(surveyed, encode, model, part(progress, 5, 15))
    surveyed = surveyed._replace(windows=[])  # some hundred megabytes
    facts = _facts(pair, surveyed, detector) | {
        "model": model,
        "encoder": f"{chosen.encoder} {card.version}",
        "runtime": runtime,
    }
    if scale is not None:
        detector = replace(detector, scale=scale)
    facts["scale"] = detector.scale
    if chosen.kinds:
        outputs["kind"] = output_file(workdir, _name(pair, "kind"), ".tif")
    report, found_kinds = _write_change(
        pair, detector, outputs, model, tally, part(progress, 15, 95)
    )
    progress(95, "making overviews, preview and statistics")
    with ThreadPoolExecutor(1) as pool:
        drawn = pool.submit(report.write_preview, outputs["preview"], _date_names(pair))
        add_overviews(outputs["change"])
        if chosen.kinds:
            add_overviews(outputs["kind"], resampling=Resampling.mode)
            facts["kinds"] = found_kinds.statistics()
    drawn.result()
    if placed:
        found = measured(placed, tally.statistics(), pair.grid)
        facts["parcels"] = summary(found)
        stem = output_file(workdir, name, "_parcels")
        outputs |= write_parcels(found, pair.grid, _true_colour(pair.after), stem)
    statistics = json.dumps(facts | report.statistics(), indent=2)
    outputs["statistics"].write_text(statistics + "\n", encoding="utf-8")
    progress(100, "done")
    return outputs


def model_bands(model: str) -> tuple[str, ...]:
    """Return the bands that a change model needs, the visible ones first."""
    return EncoderCard.read(MODELS[model].encoder).bands


def _write_change(
    pair: Pair,
    detector: Detector,
    outputs: dict[str, Path],
    model: str,
    tally: ParcelTally,
    progress: Progress,
) -> tuple[Report, KindTally]:
    """Write the map of change, and that of its kinds, block by block."""
    report, kinds = Report(pair.grid.shape), KindTally()
    tags = _tags(pair, model)
    with ExitStack() as stack:
        image = stack.enter_context(
            create_image(
                outputs["change"],
                pair.grid,
                dtype="float32",
                nodata=np.nan,
                bands=["change"],
                tags=tags | {"Category": "change probability"},
            )
        )
        classes = (
            stack.enter_context(create_kinds(outputs["kind"], pair.grid, tags))
            if "kind" in outputs
            else None
        )
        for window, change, visible, found in map_change(pair, detector, progress):
            image.write(change, 1, window=window)
            report.add(window, change, visible)
            tally.add(window, change, None if found is None else found.kind)
            if classes is not None and found is not None:
                classes.write(found.kind, 1, window=window)
                kinds.add(found)
    return report, kinds


def _true_colour(image: PairImage) -> Background:
    """Return a function that draws a window of an image."""

    def draw(window: Window, shape: Shape) -> NDArray[np.uint8]:
        stored = image.read_small(window, shape, TRUE_COLOUR)
        reflectance = np.minimum(stored, SCALE).astype(np.float32) / SCALE
        reflectance[:, (stored == 0).any(axis=0)] = np.nan
        return colour(reflectance)

    return draw


def map_change(pair: Pair, detector: Detector, progress: Progress) -> Iterator[MappedWindow]:
    """Yield the change map window by window, each once.

    An image that was surveyed whole has its evidence already. Larger images are computed block
    by block, one per thread, with a local fit of each block; only this thread reads. The log odds
    of neighbouring blocks are cross-faded; the kind of a pixel is that of its own block.
    """
    shape = pair.grid.shape
    if detector.whole is not None:
        window = Window(0, 0, shape.cols, shape.rows)
        before, after = (_brightness(image) for image in pair.read(window))
        change = probability(detector.log_odds(detector.whole))
        found = classified(change, detector.whole)
        yield MappedWindow(window, change, (before, after), found)
        return
    blocks = sorted(split(shape, BLOCK, halo=HALO), key=_reading_order)
    fade = CrossFade(shape, BLOCK, OVERLAP)
    seen: dict[tuple[float, float], _SeenBlock] = {}
    ahead = 2 * thread_count() + 1
    waiting: deque[tuple[Block, Future[tuple[Image, Evidence]]]] = deque()
    with one_thread_each(), ThreadPoolExecutor(thread_count()) as pool:
        for number, block in enumerate([*blocks, *[None] * ahead]):
            if block is not None:
                images = pair.read(block.outer)
                first, second = (_brightness(image[:, *block.crop]) for image in images)
                seen[_corner(block.inner)] = _SeenBlock((first, second))
                waiting.append((block, pool.submit(_examine, detector, images, fade.part(block))))
            if number >= ahead and waiting:
                done, task = waiting.popleft()
                odds, evidence = task.result()
                own = seen[_corner(done.inner)]
                own.evidence = evidence.kinds_in(_within(done, fade.part(done)))
                for window, values in fade.add(done, odds):
                    change, complete = probability(values), seen.pop(_corner(window))
                    found = classified(change, complete.evidence)
                    yield MappedWindow(window, change, complete.visible, found)
                progress(100 * (number - ahead + 1) / len(blocks), f"{len(blocks)} blocks")


@dataclass
class _SeenBlock:
    """What is kept of a block until its neighbours are computed."""

    visible: tuple[Change, Change]
    evidence: Evidence | None = None


def _examine(
    detector: Detector, images: tuple[Reflectance, Reflectance], part: Part
) -> tuple[Image, Evidence]:
    evidence = detector.evidence(*images, part)
    return detector.log_odds(evidence), evidence


def _corner(window: Window) -> tuple[float, float]:
    return window.row_off, window.col_off


def _within(block: Block, outer: Part) -> Part:
    """Return the inner window of a block as a part of a part of its outer window."""
    rows, cols = (
        slice(inner.start - wide.start, inner.stop - wide.start)
        for inner, wide in zip(block.crop, outer, strict=True)
    )
    return rows, cols


def _brightness(image: Reflectance) -> Change:
    return np.asarray(image[VISIBLE].mean(axis=0, dtype=np.float32))


def _date_names(pair: Pair) -> tuple[str, str]:
    """Return the captions of both dates."""
    before, after = (f"{date:%Y-%m-%d}" if date else "" for date in pair.dates)
    return before or "before", after or "after"


def _reading_order(block: Block) -> tuple[int, int, int]:
    """Order blocks in vertical strips whose width fits into GDAL's block cache."""
    col, row = int(block.inner.col_off), int(block.inner.row_off)
    return col // (STRIP_BLOCKS * BLOCK), row, col


def _name(pair: Pair, what: str = "change") -> str:
    """Return the stem of the outputs' names: the dates become the title of the layer."""
    dates = [f"{date:%Y%m%d}" for date in pair.dates if date]
    return "_".join([what, *dates])


def _tags(pair: Pair, model: str) -> dict[str, str]:
    """Return the dataset tags of the maps, as far as the images have them."""
    start, end = pair.dates
    tags = {
        "Start_date": f"{start:%Y%m%d}" if start else "",
        "End_date": f"{end:%Y%m%d}" if end else "",
        "Product_id1": pair.products[0],
        "Product_id2": pair.products[1],
        "Agent": f"CANDELA ChangeDetect, model {model}",
    }
    return {name: value for name, value in tags.items() if value}


def _facts(pair: Pair, surveyed: Survey, detector: Detector) -> dict[str, object]:
    """Return the properties of the pair and of the fit, as JSON values."""
    start, end = pair.dates
    notes = []
    if start and end and end < start:
        notes.append(f"the later image is of {end}, before the earlier one of {start}")
    if len({level for level in pair.levels if level}) > 1:
        notes.append(
            f"levels {' and '.join(pair.levels)} were compared: the fit of one date to the other "
            "takes up the atmosphere, at some loss of sensitivity"
        )
    if surveyed.applied != surveyed.shift:
        notes.append("the shift found is not credible: the images were compared as they are")
    return {
        "start_date": start.isoformat() if start else None,
        "end_date": end.isoformat() if end else None,
        "products": list(pair.products),
        "levels": list(pair.levels),
        "shift_found_pixels": {"rows": surveyed.shift.rows, "cols": surveyed.shift.cols},
        "shift_applied": surveyed.applied == surveyed.shift,
        "typical_log_magnitude": detector.scale,
        "notes": notes,
    }
