"""What may be asked of WMS, WCS and WFS: only what their capabilities advertise.

MapServer has more services, operations and formats than those that are offered and tested here;
some answer pages that load scripts from elsewhere. What is not offered is refused before it gets
there.
"""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from lxml import etree
from werkzeug.datastructures import MultiDict

from candela.errors import InvalidValueError
from candela.gateway.maps import feature_query
from candela.gateway.maps.exceptions import NOT_XML, Kind, OwsError
from candela.publish.offers import (
    COVERAGE_FORMAT,
    COVERAGE_NAME,
    GEOJSON,
    GML_FORMATS,
    INFO_FORMATS,
    LEGEND_FORMATS,
    OPAQUE_PNG,
    OPERATIONS,
    PICTURE_FORMATS,
    VERSIONS,
)

OWS_PARAMETERS = """
    service version request acceptversions acceptformats acceptlanguages sections updatesequence
    language exceptions
"""
WMS_PARAMETERS = """
    wmtver layers layer styles style srs crs bbox width height format transparent bgcolor time
    elevation query_layers info_format feature_count x y i j sld_version rule scale
    dpi map_resolution format_options
"""  # the last line is what QGIS adds
WCS_PARAMETERS = """
    coverage coverageid identifier identifiers subset subsettingcrs outputcrs rangesubset
    boundingbox gridbasecrs gridcs gridtype gridorigin gridoffsets response_crs resx resy
    scalefactor scaleaxes scalesize scaleextent resolution size interpolation mediatype store
"""
PARAMETERS = frozenset(
    f"{OWS_PARAMETERS} {WMS_PARAMETERS} {WCS_PARAMETERS} {feature_query.PARAMETERS}".split()
)
ONLY_WFS = frozenset(feature_query.PARAMETERS.split()) - {"bbox"}
KINDS: tuple[Kind, ...] = ("wms", "wcs", "wfs")
SYNONYMS = {"capabilities": "getcapabilities", "map": "getmap", "feature_info": "getfeatureinfo"}
METADATA = "getmetadata"  # of MapServer: what the metadata links of capabilities ask for
SCHEMA = "getschemaextension"  # likewise
EXCEPTIONS = (
    *("xml", "inimage", "blank"),
    *(f"application/vnd.ogc.se_{name}" for name in ("xml", "inimage", "blank")),
)  # of WMS 1.3.0, and of WMS 1.1.1
GML_NAMES = ("gml2", "gml3", "gml32", "xmlschema")  # short names of the formats of GML
FEATURE_FORMATS = frozenset(
    re.sub(r"\s", "", name).lower()
    for names in (*GML_FORMATS.values(), (GEOJSON,), feature_query.JSON_NAMES, GML_NAMES)
    for name in names
)
COVERAGE_FORMATS = {"1": {COVERAGE_NAME, COVERAGE_FORMAT}, "2": {COVERAGE_FORMAT}}
AXES = {"x": {"x", "long", "lon", "e"}, "y": {"y", "lat", "n"}}
TIME_SUBSET = re.compile(
    r"\s*time\s*(?:,[^()]*)?\(\s*\"?([^\",()]+)\"?\s*(?:,\s*\"?([^\",()]+)\"?\s*)?\)\s*",
    re.IGNORECASE,
)  # an instant or an interval
MULTIPART = "multipart/related"
START_BYTES = 4096  # of a body: where its root begins
VERSION = re.compile(rb"<[\w:]+\s[^>]*?\bversion=[\"']([\d.]{1,9})[\"']")
NAMESPACES: dict[str, Kind] = {
    "http://www.opengis.net/wcs/2.0": "wcs", "http://www.opengis.net/wcs": "wcs",
    "http://www.opengis.net/wfs": "wfs", "http://www.opengis.net/wfs/2.0": "wfs",
}  # fmt: skip


def standard_parameters(values: MultiDict[str, str]) -> MultiDict[str, str]:
    """Keep the parameters of the standards, with their names in lower case."""
    return MultiDict(
        (key.lower(), value) for key, value in values.items(multi=True) if key.lower() in PARAMETERS
    )


