"""Parameters, texts and JSON of requests: the one parser of each kind.

Whatever a request has, these return a value that database and logs can hold, or raise an
``InvalidValueError`` with the name of what is to blame.
"""

import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from flask import Flask, request
from werkzeug.datastructures import MultiDict

from candela.errors import InvalidValueError, MissingValueError, TooLargeError

LONGEST = 500  # characters of a text
LARGEST = 1e9  # of a number with a fraction
OPEN_ENDS = frozenset({"", ".."})  # of an interval
DAY = dt.timedelta(days=1)
SHOWN = 100  # characters of a value in a message
DIGITS = 19  # of a whole number: 64 bits
_SURROGATE = re.compile(rb"\\u[dD]|\xed[\xa0-\xbf]")  # half a character, in JSON or in UTF-8
INPUTS = "datainputs"  # whose parts are checked one by one, so that errors name the input


class Interval(NamedTuple):
    """From ``since`` on, before ``until``; None is an open end."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None


class Bounds(NamedTuple):
    """A box in longitude and latitude; left above right crosses the antimeridian."""

    left: float
    bottom: float
    right: float
    top: float


def refuse_nul(app: Flask) -> None:
    """Refuse requests whose address has a null byte, which no database and no file name holds."""

    @app.before_request
    def refuse() -> None:
        if "\0" in request.path:
            raise InvalidValueError("the address has a null byte")
        for name, values in request.args.lists():
            if name.lower() == INPUTS:
                continue
            if "\0" in name or any("\0" in value for value in values):
                raise InvalidValueError(f"parameter {name!r} has a null byte", name)


@dataclass(frozen=True)
class QueryParameters:
    """The parameters of a query string; each is known to the route and stands there once.

    Parameters
    ----------
    given : MultiDict
        As they came.
    known : tuple of str
        The parameters of the route.
    lists : tuple of str
        Those of them that are lists: with commas, or several times.

    Raises
    ------
    InvalidValueError
        If there is another one, or one twice.
    """

    given: MultiDict[str, str]
    known: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what the route does not know."""
        for name, values in self.given.lists():
            if name not in self.known:
                raise InvalidValueError(
                    f"there is no parameter {shown(name)} here "
                    f"(parameters: {', '.join(self.known) or 'none'})",
                    name[:LONGEST],
                )
            if len(values) > 1 and name not in self.lists:
                raise InvalidValueError(f"{name} is given {len(values)} times", name)

    def __contains__(self, name: object) -> bool:
        """Tell whether a parameter is there."""
        return name in self.given

    def require_with(self, name: str, others: Iterable[str]) -> None:
        """Refuse parameters that make sense together with another one only."""
        for other in others:
            if other in self and name not in self:
                raise InvalidValueError(f"{other} goes with {name}, which is missing", other)

    def text(self, name: str, default: str = "") -> str:
        """Return a text that a database can hold."""
        return plain_text(self.given.get(name, default), name, LONGEST)

    def texts(self, name: str) -> list[str]:
        """Return the texts of a list, without empty ones."""
        parts = ",".join(self.given.getlist(name)).split(",")
        return [plain_text(part, name, LONGEST) for part in parts if part]

    def choices(self, name: str, allowed: Sequence[str]) -> list[str]:
        """Return the words of a list, each one of some."""
        words = self.texts(name)
        for word in words:
            if word not in allowed:
                raise InvalidValueError(
                    f"{name} is {shown(word)}, expected one of {', '.join(allowed)}", name
                )
        return words

    def required(self, name: str) -> str:
        """Return a text that must be there."""
        text = self.text(name)
        if not text:
            raise MissingValueError(f"{name} is missing", name)
        return text

    def whole_number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """Return a whole number."""
        return whole_number(self.given.get(name, str(default)), name, lowest, highest)

    def choice(self, name: str, allowed: Sequence[str], default: str = "") -> str:
        """Return one of some words."""
        word = self.given.get(name, default)
        if word not in (default, *allowed):
            expected = ", ".join(each for each in dict.fromkeys((default, *allowed)) if each)
            raise InvalidValueError(f"{name} is {shown(word)}, expected one of {expected}", name)
        return word

    def flag(self, name: str, *, default: bool) -> bool:
        """Return whether a parameter is ``true``."""
        return self.choice(name, ("true", "false"), str(default).lower()) == "true"

    def instant(self, name: str) -> dt.datetime | None:
        """Return a time, or None where the parameter is not there."""
        return instant(self.given[name], name) if name in self else None

    def interval(self, name: str) -> Interval:
        """Return an interval, or an instant or a day as one (OGC 17-069r4, 7.15.4)."""
        text = self.text(name)
        if not text:
            return Interval()
        first, slash, last = text.partition("/")
        interval = Interval(_bound(first, name), _bound(last if slash else first, name, ends=True))
        if interval.since and interval.until and interval.until <= interval.since:
            raise InvalidValueError(f"{name} is {shown(text)}, which ends before it begins", name)
        return interval

    def numbers(self, name: str, count: int, default: str = "") -> list[float]:
        """Return numbers that stand between commas."""
        text = self.text(name, default)
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != count or not all(abs(number) < LARGEST for number in numbers):
            raise InvalidValueError(f"{name} is {shown(text)}, expected {count} number(s)", name)
        return numbers

    def box(self, name: str) -> Bounds:
        """Return a box in degrees; its left may be east of its right (OGC 17-069r4, 7.15.3)."""
        left, bottom, right, top = self.numbers(name, 4)
        if not (-180 <= left <= 360 and -180 <= right <= 360 and -90 <= bottom <= top <= 90):
            raise InvalidValueError(
                f"{name} is {shown(self.text(name))}, expected left,bottom,right,top in degrees",
                name,
            )
        return Bounds(left, bottom, right, top)


