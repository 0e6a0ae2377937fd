"""Proof that GeoServer can read what it shows: a pixel is asked for and compared with the file's.

GeoServer makes coverages of files that its readers cannot decode, and draws nothing then.
"""

import datetime as dt
import json
import logging
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from lxml import etree
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from candela.errors import PublicationError
from candela.publish.geoserver.rest import SHOWN_CHARACTERS, Answer, GeoServerRest
from candela.publish.geoserver.tiles import advertised
from candela.publish.record import LayerRecord

logger = logging.getLogger(__name__)

PLACES = 5  # along each side, where a pixel with data is looked for
AROUND = 3  # pixels: side of the picture of which the pixel is the middle
TOLERANCE = 1e-5  # relative


class Pixel(NamedTuple):
    """A pixel of a raster: its centre, in units of the CRS, and its values."""

    x: float
    y: float
    values: tuple[float, ...]


def prove(
    rest: GeoServerRest,
    workspace: str,
    layer: str,
    record: LayerRecord,
    time: dt.datetime | None = None,
) -> None:
    """Have GeoServer read a pixel of a layer, or of a series at a time.

    Raises
    ------
    PublicationError
        If it cannot; the message has its reason.
    """
    pixel = find_pixel(record)
    query = _feature_info(layer, record, pixel) | ({"time": advertised(time)} if time else {})
    answer = rest.read(workspace, "wms", **query)
    values = None if answer is None else _values(answer)
    if values is None:
        reason = _exception(answer) if answer else "no WMS"
        raise PublicationError(
            f"GeoServer cannot read {record.layer.path.name} after it was published: {reason}"
        )
    if time is None and not _same(values, pixel.values):
        logger.warning(
            "GeoServer reads %s at %.1f, %.1f of %s, which has %s there",
            values, pixel.x, pixel.y, record.layer.path.name, pixel.values,
        )  # fmt: skip


def find_pixel(record: LayerRecord) -> Pixel:
    """Return a pixel with data in all bands; where none is found soon, the middle one.

    Raises
    ------
    PublicationError
        If the file itself cannot be read there.
    """
    path = record.layer.path
    try:
        return _pixel_with_data(path)
    except RasterioIOError as error:
        raise PublicationError(f"{path.name} cannot be read: {error}") from error


def _pixel_with_data(path: Path) -> Pixel:
    with rasterio.open(path) as image:
        rows = [image.height * (2 * index + 1) // (2 * PLACES) for index in range(PLACES)]
        cols = [image.width * (2 * index + 1) // (2 * PLACES) for index in range(PLACES)]
        places = [(image.height // 2, image.width // 2)]
        places += [(row, col) for row in rows for col in cols]
        for row, col in places:
            window = Window(col, row, 1, 1)
            values = image.read(window=window)[:, 0, 0]
            if image.dataset_mask(window=window).all() and np.isfinite(values).all():
                break
        else:
            row, col = places[0]
            values = image.read(window=Window(col, row, 1, 1))[:, 0, 0]
        x, y = image.xy(row, col)
    return Pixel(x, y, tuple(float(value) for value in values))


def _feature_info(layer: str, record: LayerRecord, pixel: Pixel) -> dict[str, str]:
    """Ask for the middle of a picture of a few pixels; x comes first in WMS 1.1.1."""
    width, height = (size * AROUND / 2 for size in record.raster.resolution)
    box = pixel.x - width, pixel.y - height, pixel.x + width, pixel.y + height
    side, middle = str(AROUND), str(AROUND // 2)
    return {
        "service": "WMS", "version": "1.1.1", "request": "GetFeatureInfo",
        "layers": layer, "query_layers": layer, "styles": "",
        "srs": f"EPSG:{record.header.epsg}", "bbox": ",".join(repr(float(edge)) for edge in box),
        "width": side, "height": side, "x": middle, "y": middle,
        "info_format": "application/json", "exceptions": "application/vnd.ogc.se_xml",
    }  # fmt: skip


def _values(answer: Answer) -> list[float] | None:
    """Return the values in a collection of features; None if it is something else."""
    if "json" not in answer.media_type:
        return None
    try:
        features = json.loads(answer.text)["features"]
    except (ValueError, KeyError, TypeError):
        return None
    found = features[0].get("properties", {}).values() if features else []
    return [math.nan if value is None else float(value) for value in found]


def _exception(answer: Answer) -> str:
    """Return the sentence of an exception report."""
    try:
        root = etree.fromstring(answer.text.encode(), etree.XMLParser(resolve_entities=False))
    except etree.XMLSyntaxError:
        return f"its WMS answered {answer.media_type or 'nothing'}"
    text = " ".join(" ".join(root.itertext()).split())
    return text[:SHOWN_CHARACTERS] or "its WMS gave no reason"


def _same(found: list[float], expected: tuple[float, ...]) -> bool:
    return len(found) == len(expected) and all(
        math.isclose(a, b, rel_tol=TOLERANCE) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(found, expected, strict=True)
    )
