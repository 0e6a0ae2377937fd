"""The order of axes, at the border of the protocols.

Inside, a box is always x, y. A URN or a URI says "the order of the authority", so geographic
coordinates of EPSG stand as latitude, longitude there; a plain ``EPSG:4326`` stands for x, y, as
desktop programs write it.
"""

import math

from owslib.crs import Crs

from candela.contract.job import Box
from candela.errors import InvalidValueError

Corners = tuple[float, float, float, float]


def is_latitude_first(crs: str) -> bool:
    """Tell whether a box in this CRS is written y before x.

    Raises
    ------
    InvalidValueError
        If it is no name of a CRS.
    """
    if not crs.lower().startswith(("urn:", "http:", "https:")):
        return False
    try:
        return str(Crs(crs).axisorder) == "yx"
    except (ValueError, AttributeError, IndexError):
        raise InvalidValueError(f"{crs!r} is no coordinate reference system", "crs") from None


def box_from(corners: Corners, crs: str) -> Box:
    """Make a box of the lower and the upper corner as a protocol has them."""
    first, second, third, fourth = corners
    if is_latitude_first(crs):
        return Box(bbox=(second, first, fourth, third), crs=crs)
    return Box(bbox=corners, crs=crs)


def corners_of(box: Box) -> tuple[str, Corners]:
    """Return the CRS as a URN, and the corners in the order that the URN asks for."""
    crs = box.crs
    if crs.upper().startswith("EPSG:"):
        crs = f"urn:ogc:def:crs:EPSG::{crs[5:]}"
    left, bottom, right, top = box.bbox
    return crs, (bottom, left, top, right) if is_latitude_first(crs) else box.bbox


def box_of(name: str, corners: list[float], crs: str) -> Box:
    """Make a box of the coordinates of an input.

    Raises
    ------
    InvalidValueError
        If there are not four, or the CRS has no name that is known.
    """
    if len(corners) != 4:
        raise InvalidValueError(
            f"input {name!r} needs two corners of two coordinates, found {len(corners)} numbers",
            name,
        )
    return box_from((corners[0], corners[1], corners[2], corners[3]), crs)


def coordinates(name: str, words: list[str]) -> list[float]:
    """Return the coordinates of an input.

    Raises
    ------
    InvalidValueError
        If a word is no finite number.
    """
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(number) for number in numbers):
        raise InvalidValueError(f"input {name!r}: {' '.join(words)!r} are no coordinates", name)
    return numbers