def pairs(body: bytes) -> MultiDict[str, str]:
    """Read a body of keys and values that does not say that it is a form: OWSLib sends such."""
    return MultiDict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def settle(query: MultiDict[str, str], kind: Kind | None) -> Kind:
    """Check a request, complete it for MapServer, and return the service that it is for.

    Parameters
    ----------
    query : MultiDict
        The parameters, which are changed.
    kind : str or None
        The service of the address; None where it has all.

    Raises
    ------
    OwsError, InvalidValueError
        If something is asked for that is not offered.
    """
    for name, value in query.items(multi=True):
        if NOT_XML.search(value):
            raise InvalidValueError(f"{name} has characters that no text has", name)
    query.setdefault("service", kind or "WMS")
    query.setdefault("request", "GetCapabilities")
    asked = kind_of(query)
    if asked is None:
        message = f"there is no service {query['service'][:80]!r} here (WMS, WCS, WFS)"
        raise InvalidValueError(message, "service")
    if kind is not None and asked != kind:
        raise InvalidValueError(f"this address is a {kind.upper()}, not a {asked.upper()}")
    operation = operation_of(query)
    if operation == METADATA:
        query.pop("service")  # the link in the capabilities has none, and must have none
        return "wms"
    if operation not in {name.lower() for name in OPERATIONS[asked]} | (
        {SCHEMA} if asked == "wms" else set()
    ):
        offered = ", ".join(OPERATIONS[asked])
        message = f"{asked.upper()} has no {query['request'][:80]!r} ({offered})"
        raise OwsError("OperationNotSupported", message, "request")
    {"wms": _settle_wms, "wcs": _settle_wcs, "wfs": feature_query.check}[asked](query)
    if asked == "wfs":
        _check_feature_format(query.get("outputformat", ""))
    else:
        for name in ONLY_WFS:
            query.pop(name, None)
    return asked


def operation_of(query: MultiDict[str, str]) -> str:
    """Return the operation in lower case, by its newer name."""
    named = query["request"].lower()
    return SYNONYMS.get(named, named)


def kind_of(query: MultiDict[str, str]) -> Kind | None:
    """Return the service that a request names, WMS by default; None if there is none of it."""
    named = query.get("service", "wms").lower()
    return next((kind for kind in KINDS if kind == named), None)


def _settle_wms(query: MultiDict[str, str]) -> None:
    operation = operation_of(query)
    _require(query, "exceptions", EXCEPTIONS)
    query.setdefault("styles", "")  # MapServer insists on it, many clients leave it out
    if operation == "getmap":
        _require(query, "format", PICTURE_FORMATS)
        query["transparent"] = transparent = query.get("transparent", "").upper() or "FALSE"
        if query.get("format", "").lower() == PICTURE_FORMATS[0] and transparent == "FALSE":
            query["format"] = OPAQUE_PNG
    elif operation == "getlegendgraphic":
        _require(query, "format", LEGEND_FORMATS)
        for name, value in {
            "format": LEGEND_FORMATS[0], "version": VERSIONS["wms"][0], "sld_version": "1.1.0",
        }.items():  # fmt: skip
            query[name] = query.get(name) or value
    elif operation == "getfeatureinfo":
        _require(query, "info_format", INFO_FORMATS)
        query["format"] = PICTURE_FORMATS[0]  # of no consequence, but OWSLib says "None"
    else:
        query.pop("format", None)  # WMS 1.3.0, 7.2.3.1: another one than XML counts as XML


