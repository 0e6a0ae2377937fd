"""Read vector files of users: GeoJSON, GeoPackage, zipped shapefile."""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import shapely
from rasterio.crs import CRS
from shapely.errors import ShapelyError

from candela.eo.archive import Archive, open_archive
from candela.eo.reference_system import LONGITUDE_LATITUDE, reference_system
from candela.eo.vector.geojson import (
    GEOJSON_TYPES,
    Feature,
    FeatureCollection,
    check_count,
    read_geojson,
)
from candela.errors import InputError

__all__ = [
    "GEOJSON_TYPES", "LONGITUDE_LATITUDE", "Feature", "FeatureCollection", "Kind", "find_kind",
    "read_features",
]  # fmt: skip

Kind = Literal["geojson", "geopackage", "shapefile"]

LARGEST_BYTES = 256 * 2**20  # of a file, unpacked: all of it is held in memory
PARTS_OF_SHAPEFILE = (".shp", ".shx", ".dbf", ".prj", ".cpg")
NEEDED_PARTS = (".shp", ".shx", ".dbf", ".prj")

_ZIP_START = b"PK\x03\x04"
_SQLITE_START = b"SQLite format 3\x00"
_GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")  # of the SQLite header, at byte 68
_SHAPEFILE_START = (9994).to_bytes(4, "big")


def find_kind(path: Path) -> Kind | None:
    """Tell by its beginning what kind of vector file this may be; None if it is of no kind.

    The name of a file says nothing.
    """
    with path.open("rb") as file:
        start = file.read(72)
    if start.startswith(_SQLITE_START) and start[68:72] in _GEOPACKAGE_IDS:
        return "geopackage"
    if start.startswith(_ZIP_START):
        return "shapefile"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "geojson"
    return None


def read_features(path: Path) -> FeatureCollection:
    """Read all features of a file.

    Parameters
    ----------
    path : Path
        GeoJSON (RFC 7946, or with a ``crs`` member as before it), a GeoPackage with one layer of
        polygons or of unknown geometry, or a zip file with one shapefile in it.

    Raises
    ------
    InputError
        If the file is none of these, damaged, too large, or does not tell its reference system.
    """
    kind = find_kind(path)
    if kind is None:
        raise InputError(f"{path.name} is neither GeoJSON nor a GeoPackage nor a zipped shapefile")
    if kind != "shapefile":
        _check_size(path.name, path.stat().st_size)
    if kind == "geojson":
        return read_geojson(path)
    # NOTE: under names of our own, GDAL finds no files beside it, and writes none there.
    with tempfile.TemporaryDirectory(prefix="candela-") as folder:
        if kind == "shapefile":
            return _read_layer(_unpack_shapefile(path, Path(folder)), path.name)
        link = Path(folder) / "parcels.gpkg"
        link.symlink_to(path.resolve())
        return _read_layer(link, path.name)


def _check_size(name: str, size: int) -> None:
    if size > LARGEST_BYTES:
        raise InputError(f"{name} has {size} bytes; at most {LARGEST_BYTES} are read")


def _parse_crs(name: str, text: str | None) -> CRS:
    if not text:
        raise InputError(f"{name} does not tell its coordinate reference system")
    return reference_system(text, name)


def _unpack_shapefile(path: Path, folder: Path) -> Path:
    target = folder / "parcels.shp"
    archive = open_archive(path)
    for suffix, part in _parts(path.name, archive):
        archive.unpack(part, target.with_suffix(suffix))
    with target.open("rb") as file:
        if file.read(4) != _SHAPEFILE_START:  # GDAL goes by the content, and VRT names files
            raise InputError(f"the .shp in {path.name} is no shapefile")
    return target


def _parts(name: str, archive: Archive) -> Iterator[tuple[str, str]]:
    """Find the files of the one shapefile in an archive."""
    entries = [PurePosixPath(member) for member in archive.members]
    shapes = [entry for entry in entries if entry.suffix.lower() == ".shp"]
    if len(shapes) != 1:
        found = ", ".join(sorted(str(shape) for shape in shapes)) or "none"
        raise InputError(f"{name} must have one shapefile in it, found: {found}")
    parts = {
        entry.suffix.lower(): entry.as_posix()
        for entry in entries
        if entry.with_suffix("") == shapes[0].with_suffix("")
        and entry.suffix.lower() in PARTS_OF_SHAPEFILE
    }
    missing = [suffix for suffix in NEEDED_PARTS if suffix not in parts]
    if missing:
        raise InputError(f"{shapes[0]} in {name} lacks its {', '.join(missing)}")
    _check_size(name, sum(archive.members[part].file_size for part in parts.values()))
    replace(
        archive, members={part: archive.members[part] for part in parts.values()}
    ).check_methods()
    yield from parts.items()


def _read_layer(path: Path, name: str) -> FeatureCollection:
    """Read the one layer that can hold polygons."""
    # Half a second: not for those who only ask for the kind of a file.
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        layers = pyogrio.list_layers(path)
        areal = [layer for layer, kind in layers if _may_be_areal(kind)]
        counts = {
            layer: pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"]
            for layer in areal
        }
        if len(areal) > 1:  # empty ones are what programs leave behind
            areal = [layer for layer in areal if counts[layer]] or areal[:1]
        if len(areal) != 1:
            found = ", ".join(f"{layer} ({kind or 'no geometry'})" for layer, kind in layers)
            raise InputError(f"{name} must have one layer of polygons, found: {found or 'none'}")
        check_count(name, counts[areal[0]])
        meta, ids, shapes, columns = pyogrio.raw.read(
            path, layer=areal[0], force_2d=True, return_fids=True, datetime_as_string=True
        )
    except (DataLayerError, DataSourceError, UnicodeDecodeError) as error:
        reason = str(error).replace(str(path), name)
        raise InputError(f"{name} cannot be read: {reason}") from None
    except ShapelyError as error:
        raise InputError(f"{name} has a damaged geometry: {error}") from None
    names, types = meta["fields"], meta["dtypes"]
    rows = zip(ids, shapely.from_wkb(shapes), *columns, strict=True)
    return FeatureCollection(
        _parse_crs(name, meta["crs"]),
        [
            Feature(
                int(identifier),
                {
                    field: _json_value(value, kind)
                    for field, kind, value in zip(names, types, values, strict=True)
                },
                geometry,
            )
            for identifier, geometry, *values in rows
        ],
    )


def _may_be_areal(kind: str | None) -> bool:
    return kind is not None and any(
        word in kind for word in ("Polygon", "Surface", "GeometryCollection", "Unknown")
    )


def _json_value(value: object, kind: str) -> object:
    """Turn an attribute into a JSON value; what cannot be one becomes null."""
    if isinstance(value, np.ndarray):
        return [_json_value(item, kind) for item in value]
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float):
        if not math.isfinite(plain):
            return None
        return int(plain) if "int" in kind else plain  # whole numbers with gaps come as floats
    return plain if isinstance(plain, str | int | bool) else None