def query_of_request(*known: str, lists: tuple[str, ...] = ()) -> QueryParameters:
    """Return the parameters of the request that is being answered."""
    return QueryParameters(request.args, known, lists)


def whole_number(text: str, name: str, lowest: int, highest: int) -> int:
    """Return a whole number in plain digits."""
    is_number = text.isascii() and text.isdigit() and len(text) <= DIGITS
    if not is_number or not lowest <= int(text) <= highest:
        raise InvalidValueError(
            f"{name} is {shown(text)}, expected a number from {lowest} to {highest}", name
        )
    return int(text)


def instant(text: str, name: str) -> dt.datetime:
    """Return a time of ISO 8601 in UTC; one without a zone is taken as UTC."""
    try:
        time = dt.datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):  # the first and the last day of the calendar
        raise InvalidValueError(
            f"{name} is {shown(text)}, expected a time as in ISO 8601", name
        ) from None


def _bound(text: str, name: str, *, ends: bool = False) -> dt.datetime | None:
    """Return an end of an interval: a day ends a day later, an instant a microsecond later."""
    if text in OPEN_ENDS:
        return None
    try:
        time = instant(text, name)
        if ends:
            time += DAY if len(text) == len("2020-06-04") else dt.timedelta.resolution
    except (InvalidValueError, OverflowError):
        raise InvalidValueError(
            f"{name} has {shown(text)}, expected a time as in ISO 8601, an interval with / or .. "
            "for an open end",
            name,
        ) from None
    return time


def json_document(max_bytes: int) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON document that is the body of the request.

    NOTE: only ``application/json``, which a form of another site cannot send.
    """
    if request.mimetype != "application/json":
        found = shown(request.mimetype or "nothing")
        raise InvalidValueError(f"the body is {found}, expected application/json", "body")
    if (request.content_length or 0) > max_bytes:
        raise TooLargeError(f"the body has more than {max_bytes} bytes", "body")
    request.max_content_length = max_bytes
    try:
        content = request.get_data()
        document = json.loads(content, parse_constant=_refuse_constant)
        if _SURROGATE.search(content):
            json.dumps(document, ensure_ascii=False).encode()  # raises where one is alone
    except RecursionError:
        raise InvalidValueError("the body is nested too deeply", "body") from None
    except ValueError as error:
        raise InvalidValueError(f"the body is no JSON: {error}", "body") from None
    return document


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def finite(value: object, name: str) -> float:
    """Return a number of a JSON document."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else math.nan  # type: ignore[arg-type]
    except OverflowError:  # a whole number of hundreds of digits
        number = math.nan
    if not math.isfinite(number):
        raise InvalidValueError(f"{name} is no finite number", name)
    return number


def plain_text(value: object, name: str, longest: int) -> str:
    """Return a text that a database can hold."""
    if not isinstance(value, str):
        raise InvalidValueError(f"{name} is a {type(value).__name__}, expected text", name)
    if len(value) > longest:
        raise InvalidValueError(
            f"{name} has {len(value)} characters, at most {longest} are allowed", name
        )
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidValueError(f"{name} has characters that are no text", name)
    return value


def shown(text: str) -> str:
    """Return a value as a message has it."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
