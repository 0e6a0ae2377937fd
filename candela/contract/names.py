"""Names of files that come from outside."""

import re
from email.message import Message
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

from candela.eo.file_names import file_name

safe_name = file_name  # what servers and addresses say is no more to be trusted than documents
SUFFIXES = {
    "raster": ".tif",
    "product": ".zip",
    "json": ".json",
    "geojson": ".geojson",
    "vector": ".geojson",
    "geopackage": ".gpkg",
    "csv": ".csv",
    "png": ".png",
    "zip": ".zip",
    "xml": ".xml",
    "text": ".txt",
    "mixed": "",
}  # by complex type
MEDIA_SUFFIXES = {
    "image/jp2": ".jp2",
    "application/geopackage+sqlite3": ".gpkg",
    "application/zip": ".zip",
    "application/x-zipped-shp": ".zip",
}  # of media types that are not the first one of their complex type
_CRS_NAME = re.compile(
    r"([a-z]+:\w+"
    r"|urn:(x-)?ogc:def:crs:[a-z]+:[\w.]*:?\w+"
    r"|https?://www\.opengis\.net/def/crs/[a-z]+/[\w.]+/\w+)",
    re.IGNORECASE,
)


def layer_name(process: str, job_id: str, output: str) -> str:
    """Return the name of the layer that an output becomes: letters, digits and ``_`` only."""
    return f"{process}_{job_id}_{output}".replace("-", "_")


def suffix_of(kind: str, media_type: str | None) -> str:
    """Return the suffix that fits a complex type, or its media type where that says more."""
    return MEDIA_SUFFIXES.get(media_type or "", SUFFIXES[kind])


def disposition_name(header: str) -> str:
    """Return the file name in a Content-Disposition header (RFC 6266), or nothing."""
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename() or ""


def address_name(url: str) -> str:
    """Return the last part of an address's path, or nothing."""
    return PurePosixPath(unquote(urlsplit(url).path)).name


def without_secrets(url: str) -> str:
    """Return an address without user, password, query and fragment: what anybody may be shown.

    Which parameters are signatures or keys only their server knows, so none is shown.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # no address that could be fetched
        return url.partition("?")[0].rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def parts_below(href: str, address: str) -> list[str] | None:
    """Return the decoded parts of an address that lies below another; None where it does not."""
    base = f"{address.rstrip('/')}/"
    if not address or not href.startswith(base):
        return None
    return [unquote(part) for part in href[len(base) :].split("/")]


def is_crs_name(name: str) -> bool:
    """Tell whether this may be an authority's name of a coordinate reference system."""
    return _CRS_NAME.fullmatch(name) is not None
