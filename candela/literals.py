"""Literals: the types that there are, and their values from text."""

import datetime as dt
import math
from collections.abc import Callable

from candela.errors import InvalidValueError

LITERAL_TYPES = ("string", "integer", "float", "boolean", "date", "datetime")

Scalar = str | int | float | bool | dt.date | dt.datetime


def parse_literal(kind: str, text: str) -> Scalar:
    """Turn the text of a literal into its value.

    Raises
    ------
    InvalidValueError
        If the text is no value of the type.
    """
    text = text if kind == "string" else text.strip()
    try:
        return _PARSERS[kind](text)
    except ValueError:
        raise InvalidValueError(f"{text!r} is not of type {kind}") from None


def _parse_boolean(text: str) -> bool:
    if text.lower() in {"true", "1"}:
        return True
    if text.lower() in {"false", "0"}:
        return False
    raise ValueError(text)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_PARSERS: dict[str, Callable[[str], Scalar]] = {
    "string": str,
    "integer": int,
    "float": _parse_float,
    "boolean": _parse_boolean,
    "date": dt.date.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
}
