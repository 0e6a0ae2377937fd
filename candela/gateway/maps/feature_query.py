"""What may be asked of a WFS.

Names of attributes go into SQL. MapServer has quoted them wrongly before (CVE-2025-59431), so that
nothing but plain names reaches it; literals it quotes itself. The tables it asks hold nothing but
what the layer shows anyway.
"""

import re

from lxml import etree
from werkzeug.datastructures import MultiDict

from candela.errors import InvalidValueError

PARAMETERS = """
    typename typenames featureid resourceid propertyname sortby srsname bbox filter filter_language
    outputformat resulttype maxfeatures count startindex namespace namespaces storedquery_id id
    storedqueries
"""
LONGEST_FILTER = 32 * 1024  # characters
DEEPEST = 32  # levels of elements: MapServer goes down by recursion
PLAIN_NAME = re.compile(r"([A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*", re.ASCII)
NAMES = {
    "typename": r"[\w:.,()*-]*",
    "typenames": r"[\w:.,()*-]*",
    "propertyname": r"[\w:.,()/* -]*",
    "sortby": r"[\w:.,+() -]*",
    "featureid": r"[\w:.,-]*",
    "resourceid": r"[\w:.,-]*",
    "count": r"\d{0,9}",
    "maxfeatures": r"\d{0,9}",
    "startindex": r"\d{0,9}",
}  # what a value may be made of
NAMING_ELEMENTS = frozenset({"PropertyName", "ValueReference"})
JSON_NAMES = frozenset({"json", "geojson", "application/json", "application/geo+json"})
GEOJSON_FORMAT = "geojson"  # as MapServer knows it


def check(query: MultiDict[str, str]) -> None:
    """Look through the parameters of a request, and give output formats MapServer's names.

    Raises
    ------
    InvalidValueError
        With the parameter that must not be so.
    """
    for name, allowed in NAMES.items():
        for value in query.getlist(name):
            if not re.fullmatch(allowed, value, re.ASCII):
                raise InvalidValueError(f"{name} must not be {value[:80]!r}", name)
    for text in query.getlist("filter"):
        if len(text) > LONGEST_FILTER:
            raise InvalidValueError(f"filter is above {LONGEST_FILTER} characters", "filter")
        for part in _filters(text):
            check_xml(part.encode(), "filter")
    if _is_count(query.get("resulttype", "")):
        query.pop("outputformat", None)  # NOTE: MapServer 8.0 dies of a count as GeoJSON
    elif query.get("outputformat", "").lower() in JSON_NAMES:
        query["outputformat"] = GEOJSON_FORMAT


def _is_count(result_type: str) -> bool:
    return result_type.strip().lower() == "hits"


def _filters(text: str) -> list[str]:
    """Return the filters of a request: one, or one for each type in parentheses."""
    if not text.startswith("("):
        return [text]
    return [part for part in text.strip("()").split(")(") if part]


def check_xml(content: bytes, where: str = "request") -> etree._Element:
    """Look through a request, or a filter, and return its root.

    Raises
    ------
    InvalidValueError
        If it is not well-formed, too deep, or names what is no plain name.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise InvalidValueError(f"{where} is no XML: {error}", where) from None
    if root.getroottree().docinfo.doctype:
        raise InvalidValueError(f"{where} may have no document type", where)
    if _is_count(root.get("resultType", "")) and root.get("outputFormat"):
        raise InvalidValueError("hits have no outputFormat: they are counted in XML", where)
    pending = [(root, 1)]
    while pending:
        element, depth = pending.pop()
        if depth > DEEPEST:
            raise InvalidValueError(f"{where} is more than {DEEPEST} levels deep", where)
        if not isinstance(element.tag, str):
            raise InvalidValueError(f"{where} may have elements only, no comments", where)
        if etree.QName(element).localname in NAMING_ELEMENTS:
            _check_path("".join(element.itertext()), where)
        pending += [(child, depth + 1) for child in element]
    return root


def _check_path(path: str, where: str) -> None:
    """Check what names an attribute; steps that lead to it may be before it."""
    steps = path.strip().removeprefix("/").removeprefix("/").split("/")
    if not all(PLAIN_NAME.fullmatch(step) for step in steps):
        raise InvalidValueError(f"{where} names {path[:80]!r}, which is no attribute", where)
