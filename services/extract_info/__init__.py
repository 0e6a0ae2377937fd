"""ExtractInfo: images sorted by scene and time, and the pairs to compare."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.progress import Progress
from candela.eo.raster.grid import Shape
from candela.eo.raster.images import Source, gdal_environment, open_image
from candela.eo.raster.values import checked_grid, read_numbers
from candela.eo.s2.metadata import Metadata
from candela.eo.s2.product import open_product
from candela.errors import InputError, ReferenceUnavailableError
from candela.services.extract_info.algorithm import LeftOut, Observation, arrange
from candela.services.extract_info.report import to_document, write_table
from candela.services.extract_info.timeline import draw_timeline

COVERAGE = 64  # samples along each side that tell where an image has data
CONNECTIONS = 8  # headers that are fetched at a time

Outcome = list[Observation | LeftOut]


def run(
    *, images: list[Source], products: list[Path], workdir: Path, progress: Progress
) -> dict[str, Path]:
    """Sort images and products by scene and time, and form consecutive pairs.

    Parameters
    ----------
    images : list of Source
        Images as Jpeg2Tiff makes them; only their headers are read.
    products : list of Path
        Sentinel-2 products: zip files or folders.
    workdir : Path
        Where the outputs go.
    progress : Progress
        Told what is under way.

    Returns
    -------
    dict of str to Path
        ``pairs`` (JSON), ``table`` (CSV) and ``timeline`` (PNG).

    Raises
    ------
    InputError
        If nothing was given, or nothing of it can be used.
    """
    total = len(images) + len(products)
    if total == 0:
        raise InputError("give at least one image or one product", "images")
    observations: list[Observation] = []
    left_out: list[LeftOut] = []
    for index, outcome in enumerate(_read_all(images, products), 1):
        progress(80 * index / total, f"Read {index} of {total} headers")
        for item in outcome:
            if isinstance(item, Observation):
                observations.append(item)
            else:
                left_out.append(item)
    if not observations:
        reasons = "; ".join(f"{item.image}: {item.reason}" for item in left_out)
        raise InputError(f"nothing of what was given can be used: {reasons}")
    progress(85, "Sorting by scene and time")
    series = arrange(observations, left_out)
    outputs = {
        "pairs": workdir / "pairs.json",
        "table": workdir / "pairs.csv",
        "timeline": workdir / "timeline.png",
    }
    text = json.dumps(to_document(series), indent=2, ensure_ascii=False)
    outputs["pairs"].write_text(text + "\n", encoding="utf-8")
    write_table(outputs["table"], series)
    progress(90, "Drawing the time line")
    draw_timeline(outputs["timeline"], series)
    progress(100, "Done")
    return outputs


def _read_all(images: list[Source], products: list[Path]) -> Iterator[Outcome]:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        yield from pool.map(_read_image, images)
        yield from pool.map(_read_product, products)


def _read_image(source: Source) -> Outcome:
    try:
        with gdal_environment(), open_image(source) as dataset:
            metadata = Metadata.from_tags(dataset.tags(), Path(source.location).name)
            return [
                Observation(
                    source.href, metadata, checked_grid(dataset), look=lambda: _coverage(source)
                )
            ]
    except (InputError, ReferenceUnavailableError) as error:
        return [LeftOut(source.href, error.message)]


def _coverage(image: Source | str) -> NDArray[np.bool_] | None:
    """Return where an image has data, thinned out; None if it cannot be read."""
    try:
        return _read_coverage(image)
    except (InputError, ReferenceUnavailableError):
        return None


def _read_coverage(image: Source | str) -> NDArray[np.bool_]:
    with gdal_environment(), open_image(image) as dataset:
        rows, cols = dataset.shape
        shape = Shape(min(rows, COVERAGE), min(cols, COVERAGE))
        numbers, missing = read_numbers(dataset, [1], Window(0, 0, cols, rows), shape)
        seen = numbers[0] != (dataset.nodata or 0)
        return np.asarray(seen if missing is None else seen & ~missing)


def _read_product(path: Path) -> Outcome:
    """Read the header of a product; an old one has an observation for each tile."""
    try:
        with gdal_environment():
            return [
                Observation(
                    path.name,
                    granule.metadata,
                    granule.base_grid,
                    is_product=True,
                    look=partial(_coverage, granule.coarsest.location),
                )
                for granule in open_product(path).granules
            ]
    except InputError as error:
        return [LeftOut(path.name, error.message)]
