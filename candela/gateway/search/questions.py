"""Questions to the patch database, as the parameters of a request have them."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import shapely
from werkzeug.datastructures import MultiDict

from candela.errors import InvalidValueError, MissingValueError
from candela.gateway.parameters import instant, plain_text, shown, whole_number
from candela.patches.query.selection import LabelWanted, Wanted
from candela.patches.store.annotate import Given, Source

MOST_ITEMS = 10_000  # patches in one answer
MOST_ALIKE = 1000
MOST_LABELLED = 10_000  # patches in one request
MOST_POINTS = 10_000  # of a polygon
LENGTH = 500  # characters of a name
DAY = dt.timedelta(days=1)
SHAPES = {"Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"}
HIGHEST = 2**63 - 1  # number in the database

OF_PRODUCTS = ("product", "owner", "datetime")
OF_PATCHES = (
    *OF_PRODUCTS,
    "size",
    "usable",
    "bbox",
    "geometry",
    "label",
    "subtree",
    "label_origin",
    "label_sensor",
)
OF_PAGES = ("limit", "after", "f")
OF_LIKENESS = ("like", "features", "offset", "relatives")

ORIGINS = ("manual", "model", "reference")
SENSORS = ("s1", "s2", "fused")
VISIBILITIES = ("private", "public")


class Alike(NamedTuple):
    """Which patch others shall be like, by which feature set, and how many come first.

    With ``relatives`` also those that hold the patch, or that it holds.
    """

    patch: int
    features: str
    offset: int
    relatives: bool = False


class Annotations(NamedTuple):
    """Labels that a user gives."""

    scheme: str
    labels: dict[int, list[Given]]
    source: Source
    visibility: str


@dataclass(frozen=True)
class Question:
    """The parameters of one request; all of them are known, and none is given twice.

    Parameters
    ----------
    given : MultiDict
        As they came.
    known : tuple of str
        Those that there are.
    """

    given: MultiDict[str, str]
    known: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, values in self.given.lists():
            if name not in self.known:
                raise InvalidValueError(
                    f"there is no parameter {name!r} here (parameters: {', '.join(self.known)})",
                    name[:LENGTH],
                )
            if len(values) > 1:
                raise InvalidValueError(f"{name} is given {len(values)} times", name)

    def text(self, name: str, default: str = "") -> str:
        """Return a text that a database can hold."""
        return _text(self.given.get(name, default), name)

    def needed(self, name: str) -> str:
        """Return a text that must be there."""
        text = self.text(name)
        if not text:
            raise MissingValueError(f"{name} is missing", name)
        return text

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """Return a whole number."""
        return whole_number(self.given.get(name, str(default)), name, lowest, highest)

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """Return one of some words."""
        return _choice(self.given.get(name, default), name, (default, *allowed))

    def wanted(self, most: int = MOST_ITEMS, usual: int = 100) -> Wanted:
        """Return which patches are wanted."""
        since, until = self._interval()
        return Wanted(
            product=self.text("product"),
            owner=self.text("owner"),
            sizes=self._sizes(),
            since=since,
            until=until,
            area=self._area(),
            least_usable=self._share("usable"),
            label=self._label(),
            after=self.number("after", 0, 0, HIGHEST),
            limit=self.number("limit", usual, 1, most),
        )

    def alike(self) -> Alike | None:
        """Return what the patches shall be like, if that is asked."""
        if "like" not in self.given:
            for name in ("features", "offset", "relatives"):
                if name in self.given:
                    raise InvalidValueError(f"{name} goes with like, which is missing", name)
            return None
        if "after" in self.given:
            raise InvalidValueError("after does not go with like; use offset", "after")
        patch = self.number("like", 0, 1, HIGHEST)
        offset = self.number("offset", 0, 0, MOST_ITEMS)
        relatives = self.choice("relatives", ("true", "false"), "false") == "true"
        return Alike(patch, self.text("features", "fused"), offset, relatives)

    def source(self, name: str, default: str) -> Source:
        """Return whose labels: ``manual``, ``reference``, ``model:s1`` ..."""
        text = self.text(name, default)
        origin, colon, sensor = text.partition(":")
        if origin not in ORIGINS or (colon and sensor not in SENSORS):
            raise InvalidValueError(
                f"{name} is {text!r}, expected one of {', '.join(ORIGINS)}, or model:s1, model:s2, "
                "model:fused",
                name,
            )
        return Source(origin, sensor)

    def _sizes(self) -> tuple[int, ...]:
        text = self.text("size")
        parts = text.split(",") if text else []
        if not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
            raise InvalidValueError(f"size is {text!r}, expected pixels such as 120,60", "size")
        return tuple(int(part) for part in parts)

    def _share(self, name: str) -> float:
        (share,) = _numbers(self.text(name, "0"), name, 1)
        if not 0 <= share <= 1:
            raise InvalidValueError(f"{name} is {share:g}, expected 0 to 1", name)
        return share

    def _interval(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """Return from when (included) to when (excluded): OGC 17-069r4, 7.15.4."""
        text = self.text("datetime")
        if not text:
            return None, None
        first, slash, last = text.partition("/")
        since = _instant(first)
        until = _instant(last, ends=True) if slash else _instant(first, ends=True)
        if since and until and until <= since:
            raise InvalidValueError(
                f"datetime is {text!r}, which ends before it begins", "datetime"
            )
        return since, until

    def _area(self) -> shapely.Geometry | None:
        if "bbox" in self.given and "geometry" in self.given:
            raise InvalidValueError("bbox and geometry are given, expected one of them", "bbox")
        if "bbox" in self.given:
            return _box(self.text("bbox"))
        return _geometry(self.given["geometry"]) if "geometry" in self.given else None

    def _label(self) -> LabelWanted | None:
        if "label" not in self.given:
            for name in ("subtree", "label_origin", "label_sensor"):
                if name in self.given:
                    raise InvalidValueError(f"{name} goes with label, which is missing", name)
            return None
        scheme, colon, code = self.text("label").partition(":")
        if not (scheme and colon and code):
            raise InvalidValueError(
                f"label is {self.text('label')!r}, expected scheme:code such as corine:31", "label"
            )
        return LabelWanted(
            scheme,
            code,
            subtree=self.choice("subtree", ("true", "false"), "true") == "true",
            origin=self.choice("label_origin", ORIGINS),
            sensor=self.choice("label_sensor", SENSORS),
        )


def annotations_of(document: Any) -> Annotations:  # noqa: ANN401 - JSON
    """Read labels from a request's JSON document.

    Raises
    ------
    MissingValueError, InvalidValueError
        With the name of the member that is to blame.
    """
    known: dict[str, Any] = {
        "scheme": None,
        "labels": None,
        "origin": "manual",
        "sensor": "",
        "visibility": "private",
    }
    _check_members(document, known, "body")
    given = {**known, **document}
    for name in ("scheme", "labels"):
        if given[name] is None:
            raise MissingValueError(f"{name} is missing", name)
    sensor = _choice(given["sensor"], "sensor", ("", *SENSORS))
    if sensor and given["origin"] != "model":
        raise InvalidValueError("a sensor goes with origin model", "sensor")
    labels = given["labels"]
    if not isinstance(labels, dict) or len(labels) > MOST_LABELLED:
        raise InvalidValueError(
            f"labels is no object of at most {MOST_LABELLED} numbers of patches", "labels"
        )
    return Annotations(
        _text(given["scheme"], "scheme"),
        {_patch(patch): _given(of_patch) for patch, of_patch in labels.items()},
        Source(_choice(given["origin"], "origin", ORIGINS), sensor),
        _choice(given["visibility"], "visibility", VISIBILITIES),
    )


def _given(labels: Any) -> list[Given]:  # noqa: ANN401 - JSON
    """Return the labels of a patch: codes, or codes with confidences."""
    entries = labels if isinstance(labels, list) else [labels]
    given = []
    for entry in entries:
        if isinstance(entry, str):
            given.append(Given(_text(entry, "labels")))
            continue
        _check_members(entry, {"code", "confidence"}, "labels")
        confidence = entry.get("confidence")
        is_number = isinstance(confidence, int | float) and not isinstance(confidence, bool)
        if confidence is not None and not (is_number and 0 <= confidence <= 1):
            raise InvalidValueError("confidence is no number from 0 to 1", "labels")
        given.append(Given(_text(entry.get("code"), "labels"), confidence))
    if len({each.code for each in given}) < len(given):
        raise InvalidValueError("a patch has the same label twice", "labels")
    return given


def _patch(text: str) -> int:
    try:
        return whole_number(text, "labels", 0, HIGHEST)
    except InvalidValueError:
        raise InvalidValueError(f"{shown(text)} is no number of a patch", "labels") from None


def _check_members(document: Any, known: Any, locator: str) -> None:  # noqa: ANN401 - JSON
    if not isinstance(document, dict):
        raise InvalidValueError(f"expected an object with {', '.join(known)}", locator)
    for name in document:
        if name not in known:
            raise InvalidValueError(
                f"there is no member {name[:LENGTH]!r} here (members: {', '.join(known)})",
                name[:LENGTH],
            )


def _text(text: Any, name: str) -> str:  # noqa: ANN401 - JSON
    return plain_text(text, name, LENGTH)


def _choice(word: Any, name: str, allowed: tuple[str, ...]) -> str:  # noqa: ANN401 - JSON
    if word not in allowed:
        found = shown(word) if isinstance(word, str) else f"a {type(word).__name__}"
        expected = ", ".join(each for each in dict.fromkeys(allowed) if each)
        raise InvalidValueError(f"{name} is {found}, expected one of {expected}", name)
    return str(word)


def _numbers(text: str, name: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(abs(number) < 1e9 for number in numbers):
        raise InvalidValueError(f"{name} is {text!r}, expected {count} number(s)", name)
    return numbers


def _box(text: str) -> shapely.Geometry:
    """Return a box in degrees; one whose left is east of its right crosses the antimeridian."""
    left, bottom, right, top = _numbers(text, "bbox", 4)
    if not (-180 <= left <= 360 and -180 <= right <= 360 and -90 <= bottom <= top <= 90):
        raise InvalidValueError(
            f"bbox is {text!r}, expected left,bottom,right,top in degrees", "bbox"
        )
    if left <= right:
        return shapely.box(left, bottom, right, top)
    # Outlines that cross it go on beyond 180.
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
        reason = str(error).partition("\n")[0][:LENGTH]
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


def _instant(text: str, *, ends: bool = False) -> dt.datetime | None:
    """Return a time; a day ends a day later, an instant a microsecond later; ``..`` is open."""
    if text in {"", ".."}:
        return None
    try:
        time = instant(text, "datetime")
        if ends:
            time += DAY if len(text) == len("2020-06-04") else dt.timedelta.resolution
    except (InvalidValueError, OverflowError):
        raise InvalidValueError(
            f"datetime has {text!r}, expected a time as in ISO 8601, an interval with / or .. for "
            "an open end",
            "datetime",
        ) from None
    return time
