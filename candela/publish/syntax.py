"""The syntax of map files: strings that hold any text, and blocks."""

import re
import textwrap
from collections.abc import Iterable


def quote(text: str) -> str:
    """Make a map file's string of any text.

    Control characters, which XML cannot hold, become spaces.
    """
    clean = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]+", " ", text)
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def block(keyword: str, *lines: str) -> str:
    """Put lines between a keyword and END."""
    return "\n".join((keyword, *(textwrap.indent(line, "  ") for line in lines), "END"))


def metadata(values: dict[str, str]) -> str:
    """Write a METADATA block."""
    return block("METADATA", *(f"{quote(key)} {quote(value)}" for key, value in values.items()))


def projection(epsg: int) -> str:
    """Write a PROJECTION block."""
    return block("PROJECTION", quote(f"init=epsg:{epsg}"))


def numbers(values: Iterable[float]) -> str:
    """Write numbers, as exact as they are."""
    return " ".join(f"{value:.17g}" for value in values)


def processing(text: str) -> str:
    """Write a PROCESSING line: how a raster is read."""
    return f"PROCESSING {quote(text)}"