def _settle_wcs(query: MultiDict[str, str]) -> None:
    operation, version = operation_of(query), query.get("version", "")
    query.pop("exceptions", None)
    if version.startswith("1.1"):  # unusable in MapServer
        if operation != "getcapabilities":
            offered = ", ".join(VERSIONS["wcs"])
            raise InvalidValueError(f"there is no WCS {version[:20]} ({offered})", "version")
        query["version"] = "1.0.0"  # the next lower one, as the negotiation wants it
    if accepted := query.get("acceptversions"):
        kept = [item for item in accepted.split(",") if not item.strip().startswith("1.1")]
        if not kept:
            raise OwsError(
                "VersionNegotiationFailed", f"no version of {accepted[:80]!r}", "acceptversions"
            )
        query["acceptversions"] = ",".join(kept)
    if operation == "getcoverage":
        major = "1" if version.startswith("1") else "2"
        _require(query, "format", COVERAGE_FORMATS[major])
        _require(query, "mediatype", (MULTIPART,))
        if major == "2":
            _set_time(query)
        _check_axes(query.getlist("subset"))


def _set_time(query: MultiDict[str, str]) -> None:
    """Take the time out of the subsets, and ask for it as WMS and WCS 1.0.0 do."""
    subsets = query.getlist("subset")
    times = [found for subset in subsets if (found := TIME_SUBSET.fullmatch(subset))]
    if len(times) > 1:
        raise OwsError("InvalidAxisLabel", "there are several subsets of time", "subset")
    for found in times:
        query.setlist("subset", [subset for subset in subsets if subset != found.string])
        query["time"] = "/".join(value for value in found.groups() if value)


def _check_axes(subsets: Iterable[str]) -> None:
    """Refuse an axis that no coverage has, or twice: MapServer calls some of them otherwise."""
    found = [subset.partition("(")[0].partition(",")[0].strip().lower() for subset in subsets]
    axes = [next((axis for axis in AXES if name in AXES[axis]), "") for name in found]
    if "" in axes or len(set(axes)) < len(axes):
        raise OwsError("InvalidAxisLabel", f"no such axes: {', '.join(found)[:80]}", "subset")


def _check_feature_format(name: str) -> None:
    if name and re.sub(r"\s", "", name).lower() not in FEATURE_FORMATS:
        raise _no_format(name, "outputFormat")


def _require(query: MultiDict[str, str], name: str, offered: Iterable[str]) -> None:
    """Refuse a value that is not offered."""
    for value in query.getlist(name):
        if value and value.lower() not in offered:
            raise _no_format(value, name)


def _no_format(value: str, name: str) -> OwsError:
    return OwsError("InvalidFormat", f"{name} {value[:80]!r} is not offered", name)


def kind_of_xml(body: bytes) -> Kind | None:
    """Return the service that a request in XML is for, as far as can be told without a parser."""
    start = body[:START_BYTES].replace(b"'", b'"')
    return next((kind for name, kind in NAMESPACES.items() if f'"{name}"'.encode() in start), None)


def version_of_xml(body: bytes) -> str:
    """Return the version that a request in XML names, if any."""
    found = VERSION.search(body[:START_BYTES])
    return found[1].decode() if found else ""


def settle_xml(body: bytes, kind: Kind | None) -> tuple[Kind, list[str]]:
    """Check a request in XML, and return its service and the coverages that it names.

    Raises
    ------
    OwsError, InvalidValueError
        If something is asked for that is not offered.
    """
    root = feature_query.check_xml(body)
    name = etree.QName(root)
    asked = NAMESPACES.get(name.namespace or "")
    service = root.get("service", asked or "")
    if asked is None or service.lower() != asked or kind not in {None, asked}:
        raise InvalidValueError(f"there is no service {service[:80]!r} here for this", "service")
    if name.localname not in OPERATIONS[asked]:
        message = f"{asked.upper()} has no {name.localname[:80]!r}"
        raise OwsError("OperationNotSupported", message, "request")
    if asked == "wfs":
        _check_feature_format(root.get("outputFormat", ""))
        return asked, []
    texts: dict[str, list[str]] = {"format": [], "mediatype": [], "coverageid": []}
    for element in root.iter():
        texts.get(etree.QName(element).localname.lower(), []).append((element.text or "").strip())
    query = MultiDict((name, value) for name in texts for value in texts[name])
    major = "2" if name.namespace == "http://www.opengis.net/wcs/2.0" else "1"
    _require(query, "format", COVERAGE_FORMATS[major])
    _require(query, "mediatype", (MULTIPART,))
    return asked, texts["coverageid"]
