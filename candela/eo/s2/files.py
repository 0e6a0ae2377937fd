"""Open Sentinel-2 images that are no SAFE: a folder of band files, with or without a STAC item.

Catalogues give products as one GeoTIFF for each band: Element84's earth-search (``B02.tif`` or
``blue.tif``), the Planetary Computer (``T31TCJ_20220628T105031_B02_10m.tif``), AWS (``B02.jp2``).
What the product says of itself is in the STAC item, or only in names.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from candela.eo.file_names import file_name
from candela.eo.raster.band_names import band_of
from candela.eo.raster.images import open_image
from candela.eo.raster.values import checked_grid
from candela.eo.s2.metadata import (
    BANDS,
    Metadata,
    ProductDocument,
    Radiometry,
    find_tile,
    parse_time,
)
from candela.eo.safe import Safe, list_files
from candela.errors import InputError

OFFSET_SINCE = (4, 0)  # processing baseline from which digital numbers are 1000 higher
OFFSET_DATE = dt.datetime(2022, 1, 25, tzinfo=dt.UTC)  # of its first day
OFFSET = -1000.0

_ENDINGS = (".tif", ".tiff", ".jp2")
_PRODUCT = re.compile(
    r"(?P<platform>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<time>\d{8}T\d{6})_N(?P<baseline>\d{4})_"
    r"R(?P<orbit>\d{3})_(?P<tile>T\d{2}[C-X][A-Z]{2})_\d{8}T\d{6}"
)
_SCENE = re.compile(
    r"(?P<platform>S2[A-D])_(?P<tile>T?\d{2}[C-X][A-Z]{2})_(?P<time>\d{8}(?:T\d{6})?)_"
    r"(?:\d+_)?(?P<level>L1C|L2A)"
)  # of earth-search
_IMAGE = re.compile(r"(?P<tile>T\d{2}[C-X][A-Z]{2})_(?P<time>\d{8}T\d{6})")
_PATTERNS = (_PRODUCT, _SCENE, _IMAGE)


def find_band_files(
    path: Path, *, unless: re.Pattern[str] | None = None
) -> tuple[Safe, dict[str, list[str]]] | None:
    """Look for files of single bands in a folder or zip file; None if there are none.

    Parameters
    ----------
    path : Path
    unless : pattern, optional
        Of the name of a file: where there is one, nothing is found. Bands of two products would
        be taken for one.

    Returns
    -------
    tuple
        The files, and the names of those of each band.
    """
    files = list_files(path)
    found: dict[str, list[str]] = {}
    if unless and any(unless.fullmatch(PurePosixPath(name).name) for name in files.sizes):
        return None
    for name in sorted(files.sizes):
        inside = PurePosixPath(name)
        band = band_of(inside.stem) if inside.suffix.lower() in _ENDINGS else ""
        if band in {*BANDS, "SCL"}:
            found.setdefault(band, []).append(name)
    return (files, found) if set(found) - {"SCL"} else None


def pixel_size(files: Safe, name: str) -> int:
    """Return the pixel size of an image in metres.

    Raises
    ------
    InputError
        If it is no image on a grid in metres.
    """
    with open_image(files.location(name)) as dataset:
        grid = checked_grid(dataset)
    if grid.crs is None or not grid.crs.is_projected or round(grid.transform.a) < 1:
        raise InputError(f"{name} in {files.path.name} has no grid in metres")
    return round(grid.transform.a)


def read_facts(
    files: Safe, example: str, document: ProductDocument | None = None
) -> tuple[Metadata, Radiometry]:
    """Find out what images are, from a STAC item or the product's document, or from names.

    Parameters
    ----------
    files : Safe
    example : str
        The file of a band.
    document : ProductDocument, optional
        Counts where there is no item.

    Raises
    ------
    InputError
        If nothing tells when they were taken.
    """
    item = _find_item(files)
    properties: Mapping[str, Any] = item.get("properties") or {}
    told = [str(properties.get(key, "")) for key in ("s2:product_uri", "s2:datatake_id")]
    names = [*told, str(item.get("id", "")), files.path.name, *PurePosixPath(example).parts]
    words: dict[str, str] = {}
    for pattern in _PATTERNS:
        for name in names:
            found = pattern.search(name)
            for key, text in found.groupdict().items() if found else ():
                words.setdefault(key, text)
    baseline = _baseline(properties) or _dotted(words)
    if document is not None and not item:
        tile_id = next(filter(None, map(find_tile, [document.product_id, *names])), "")
        return document.metadata(tile_id), document.radiometry
    metadata = Metadata(
        product_id=_product_id(names),
        sensing_time=_sensing_time(files, properties, words),
        tile_id=_tile_id(properties, words),
        relative_orbit=_whole(properties.get("sat:relative_orbit") or words.get("orbit")),
        platform=_platform(properties, words),
        level=_level(properties, words),
        processing_baseline=baseline,
    )
    return metadata, _radiometry(files, item, properties, metadata, example)


def is_lone_item(path: Path) -> bool:
    """Tell whether a path is a STAC item, or a folder of one, without its images."""
    if path.is_file():
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    return path.is_dir() and bool(_find_item(list_files(path)))


def _find_item(files: Safe) -> Mapping[str, Any]:
    for name in sorted(files.sizes):
        if name.lower().endswith((".json", ".geojson")):
            try:
                item = json.loads(files.read(name))
            except (ValueError, RecursionError) as error:
                raise InputError(f"{name} in {files.path.name} is no JSON: {error}") from None
            if isinstance(item, dict) and isinstance(item.get("properties"), dict):
                if isinstance(item.get("assets"), dict):
                    return item
            elif isinstance(item, dict) and isinstance(item.get("productName"), str):
                return {"id": item["productName"], "properties": {}, "assets": {}}
    return {}


def _product_id(names: list[str]) -> str:
    for pattern in _PATTERNS:
        for name in names:
            found = pattern.search(name)
            if found:
                return file_name(found[0], "image")
    return file_name(next(filter(None, names[2:])), "image").removesuffix(".zip")


def _sensing_time(
    files: Safe, properties: Mapping[str, Any], words: Mapping[str, str]
) -> dt.datetime:
    """Return the start of the datatake where it is known, else the time of the image."""
    where = files.path.name
    datatake = re.search(r"\d{8}T\d{6}", str(properties.get("s2:datatake_id", "")))
    text = datatake[0] if datatake else words.get("time", "")
    if len(text) < len("20200219T112111"):
        text = str(properties.get("datetime") or properties.get("start_datetime") or text)
    if not text:
        raise InputError(
            f"{where} does not tell when its images were taken: put the STAC item beside them, or "
            "give the folder the name of the product"
        )
    return parse_time(text, where)


def _tile_id(properties: Mapping[str, Any], words: Mapping[str, str]) -> str:
    code = str(properties.get("s2:mgrs_tile") or properties.get("grid:code") or "")
    square = words.get("tile") or code.rpartition("-")[2]
    return find_tile(square if square.startswith("T") else f"T{square}")


def _platform(properties: Mapping[str, Any], words: Mapping[str, str]) -> str:
    found = re.fullmatch(r"sentinel-2([a-d])", str(properties.get("platform", "")).lower())
    return f"S2{found[1].upper()}" if found else words.get("platform", "")


def _level(properties: Mapping[str, Any], words: Mapping[str, str]) -> str:
    found = re.search(r"1C|2A", str(properties.get("s2:product_type", "")))
    return f"L{found[0]}" if found else words.get("level", "")


def _baseline(properties: Mapping[str, Any]) -> str:
    """Return the processing baseline that an item tells: ``05.09``; STAC writes 5.9 for it too."""
    told = properties.get("s2:processing_baseline") or properties.get("processing:version") or ""
    found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", str(told).strip())
    return f"{int(found[1]):02}.{found[2]:0>2}" if found else ""


def _dotted(words: Mapping[str, str]) -> str:
    digits = words.get("baseline", "")
    return f"{digits[:2]}.{digits[2:]}" if digits else ""


def _whole(value: object) -> int:
    return int(str(value)) if str(value).isdecimal() and len(str(value)) < 6 else 0


def _radiometry(
    files: Safe,
    item: Mapping[str, Any],
    properties: Mapping[str, Any],
    metadata: Metadata,
    example: str,
) -> Radiometry:
    """Return scale and offsets: of the file, else of the item, else of the processing baseline."""
    with open_image(files.location(example)) as dataset:
        scale, offset = float(dataset.scales[0]), float(dataset.offsets[0])
    offsets = dict.fromkeys(BANDS, 0.0)
    if (scale, offset) not in {(1.0, 0.0), (0.0, 0.0)}:
        _check_finite(example, scale, offset)
        return Radiometry(1 / scale, dict.fromkeys(BANDS, offset / scale), 0, 65535)
    if properties.get("earthsearch:boa_offset_applied") is True:
        return Radiometry(10_000, offsets, 0, 65535)
    told = _offsets_of_assets(item)
    if told:
        return Radiometry(10_000, offsets | told, 0, 65535)
    baseline = metadata.processing_baseline
    if not baseline and metadata.sensing_time >= OFFSET_DATE:
        raise InputError(
            f"{files.path.name} does not tell its processing baseline, on which an offset of the "
            "numbers depends since 2022: put the STAC item or MTD_MSIL2A.xml beside the images, "
            "or give the folder the name of the product"
        )
    if baseline and tuple(map(int, baseline.split("."))) >= OFFSET_SINCE:
        offsets = dict.fromkeys(BANDS, OFFSET)
    return Radiometry(10_000, offsets, 0, 65535)


def _offsets_of_assets(item: Mapping[str, Any]) -> dict[str, float]:
    """Return the offsets in digital numbers that the assets of a STAC item tell."""
    offsets = {}
    for key, asset in (item.get("assets") or {}).items():
        band = band_of(str(key))
        for told in _layers_of(asset) if band in BANDS else ():
            scale = told.get("scale", told.get("raster:scale", 1e-4))
            offset = told.get("offset", told.get("raster:offset"))
            if isinstance(scale, int | float) and isinstance(offset, int | float):
                _check_finite(str(key), scale, offset)
                offsets[band] = round(offset / scale, 6)
    return offsets


def _layers_of(asset: object) -> list[dict[str, Any]]:
    """Return what may tell scale and offset of an asset: STAC has moved them twice."""
    if not isinstance(asset, dict):
        return []
    layers = [asset]
    for key in ("bands", "raster:bands"):
        found = asset.get(key)
        layers += found[:1] if isinstance(found, list) else []
    return [layer for layer in layers if isinstance(layer, dict)]


def _check_finite(name: str, scale: float, offset: float) -> None:
    if not (1e-6 <= scale <= 1 and abs(offset) <= 65535 * scale):  # NaN is never within
        raise InputError(
            f"{name} has scale {scale!s:.20} and offset {offset!s:.20}, expected a scale from "
            "1e-06 to 1 and an offset of at most 65535 digital numbers"
        )
