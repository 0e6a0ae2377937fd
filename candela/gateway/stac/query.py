"""The parameters of an item search (STAC API 1.0.0), in a query string or in a JSON body."""

import json
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import shapely
from werkzeug.datastructures import MultiDict

from candela.errors import InvalidValueError
from candela.gateway.parameters import QueryParameters, plain_text, shown
from candela.gateway.stac.items import EARTH, Corners, boxes_of
from candela.jobs.listing import JobQuery, Position, TimeInterval

OF_COLLECTION = ("bbox", "datetime", "limit", "token")
OF_SEARCH = ("collections", "ids", "intersects", *OF_COLLECTION)
LISTS = ("collections", "ids")
DEFAULT_LIMIT = 10
HIGHEST_LIMIT = 10_000  # that may be asked for; a page has MOST_ITEMS at most
MOST_ITEMS = 250
MOST_IDS = 250
LONGEST_AREA = 16_000  # characters of a geometry in a query string
MOST_BYTES = 256 * 1024  # of a body
GEOMETRIES = (
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
    "GeometryCollection",
)  # fmt: skip


class PageEnd(NamedTuple):
    """Where a page of items ends: an output of a job."""

    job: Position
    output: str

    def token(self) -> str:
        """Return it as one word, opaque to who gets it."""
        return f"{self.job.token()}.{self.output}"

    @classmethod
    def of_token(cls, token: str) -> Self:
        """Read what ``token`` has made; InvalidValueError if it is something else."""
        job, _, output = token.partition(".")
        return cls(Position.of_token(job), output)


@dataclass(frozen=True)
class ItemQuery:
    """Which items are asked for; what is left out does not narrow the search.

    Attributes
    ----------
    collections : frozenset of str, optional
        Processes.
    ids : frozenset of str, optional
        Ids of items.
    bbox : tuple of float, optional
        A box around ``area`` for the index of jobs: west, south, east and north in degrees; west
        above east crosses the antimeridian.
    area : shapely.Geometry, optional
        What items intersect, in degrees.
    time : TimeInterval
        What the time of items lies in.
    limit : int
        How many items a page has at most.
    after : PageEnd, optional
        The end of the page before.
    """

    collections: frozenset[str] | None = None
    ids: frozenset[str] | None = None
    bbox: Corners | None = None
    area: shapely.Geometry | None = None
    time: TimeInterval = field(default_factory=TimeInterval)
    limit: int = DEFAULT_LIMIT
    after: PageEnd | None = None

    @classmethod
    def of(cls, query: QueryParameters, intersects: object = None) -> Self:
        """Read the parameters.

        Parameters
        ----------
        intersects : object, optional
            The geometry of a JSON body; a query string has its own as text.

        Raises
        ------
        InvalidValueError
            If one of them is wrong.
        """
        if "intersects" in query:
            intersects = _json(plain_text(query.given["intersects"], "intersects", LONGEST_AREA))
        if intersects is not None and "bbox" in query:
            raise InvalidValueError("bbox and intersects exclude each other", "intersects")
        bbox = _corners(query) if "bbox" in query else None
        area = shapely.union_all([shapely.box(*box) for box in boxes_of(bbox)]) if bbox else None
        if intersects is not None:
            area = area_of(intersects)
            bbox = area.bounds
        JobQuery(bbox=bbox)  # refuses edges that are not on Earth
        ids = frozenset(query.texts("ids"))
        if len(ids) > MOST_IDS:
            raise InvalidValueError(f"{len(ids)} ids, at most {MOST_IDS} are allowed", "ids")
        limit = query.whole_number("limit", DEFAULT_LIMIT, 1, HIGHEST_LIMIT)
        return cls(
            frozenset(query.texts("collections")) or None,
            ids or None,
            bbox,
            area,
            TimeInterval.parse(query.text("datetime")) if "datetime" in query else TimeInterval(),
            min(limit, MOST_ITEMS),
            PageEnd.of_token(query.text("token")) if "token" in query else None,
        )


def query_of_body(document: object) -> ItemQuery:
    """Read the JSON body of a search.

    Raises
    ------
    InvalidValueError
        If it is no object, or a member is wrong.
    """
    if not isinstance(document, dict):
        raise InvalidValueError("the body is no JSON object", "body")
    members = {name: value for name, value in document.items() if value is not None}
    area = members.pop("intersects", None)
    given = MultiDict({name: _text(value, name) for name, value in members.items()})
    return ItemQuery.of(QueryParameters(given, OF_SEARCH, LISTS), area)


def area_of(document: object) -> shapely.Geometry:
    """Return a geometry of GeoJSON (RFC 7946), in degrees.

    Raises
    ------
    InvalidValueError
        If it is none, is empty, crosses itself or is not in degrees.
    """
    if not isinstance(document, dict) or document.get("type") not in GEOMETRIES:
        raise InvalidValueError(
            f"intersects is no geometry of GeoJSON (types: {', '.join(GEOMETRIES)})", "intersects"
        )
    try:
        area = shapely.from_geojson(json.dumps(document))
    except shapely.errors.ShapelyError as error:
        raise InvalidValueError(
            f"intersects is no geometry of GeoJSON: {shown(str(error))}", "intersects"
        ) from None
    if area is None or area.is_empty:
        raise InvalidValueError("intersects is an empty geometry", "intersects")
    if not shapely.box(*EARTH).covers(shapely.box(*area.bounds)):
        raise InvalidValueError(
            "intersects is not in degrees of longitude and latitude", "intersects"
        )
    if not area.is_valid:
        reason = shapely.is_valid_reason(area)
        raise InvalidValueError(f"intersects is no valid geometry: {reason}", "intersects")
    return area


def _corners(query: QueryParameters) -> Corners:
    """Return the edges of a box; heights are left out."""
    is_high = query.text("bbox").count(",") == 5
    edges = query.numbers("bbox", 6 if is_high else 4)
    west, south, east, north = (*edges[:2], *edges[3:5]) if is_high else edges
    return west, south, east, north


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValueError("intersects is no JSON", "intersects") from None


def _text(value: object, name: str) -> str:
    """Return the text that a member would be in a query string."""
    if isinstance(value, list) and not any(isinstance(each, list) for each in value):
        return ",".join(_text(each, name) for each in value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidValueError(f"{name} is a {type(value).__name__}", name)
    return str(value)
