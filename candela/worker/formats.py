"""Check whether a file is what it is said to be."""

import csv
import json
import math
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from candela.eo.projection import check_place
from candela.eo.vector.files import GEOJSON_TYPES, find_kind
from candela.eo.vector.geopackage import MOST_ATTRIBUTES, check_tables
from candela.errors import InputError

# Of vectors that come in: results have some more.
MOST_GIVEN_ATTRIBUTES = MOST_ATTRIBUTES - 100
PNG_START = b"\x89PNG\r\n\x1a\n"
SQLITE_START = b"SQLite format 3\x00"
GEOPACKAGE_ID = slice(68, 72)  # the application id of the SQLite file (OGC 12-128r19, req. 2)
PNG_END = b"IEND\xaeB`\x82"


def check_format(kind: str, path: Path) -> None:
    """Check that a file is of a complex type.

    Raises
    ------
    ValueError
        If it is not; the message says what was found.
    """
    try:
        _CHECKS[kind](path)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8: {error.reason} at byte {error.start}") from None


def _check_raster(path: Path) -> None:
    try:
        with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning):
            dataset = rasterio.open(path, driver="GTiff")
    except RasterioIOError as error:
        raise ValueError(f"it is no GeoTIFF: {str(error).replace(str(path), path.name)}") from None
    with dataset:
        if dataset.tags(ns="OVERVIEWS"):  # a map server would open whatever is named there
            raise ValueError("it refers to overviews in another file")
        try:
            check_place(dataset, "it")
        except InputError as error:
            raise ValueError(error.message) from None


def _check_geopackage(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(GEOPACKAGE_ID.stop)
    if not start.startswith(SQLITE_START) or start[GEOPACKAGE_ID] != b"GPKG":
        raise ValueError("it is no GeoPackage")
    check_tables(path, most_attributes=MOST_ATTRIBUTES)


def _check_zip(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no zip file")


def _check_json(path: Path) -> None:
    _json(path)


def _check_geojson(path: Path, most: int = MOST_ATTRIBUTES) -> None:
    content = _json(path)
    if not isinstance(content, dict) or content.get("type") not in GEOJSON_TYPES:
        raise ValueError("it is JSON but no GeoJSON object")
    features = content.get("features")
    names = {
        name
        for feature in (features if isinstance(features, list) else [content])
        if isinstance(feature, dict) and isinstance(feature.get("properties"), dict)
        for name in feature["properties"]
    }
    if len(names) > most:
        raise ValueError(f"its features have {len(names)} attributes, at most {most} are taken")


def _check_vector(path: Path) -> None:
    kind = find_kind(path)
    if kind is None:
        raise ValueError("it is neither GeoJSON nor a GeoPackage nor a zip file")
    if kind == "geojson":
        _check_geojson(path, MOST_GIVEN_ATTRIBUTES)
    elif kind == "geopackage":
        check_tables(path, whole=True, most_attributes=MOST_GIVEN_ATTRIBUTES)
    else:
        _check_zip(path)


def _json(path: Path) -> object:
    try:
        content: object = json.loads(
            path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is JSON with too many levels") from None
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it has a number that is too large: {text[:40]}")
    return number


def _no_constant(name: str) -> None:
    raise ValueError(f"it is no JSON: {name} is not a JSON value")


def _check_csv(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            if not any(list(csv.reader(file, strict=True))):
                raise ValueError("it has no row")
        except csv.Error as error:
            raise ValueError(f"it is no table: {error}") from None


def _check_png(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(len(PNG_START))
        file.seek(-min(len(PNG_END), path.stat().st_size), os.SEEK_END)
        end = file.read()
    if start != PNG_START or end != PNG_END:
        raise ValueError("it is no complete PNG image")


def _check_xml(path: Path) -> None:
    try:
        for _, element in ElementTree.iterparse(path):
            element.clear()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter of encodings
        raise ValueError(f"it is no XML: {error}") from None


def _check_text(path: Path) -> None:
    path.read_text(encoding="utf-8")


_CHECKS: dict[str, Callable[[Path], None]] = {
    "raster": _check_raster,
    "product": _check_zip,
    "json": _check_json,
    "geojson": _check_geojson,
    "vector": _check_vector,
    "geopackage": _check_geopackage,
    "csv": _check_csv,
    "png": _check_png,
    "zip": _check_zip,
    "xml": _check_xml,
    "text": _check_text,
}
