"""Filters of the patch database, as the parameters of a request have them."""

from collections.abc import Callable
from typing import NamedTuple

import shapely
from sqlalchemy.engine import Connection

from candela.errors import InvalidValueError, blamed_on
from candela.gateway.parameters import LONGEST, Bounds, QueryParameters, shown
from candela.patches.query.selection import LabelFilter, PatchFilter, check_label
from candela.patches.store.annotate import Source

MOST_ITEMS = 10_000  # patches in one answer
MOST_ALIKE = 1000
MOST_POINTS = 10_000  # of a polygon
HIGHEST = 2**63 - 1  # number in the database
SHAPES = {"Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"}

PRODUCT_FILTERS = ("product", "owner", "datetime")
PATCH_FILTERS = (
    *PRODUCT_FILTERS,
    "size",
    "usable",
    "bbox",
    "geometry",
    "label",
    "subtree",
    "label_origin",
    "label_sensor",
)
PAGING = ("limit", "after", "f")
LIKENESS = ("like", "features", "offset", "relatives")

ORIGINS = ("manual", "model", "reference")
SENSORS = ("s1", "s2", "fused")


class SimilarityQuery(NamedTuple):
    """Which patch others shall be like, by which feature set, and how many come first.

    With ``relatives`` also those that hold the patch, or that it holds.
    """

    patch: int
    features: str
    offset: int
    relatives: bool = False


def patch_filter(query: QueryParameters, most: int = MOST_ITEMS, usual: int = 100) -> PatchFilter:
    """Return which patches are asked for, at most ``most``, ``usual`` where no limit is given."""
    since, until = query.interval("datetime")
    (usable,) = query.numbers("usable", 1, "0")
    if not 0 <= usable <= 1:
        raise InvalidValueError(f"usable is {usable:g}, expected 0 to 1", "usable")
    return PatchFilter(
        product=query.text("product"),
        owner=query.text("owner"),
        sizes=_sizes(query),
        since=since,
        until=until,
        area=_area(query),
        least_usable=usable,
        label=_label(query),
        after=query.whole_number("after", 0, 0, HIGHEST),
        limit=query.whole_number("limit", usual, 1, most),
    )


def check_filter(connection: Connection, where: PatchFilter) -> None:
    """Refuse a label that its scheme does not have."""
    if where.label:
        with blamed_on("label"):
            check_label(connection, where.label.scheme, where.label.code)


def similarity_query(query: QueryParameters) -> SimilarityQuery | None:
    """Return what the patches shall be like, if that is asked."""
    query.require_with("like", LIKENESS)
    if "like" not in query:
        return None
    if "after" in query:
        raise InvalidValueError("after does not go with like; use offset", "after")
    return SimilarityQuery(
        query.whole_number("like", 0, 1, HIGHEST),
        query.text("features", "fused"),
        query.whole_number("offset", 0, 0, MOST_ITEMS),
        query.flag("relatives", default=False),
    )


def label_source(query: QueryParameters, name: str, default: str) -> Source:
    """Return whose labels: ``manual``, ``reference``, ``model:s1`` ..."""
    text = query.text(name, default)
    origin, colon, sensor = text.partition(":")
    if origin not in ORIGINS or (colon and sensor not in SENSORS):
        raise InvalidValueError(
            f"{name} is {shown(text)}, expected one of {', '.join(ORIGINS)}, or model:s1, "
            "model:s2, model:fused",
            name,
        )
    return Source(origin, sensor)


def _sizes(query: QueryParameters) -> tuple[int, ...]:
    text = query.text("size")
    parts = text.split(",") if text else []
    if not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        raise InvalidValueError(f"size is {shown(text)}, expected pixels such as 120,60", "size")
    return tuple(int(part) for part in parts)


def _area(query: QueryParameters) -> shapely.Geometry | None:
    if "bbox" in query and "geometry" in query:
        raise InvalidValueError("bbox and geometry are given, expected one of them", "bbox")
    if "bbox" in query:
        return _rectangle(query.box("bbox"))
    return _geometry(query.given["geometry"]) if "geometry" in query else None


def _label(query: QueryParameters) -> LabelFilter | None:
    query.require_with("label", ("subtree", "label_origin", "label_sensor"))
    if "label" not in query:
        return None
    text = query.text("label")
    scheme, colon, code = text.partition(":")
    if not (scheme and colon and code):
        raise InvalidValueError(
            f"label is {shown(text)}, expected scheme:code such as corine:31", "label"
        )
    return LabelFilter(
        scheme,
        code,
        subtree=query.flag("subtree", default=True),
        origin=query.choice("label_origin", ORIGINS),
        sensor=query.choice("label_sensor", SENSORS),
    )


def _rectangle(box: Bounds) -> shapely.Geometry:
    """Return the area of a box; outlines that cross the antimeridian go on beyond 180."""
    left, bottom, right, top = box
    if left <= right:
        return shapely.box(left, bottom, right, top)
    return shapely.union(
        shapely.box(left, bottom, right + 360, top), shapely.box(-180, bottom, right, top)
    )


def _geometry(text: str) -> shapely.Geometry:
    """Return a geometry from GeoJSON or WKT in longitude and latitude."""
    read: Callable[[str], shapely.Geometry] = (
        shapely.from_geojson if text.lstrip().startswith("{") else shapely.from_wkt
    )
    try:
        geometry = read(text)
    except (shapely.errors.GEOSException, UnicodeEncodeError) as error:
        reason = str(error).partition("\n")[0][:LONGEST]
        raise InvalidValueError(
            f"geometry is neither GeoJSON nor WKT: {reason}", "geometry"
        ) from None
    if geometry.geom_type not in SHAPES:
        raise InvalidValueError(
            f"geometry is a {geometry.geom_type}, expected one of {', '.join(sorted(SHAPES))}",
            "geometry",
        )
    if shapely.is_empty(geometry) or not shapely.is_valid(geometry):
        reason = shapely.is_valid_reason(geometry)
        raise InvalidValueError(f"geometry is empty or not valid: {reason}", "geometry")
    if shapely.get_num_coordinates(geometry) > MOST_POINTS:
        raise InvalidValueError(f"geometry has more than {MOST_POINTS} points", "geometry")
    left, bottom, right, top = shapely.bounds(geometry).tolist()
    if not (-180 <= left <= right <= 360 and -90 <= bottom <= top <= 90):
        raise InvalidValueError(
            f"geometry reaches from {left:g}, {bottom:g} to {right:g}, {top:g}, expected longitude "
            "and latitude in degrees",
            "geometry",
        )
    return shapely.force_2d(geometry)
