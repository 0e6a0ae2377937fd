"""Parameters, texts and JSON of requests: the one parser of each kind.

Whatever a request has, these return a value that database and logs can hold, or raise an
``InvalidValueError`` with the name of what is to blame.
"""

import datetime as dt
import json
import math
from typing import Any

from flask import Flask, request

from candela.errors import InvalidValueError, TooLargeError

SHOWN = 100  # characters of a value in a message
DIGITS = 19  # of a whole number: 64 bits
INPUTS = "datainputs"  # whose parts are checked one by one, so that errors name the input


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
        return json.loads(request.get_data())
    except RecursionError:
        raise InvalidValueError("the body is nested too deeply", "body") from None
    except ValueError as error:
        raise InvalidValueError(f"the body is no JSON: {error}", "body") from None


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
