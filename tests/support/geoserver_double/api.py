"""What GeoServer's published API descriptions allow, in our own words.

After doc/en/api/1.0.0/{workspaces,coveragestores,coverages,structuredcoverages,datastores,
featuretypes,styles,layers,layergroups,security,gwcmasstruncate}.yaml of GeoServer 2.2x and, where
these are silent, its REST controllers. The double refuses whatever is not here, and remembers it as
a violation.
"""

import re
from dataclasses import dataclass

JSON, XML, TEXT_XML, PLAIN = "application/json", "application/xml", "text/xml", "text/plain"
DOCUMENTS = frozenset({JSON, XML, TEXT_XML, "text/json"})
SLD = "application/vnd.ogc.sld+xml"
ZIP = "application/zip"


@dataclass(frozen=True)
class Operation:
    """What may be asked: the media types of the body, and the names in the query."""

    consumes: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()


def _operation(consumes: frozenset[str] = frozenset(), *query: str) -> Operation:
    return Operation(consumes, frozenset(query))


WMS = Operation(
    query=frozenset(
        "service version request layers query_layers styles srs bbox width height x y"  # noqa: SIM905
        " info_format exceptions time".split()
    )
)
STORE = "/rest/workspaces/{workspace}/coveragestores/{store}"
COVERAGE = f"{STORE}/coverages/{{coverage}}"
DATASTORE = "/rest/workspaces/{workspace}/datastores/{store}"
FEATURE_TYPE = f"{DATASTORE}/featuretypes/{{type}}"
GRANULES = f"{COVERAGE}/index/granules"
OPERATIONS: dict[str, dict[str, Operation]] = {
    "/rest/workspaces": {"GET": _operation(), "POST": _operation(DOCUMENTS, "default")},
    "/rest/workspaces/{workspace}": {
        "GET": _operation(frozenset(), "quietOnNotFound"),
        "PUT": _operation(DOCUMENTS),
        "DELETE": _operation(frozenset(), "recurse"),
    },
    "/rest/workspaces/{workspace}/coveragestores": {
        "GET": _operation(),
        "POST": _operation(DOCUMENTS),
    },
    STORE: {
        "GET": _operation(frozenset(), "quietOnNotFound"),
        "PUT": _operation(DOCUMENTS),
        "DELETE": _operation(frozenset(), "purge", "recurse"),
    },
    f"{STORE}/{{method}}.{{format}}": {
        "PUT": _operation(
            frozenset({PLAIN, ZIP, "image/tiff"}), "configure", "coverageName", "filename"
        ),
        "POST": _operation(frozenset({PLAIN, ZIP, "image/tiff"}), "filename", "updateBBox"),
    },
    "/rest/workspaces/{workspace}/coverages": {"GET": _operation(frozenset(), "list")},
    f"{STORE}/coverages": {
        "GET": _operation(frozenset(), "list"),
        "POST": _operation(DOCUMENTS),
    },
    COVERAGE: {
        "GET": _operation(frozenset(), "quietOnNotFound"),
        "PUT": _operation(DOCUMENTS, "calculate"),
        "DELETE": _operation(frozenset(), "recurse"),
    },
    GRANULES: {
        "GET": _operation(frozenset(), "filter", "offset", "limit"),
        "DELETE": _operation(frozenset(), "filter", "purge", "updateBBox"),
    },
    "/rest/workspaces/{workspace}/datastores": {
        "GET": _operation(),
        "POST": _operation(DOCUMENTS),
    },
    DATASTORE: {
        "GET": _operation(frozenset(), "quietOnNotFound"),
        "PUT": _operation(DOCUMENTS),
        "DELETE": _operation(frozenset(), "recurse"),
    },
    "/rest/workspaces/{workspace}/featuretypes": {
        "GET": _operation(frozenset(), "list"),
        "POST": _operation(DOCUMENTS),
    },
    f"{DATASTORE}/featuretypes": {
        "GET": _operation(frozenset(), "list"),
        "POST": _operation(DOCUMENTS),
    },
    FEATURE_TYPE: {
        "GET": _operation(frozenset(), "quietOnNotFound"),
        "PUT": _operation(DOCUMENTS, "recalculate"),
        "DELETE": _operation(frozenset(), "recurse"),
    },
    "/rest/workspaces/{workspace}/styles": {
        "GET": _operation(),
        "POST": _operation(DOCUMENTS | {SLD, ZIP}, "name", "raw"),
    },
    "/rest/workspaces/{workspace}/styles/{style}": {
        "GET": _operation(frozenset(), "quietOnNotFound"),
        "PUT": _operation(DOCUMENTS | {SLD, ZIP}, "raw"),
        "DELETE": _operation(frozenset(), "purge", "recurse"),
    },
    "/rest/layers": {"GET": _operation()},
    "/rest/layers/{layer}": {
        "GET": _operation(frozenset(), "quietOnNotFound"),
        "PUT": _operation(DOCUMENTS),
        "DELETE": _operation(frozenset(), "recurse"),
    },
    "/rest/workspaces/{workspace}/layergroups": {
        "GET": _operation(),
        "POST": _operation(DOCUMENTS),
    },
    "/rest/workspaces/{workspace}/layergroups/{group}": {
        "GET": _operation(frozenset(), "quietOnNotFound"),
        "PUT": _operation(DOCUMENTS),
        "DELETE": _operation(),
    },
    "/rest/security/acl/layers": {
        "GET": _operation(),
        "POST": _operation(DOCUMENTS),
        "PUT": _operation(DOCUMENTS),
    },
    "/rest/security/acl/layers/{rule}": {"DELETE": _operation()},
    "/gwc/rest/layers": {"GET": _operation()},
    "/gwc/rest/layers/{layer}": {
        "GET": _operation(),
        "PUT": _operation(frozenset({TEXT_XML, XML})),
        "DELETE": _operation(),
    },
    "/rest/resource/{path}": {"DELETE": _operation()},
    "/{workspace}/wms": {"GET": WMS},
    "/gwc/rest/masstruncate": {
        "GET": _operation(),
        "POST": _operation(frozenset({TEXT_XML, XML}), "requestType", "layer"),
    },
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PROPERTIES: dict[str, frozenset[str]] = {
    "workspace": frozenset({"name", "isolated"}),
    "coverageStore": frozenset(
        {"name", "description", "type", "enabled", "workspace", "url", "metadata", "coverages"}
    ),
    "coverage": _words(
        "name nativeName nativeCoverageName namespace title abstract description keywords"
        " metadataLinks dataLinks nativeCRS srs nativeBoundingBox latLonBoundingBox"
        " projectionPolicy enabled advertised metadata store nativeFormat grid supportedFormats"
        " interpolationMethods defaultInterpolationMethod dimensions requestSRS responseSRS"
        " parameters"
    ),
    "dataStore": _words(
        "name description type enabled workspace connectionParameters metadata featureTypes"
        " _default"
    ),
    "featureType": _words(
        "name nativeName namespace title abstract keywords metadataLinks dataLinks nativeCRS srs"
        " nativeBoundingBox latLonBoundingBox projectionPolicy enabled advertised metadata store"
        " cqlFilter maxFeatures numDecimals padWithZeros forcedDecimal responseSRS"
        " overridingServiceSRS skipNumberMatched circularArcPresent linearizationTolerance"
        " attributes"
    ),
    "layer": _words(
        "name path type defaultStyle styles resource opaque metadata attribution authorityURLs"
        " identifiers enabled advertised queryable"
    ),
    "layerGroup": _words(
        "name mode title abstractTxt workspace publishables styles bounds metadata keywords"
    ),
}  # of a document of that name; XStream refuses any other
REQUIRED = {
    "workspace": {"name"},
    "coverageStore": {"name", "type"},
    "dataStore": {"name"},
}  # of a new one


def _pattern(template: str) -> re.Pattern[str]:
    """Make a pattern of a path; ``.json`` and ``.xml`` may follow a name."""
    literal = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+?)", re.escape(template))
    if "{path}" in template:
        return re.compile(literal.replace("[^/]+?", ".+"))
    suffix = "" if "{format}" in template else r"(?:\.(?P<suffix>json|xml))?"
    return re.compile(literal + suffix)


PATTERNS = [
    (template, _pattern(template))
    for template in sorted(OPERATIONS, key=lambda t: (t.count("{format}"), t.count("{")))
]


def find(path: str) -> tuple[str, dict[str, str]] | None:
    """Return the template that a path follows, and its parts."""
    fits = [
        (template, match.groupdict())
        for template, pattern in PATTERNS
        if (match := pattern.fullmatch(path))
    ]
    upload = [fit for fit in fits if fit[1].get("format") not in {None, "json", "xml"}]
    return (upload or fits or [None])[0]
