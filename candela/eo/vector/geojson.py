"""Read GeoJSON: RFC 7946, and the dialects of before, which name reference systems in many ways."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import shapely
from rasterio.crs import CRS
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from candela.eo.reference_system import LONGITUDE_LATITUDE, reference_system
from candela.errors import InputError

MOST_FEATURES = 200_000
NESTED = 100  # levels of attributes: more is no attribute but a trap
_GEOMETRIES = frozenset(
    {
        "GeometryCollection", "LineString", "MultiLineString", "MultiPoint", "MultiPolygon",
        "Point", "Polygon",
    }
)  # fmt: skip
GEOJSON_TYPES = _GEOMETRIES | {"Feature", "FeatureCollection"}
_CRS_MEMBERS = ("crs", "coordRefSys")  # the second is that of JSON-FG
_CRS_PROPERTIES = ("name", "code", "urn", "href", "init")

Properties = dict[str, Any]


class Feature(NamedTuple):
    """One thing of a vector file.

    Attributes
    ----------
    id : str, int, float or None
        As the file has it.
    properties : dict
        Its attributes, as JSON values.
    geometry : shapely geometry or None
        In the reference system of the collection; x before y.
    note : str
        Why there is no geometry; empty where the file has none.
    """

    id: str | float | None
    properties: Properties
    geometry: BaseGeometry | None
    note: str = ""


class FeatureCollection(NamedTuple):
    """All features of a vector file, in its order.

    Attributes
    ----------
    crs : CRS
        Of the geometries.
    features : list of Feature
    """

    crs: CRS
    features: list[Feature]


def check_count(name: str, count: int) -> None:
    """Refuse files with more features than are read."""
    if count > MOST_FEATURES:
        raise InputError(f"{name} has {count} features; at most {MOST_FEATURES} are read")


def read_geojson(path: Path) -> FeatureCollection:
    """Read all features of a GeoJSON file; see ``candela.eo.vector.files.read_features``."""
    try:
        content = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
        raise InputError(f"{path.name} is no JSON: {error}") from None
    if not isinstance(content, dict) or content.get("type") not in tuple(GEOJSON_TYPES):
        raise InputError(f"{path.name} is JSON but no GeoJSON object")
    features = content.get("features") if content["type"] == "FeatureCollection" else [content]
    if not isinstance(features, list):
        raise InputError(f"{path.name} is a FeatureCollection without a list of features")
    check_count(path.name, len(features))
    return FeatureCollection(
        _find_crs(path.name, content, features),
        [
            _feature_of(f"feature {number} of {path.name}", feature)
            for number, feature in enumerate(features, 1)
        ],
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _feature_of(where: str, feature: object) -> Feature:
    """Read a Feature, or a bare geometry."""
    if not isinstance(feature, dict):
        raise InputError(f"{where} is no GeoJSON object")
    if feature.get("type") != "Feature":
        return Feature(None, {}, *_geometry_of(where, feature))
    properties = feature.get("properties")
    identifier = _plain_value(where, "id", feature.get("id"))
    return Feature(
        identifier if isinstance(identifier, str | int | float) else None,
        {
            _whole_text(name): _plain_value(where, _whole_text(name), value)
            for name, value in (properties if isinstance(properties, dict) else {}).items()
        },
        *_geometry_of(where, feature.get("geometry")),
    )


def _plain_value(where: str, name: str, value: object, level: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Return an attribute whose numbers are finite and whose texts can be written."""
    if isinstance(value, str):
        return _whole_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} has a number that is not finite: {name}")
    if level > NESTED:
        raise InputError(f"{where} has more than {NESTED} levels in {name}")
    if isinstance(value, list):
        return [_plain_value(where, name, item, level + 1) for item in value]
    if isinstance(value, dict):
        return {
            _whole_text(key): _plain_value(where, name, item, level + 1)
            for key, item in value.items()
        }
    return value


