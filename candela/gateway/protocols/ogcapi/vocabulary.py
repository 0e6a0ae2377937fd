"""Media types, link relations and conformance classes of OGC API - Processes."""

from typing import Any, Final

JSON: Final = "application/json"
HTML: Final = "text/html"
TEXT: Final = "text/plain"
XML: Final = "text/xml"
OPENAPI: Final = "application/vnd.oai.openapi+json;version=3.0"

_RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0"
CONFORMANCE: Final = f"{_RELATIONS}/conformance"
EXCEPTIONS: Final = f"{_RELATIONS}/exceptions"
EXECUTE: Final = f"{_RELATIONS}/execute"
JOB_LIST: Final = f"{_RELATIONS}/job-list"
PROCESSES: Final = f"{_RELATIONS}/processes"
RESULTS: Final = f"{_RELATIONS}/results"

_CLASSES = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf"
CONFORMS_TO: Final = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    *(
        f"{_CLASSES}/{name}"
        for name in (
            "core",
            "ogc-process-description",
            "json",
            "html",
            "oas30",
            "job-list",
            "dismiss",
            "callback",
        )
    ),
)

CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"

Document = dict[str, Any]  # JSON


def link(href: str, relation: str, media_type: str = JSON, title: str = "") -> Document:
    """Return a link (link.yaml)."""
    found = {"href": href, "rel": relation, "type": media_type}
    return found | ({"title": title} if title else {})


def self_links(href: str, title: str = "") -> list[Document]:
    """Return the links of a resource to itself, as JSON and as a page."""
    mark = "&" if "?" in href else "?"
    return [
        link(href, "self", JSON, title),
        link(f"{href}{mark}f=html", "alternate", HTML, "This document as a page"),
    ]
