"""Polygons as map servers want them: a GeoPackage with one table, whatever the result was.

The copy has a spatial index, names that are fit for XML, SQL and map files, and nothing else of
the result: a patch model's vectors, say, are not for the map. Features without a place are left
out, since map servers do not agree on what they are.
"""

import json
import re
import unicodedata
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError
from shapely.errors import ShapelyError

from candela.contract.layers import GEOMETRY, ID, VectorHeader
from candela.eo.projection import geographic_bounds
from candela.eo.vector.geopackage import MOST_ATTRIBUTES
from candela.errors import InputError, PublicationError, PublisherAwayError

# What our table has beside the attributes, and SQLite's and GDAL's own names of a row's number:
# MapServer joins the spatial index by ROWID, which a column of that name would hide.
RESERVED = ("fid", GEOMETRY, ID, "rowid", "oid", "_rowid_", "ogc_fid")

# What XML cannot hold, or not even as a reference.
UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Column = NDArray[Any]


class Features(NamedTuple):
    """Polygons with a place, and their columns.

    Attributes
    ----------
    header : VectorHeader
    shapes : ndarray of object, shape (n,)
        Shapely geometries.
    columns : dict of ndarray, shape (n,)
        By the names as they are served.
    missing : dict of ndarray of bool, shape (n,)
        Where a column has no value.
    """

    header: VectorHeader
    shapes: NDArray[np.object_]
    columns: dict[str, Column]
    missing: dict[str, NDArray[np.bool_]]


def read_vector_header(path: Path) -> VectorHeader:
    """Read what a map server must know of a file with polygons; see ``read_polygons``."""
    return read_polygons(path).header


def read_polygons(path: Path) -> Features:
    """Read a GeoJSON file or the one layer of polygons of a GeoPackage.

    Raises
    ------
    PublicationError
        If the file cannot be read, or cannot be put on a map.
    """
    # Half a second: not for gateways that never show polygons.
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        meta, ids, geometries, values = pyogrio.raw.read(
            path, layer=_layer_of(path), force_2d=True, return_fids=True, datetime_as_string=True
        )
        shapes = shapely.from_wkb(geometries)
    except (DataLayerError, DataSourceError, UnicodeDecodeError, ShapelyError) as error:
        reason = str(error).replace(str(path), path.name)
        raise PublicationError(f"{path.name} cannot be read as polygons: {reason}") from error
    placed = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    kinds = {shape.geom_type for shape in shapes[placed]}
    if not kinds or kinds - {"Polygon", "MultiPolygon"}:
        found = ", ".join(sorted(kinds)) or "nothing with a place"
        raise PublicationError(f"{path.name} must have polygons only, found: {found}")
    if len(meta["fields"]) > MOST_ATTRIBUTES:
        raise PublicationError(
            f"{path.name} has {len(meta['fields'])} attributes; at most {MOST_ATTRIBUTES} are shown"
        )
    columns, missing = {ID: ids[placed].astype(np.int64)}, {ID: np.zeros(placed.sum(), bool)}
    kept = (column[placed] for column in values)
    names = served_names(str(name) for name in meta["fields"])
    for name, kind, column in zip(names, meta["ogr_types"], kept, strict=True):
        columns[name], missing[name] = _typed(column, kind)
    header = _header_of(path.name, meta["crs"], shapes[placed], kinds, tuple(columns))
    return Features(header, shapes[placed], columns, missing)


def _layer_of(path: Path) -> str:
    import pyogrio

    layers = [str(layer) for layer, kind in pyogrio.list_layers(path) if kind is not None]
    if len(layers) != 1:
        raise PublicationError(
            f"{path.name} must have one layer of polygons, found: {', '.join(layers) or 'none'}"
        )
    return layers[0]


def _header_of(
    name: str, crs: str | None, shapes: NDArray[np.object_], kinds: set[str], names: tuple[str, ...]
) -> VectorHeader:
    epsg = None
    try:
        epsg = CRS.from_user_input(crs).to_epsg() if crs else None
    except CRSError as error:
        raise PublicationError(f"{name} has an unknown reference system: {error}") from error
    if epsg is None:
        raise PublicationError(f"the coordinate reference system of {name} has no EPSG code")
    left, bottom, right, top = (float(edge) for edge in shapely.total_bounds(shapes))
    try:
        bounds = geographic_bounds((left, bottom, right, top), CRS.from_epsg(epsg), name)
    except InputError as error:
        raise PublicationError(error.message) from None
    return VectorHeader(
        epsg=epsg,
        extent=(left, bottom, right, top),
        bounds=bounds,
        geometry="Polygon" if kinds == {"Polygon"} else "MultiPolygon",
        count=len(shapes),
        attributes=names,
    )


def served_names(names: Iterable[str]) -> list[str]:
    """Make names of ASCII letters, digits and ``_`` of any names, different ones of different.

    SQL does not tell capitals from small letters, so names that differ in these only are numbered.
    """
    found: list[str] = []
    taken = set(RESERVED)
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        stem = re.sub(r"^(?=[^A-Za-z])", "_", re.sub(r"\W+", "_", plain))[:60] or "_"
        served, number = stem, 1
        while served.lower() in taken:
            number += 1
            served = f"{stem}_{number}"
        taken.add(served.lower())
        found.append(served)
    return found


def _typed(column: Column, kind: str) -> tuple[Column, NDArray[np.bool_]]:
    """Return a column with one type for all values, and where it has none."""
    if column.dtype.kind == "f":
        missing = np.isnan(column)
        if kind.startswith("OFTInteger"):  # they came as floats because some are missing
            return np.where(missing, 0, column).astype(np.int64), missing
        return column, missing | ~np.isfinite(column)
    if column.dtype.kind != "O":
        return column, np.zeros(len(column), bool)
    texts = np.array([None if value is None else _text(value) for value in column], object)
    return texts, np.array([value is None for value in texts], bool)


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist(), ensure_ascii=False, default=str)
    return UNFIT.sub(" ", str(value))


def write_geopackage(features: Features, path: Path, table: str) -> None:
    """Write polygons as a GeoPackage with one table; readers see the old file or the new.

    Raises
    ------
    PublisherAwayError
        If they cannot be written now: the disk may be full.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid.uuid4().hex}.gpkg")
    try:
        pyogrio.raw.write(
            part,
            shapely.to_wkb(features.shapes),
            list(features.columns.values()),
            list(features.columns),
            field_mask=list(features.missing.values()),
            layer=table,
            driver="GPKG",
            geometry_type=features.header.geometry,
            promote_to_multi=features.header.geometry == "MultiPolygon",
            crs=f"EPSG:{features.header.epsg}",
            layer_options={"GEOMETRY_NAME": GEOMETRY, "FID": "fid"},
        )
        part.replace(path)
    except (DataLayerError, DataSourceError, FeatureError, FieldError) as error:
        raise PublisherAwayError(f"{path.name} cannot be written: {error}") from error
    finally:
        for left in path.parent.glob(f"{part.name}*"):  # with -journal, -wal
            left.unlink(missing_ok=True)