def _whole_text(text: str) -> str:
    """Return a text without halves of characters, which no file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _geometry_of(where: str, geometry: object) -> tuple[BaseGeometry | None, str]:
    """Return a geometry, or why there is none."""
    if geometry is None:
        return None, ""
    if not isinstance(geometry, dict) or geometry.get("type") not in tuple(_GEOMETRIES):
        raise InputError(f"{where} has no GeoJSON geometry")
    try:
        text = json.dumps(geometry, allow_nan=False)
    except (ValueError, RecursionError):
        return None, "has coordinates that are not finite, or nested beyond measure"
    try:
        return shapely.force_2d(shapely.from_geojson(text)), ""
    except ShapelyError as error:
        try:
            return shapely.from_geojson(json.dumps(_tidied(geometry))), ""
        except (ShapelyError, TypeError, ValueError, IndexError):
            raise InputError(f"{where} has a damaged geometry: {error}") from None


def _tidied(geometry: dict[str, Any]) -> dict[str, Any]:
    """Return a geometry with two coordinates a point, its rings closed: what many programs omit."""
    if geometry["type"] == "GeometryCollection":
        return geometry | {"geometries": [_tidied(part) for part in geometry["geometries"]]}
    flat = _flat(geometry["coordinates"])
    if geometry["type"] == "Polygon":
        flat = [_closed(ring) for ring in flat]
    elif geometry["type"] == "MultiPolygon":
        flat = [[_closed(ring) for ring in polygon] for polygon in flat]
    return geometry | {"coordinates": flat}


def _flat(coordinates: list[Any]) -> list[Any]:
    if coordinates and isinstance(coordinates[0], int | float):
        return coordinates[:2]
    return [_flat(part) for part in coordinates]


def _closed(ring: list[Any]) -> list[Any]:
    if len(ring) < 3:
        raise ValueError("a ring has three corners or more")
    return ring if ring[0] == ring[-1] else [*ring, ring[0]]


def _find_crs(name: str, content: dict[str, Any], features: list[Any]) -> CRS:
    """Return the CRS: longitude and latitude, unless an old file names another one.

    What stands in the collection counts, else what stands in its features or their geometries.
    """
    members = [content, *_parts(features)]
    if content.get("crs") not in (None, {}, ""):
        members = [content]
    found = {
        json.dumps(member[key], sort_keys=True): member[key]
        for member in members
        for key in _CRS_MEMBERS
        if member.get(key) not in (None, {}, "")
    }
    named = {_crs_of(name, member) for member in found.values()}
    if len(named) > 1:
        shown = ", ".join(sorted(str(crs) for crs in named))
        raise InputError(f"{name} names several reference systems: {shown}")
    return named.pop() if named else LONGITUDE_LATITUDE


def _parts(features: list[Any]) -> list[dict[str, Any]]:
    parts = [feature for feature in features if isinstance(feature, dict)]
    geometries = [part.get("geometry") for part in parts]
    return parts + [geometry for geometry in geometries if isinstance(geometry, dict)]


def _crs_of(name: str, member: object) -> CRS:
    """Read a member ``crs`` of any dialect: an object, a name, a number of EPSG."""
    text = _crs_text(member)
    if text is None:
        raise InputError(
            f"{name} has a member crs that names no reference system, expected "
            '{"type": "name", "properties": {"name": "EPSG:32631"}}'
        )
    return reference_system(text, name)


def _crs_text(member: object) -> str | None:
    if isinstance(member, bool):
        return None
    if isinstance(member, str | int):
        return str(member).strip("[] ")  # JSON-FG writes [EPSG:32631]
    if not isinstance(member, dict):
        return None
    properties = member.get("properties", member)
    if not isinstance(properties, dict):
        return _crs_text(properties)
    found = (properties.get(key) for key in _CRS_PROPERTIES)
    return next((str(text) for text in found if isinstance(text, str | int) and text), None)
