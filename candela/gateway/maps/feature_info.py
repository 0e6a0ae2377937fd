"""GetFeatureInfo as GeoJSON and HTML, made of MapServer's GML.

MapServer would write both by templates, in which values are not escaped and nothing has a type.
"""

import json
import math
from collections.abc import Callable, Iterator
from html import escape
from typing import NamedTuple

from lxml import etree

GML = "application/vnd.ogc.gml"  # what is asked of MapServer instead
MOST_FEATURES = 100  # of a layer, in these formats
MOST_BYTES = 32 * 2**20  # of GML, which has the polygons as well
LAYER, FEATURE = "_layer", "_feature"  # what the names of elements end in

Value = str | int | float | None


class FeatureValues(NamedTuple):
    """What was found of one layer at a point: a pixel, or a polygon."""

    layer: str
    title: str
    values: dict[str, Value]


def feature_values(
    content: bytes, numbers: Callable[[str], frozenset[str] | None]
) -> list[FeatureValues] | None:
    """Read an answer of MapServer; None if it is none to GetFeatureInfo but an exception.

    Parameters
    ----------
    numbers : callable
        Returns which values of a layer are numbers, None for all of them; the others are texts,
        whatever they look like.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    root = etree.fromstring(content, parser)
    if etree.QName(root).localname != "msGMLOutput":
        return None
    return [
        FeatureValues(name, title, dict(_values(feature, numbers(name))))
        for layer in root
        for name in [str(layer.tag).removesuffix(LAYER)]
        for title in [layer.findtext("{*}name") or name]
        for feature in layer.findall(f"{name}{FEATURE}")
    ]


def _values(feature: etree._Element, numbers: frozenset[str] | None) -> Iterator[tuple[str, Value]]:
    for element in feature:
        name = str(element.tag)
        if name.startswith("{") or len(element):  # the box, and the polygon
            continue
        text = element.text or ""
        yield name, _number(text) if numbers is None or name in numbers else text or None


def _number(text: str) -> Value:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(text) if text.strip().lstrip("+-").isdecimal() else value


def as_json(found: list[FeatureValues]) -> str:
    """Write what was found as GeoJSON, without geometries."""
    features = [
        {"type": "Feature", "id": f"{item.layer}.{number}", "geometry": None,
         "properties": item.values}
        for number, item in enumerate(found, 1)
    ]  # fmt: skip
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)


def as_html(found: list[FeatureValues]) -> str:
    """Write what was found as tables."""
    tables = [
        f"<table><caption>{escape(item.title)}</caption>"
        + "".join(
            f"<tr><th>{escape(name)}</th><td>{_shown(value)}</td></tr>"
            for name, value in item.values.items()
        )
        + "</table>"
        for item in found
    ]
    body = "".join(tables) or "<p>Nothing here.</p>"
    return f'<!DOCTYPE html><meta charset="utf-8"><title>Values</title>{body}'


def _shown(value: Value) -> str:
    return "no data" if value is None else escape(str(value))


WRITERS: dict[str, Callable[[list[FeatureValues]], str]] = {
    "application/json": as_json,
    "text/html": as_html,
}
