"""Coordinate reference systems that documents name or define.

PROJ and GDAL take almost any text for a reference system, also the name of a file or an address,
which they open. Nothing else in the project makes one of text that comes from outside.
"""

import re

from rasterio.crs import CRS
from rasterio.errors import CRSError

from candela.errors import InputError

LONGITUDE_LATITUDE = CRS.from_epsg(4326)
AUTHORITIES = frozenset({"EPSG", "ESRI", "IGNF", "OGC", "IAU_2015"})

_EPSG_OF_OLD = {"900913": "3857", "3785": "3857", "54004": "3395"}  # what programs wrote before
_WGS84 = re.compile(r"(?:.*[:/#])?CRS:?84h?|WGS ?84", re.IGNORECASE)
_PLAIN = re.compile(r"(?P<authority>[a-z]\w*):+(?P<code>\w+)", re.IGNORECASE | re.ASCII)
_URN = re.compile(
    r"urn:(?:x-)?ogc:def:crs:(?P<authority>[a-z]\w*):(?:[\w.]*:)?(?P<code>\w+)"
    r"|urn:EPSG:[a-z]+CRS:(?P<c1>\d+)",
    re.IGNORECASE | re.ASCII,
)
_ADDRESS = re.compile(
    r"https?://(?:www\.)?(?:"
    r"opengis\.net/def/crs/(?P<a>[a-z]\w*)/[\w.]+/(?P<c1>\w+)"
    r"|opengis\.net/gml/srs/epsg\.xml#(?P<c2>\d+)"
    r"|epsg\.io/(?P<c3>\d+)"
    r"|spatialreference\.org/ref/(?P<b>[a-z]\w*)/(?P<c4>\w+)(?:/\w*)*"
    r")/?",
    re.IGNORECASE | re.ASCII,
)
_WELL_KNOWN_TEXT = re.compile(
    r"\s*(?:GEOGCS|PROJCS|COMPD_CS|BOUNDCRS|COMPOUNDCRS|"
    r"GEOG(?:RAPHIC|DETIC|)CRS|GEODCRS|GEODETICCRS|PROJ(?:ECTED)?CRS)\s*[\[(]",
    re.IGNORECASE,
)
# Of a definition: the files that PROJ would open for it. "@null" names none.
_GRID_FILE = re.compile(r"grids\s*=\s*(?!@null\b)|PARAMETERFILE", re.IGNORECASE)


def reference_system(text: str, where: str) -> CRS:
    """Return the coordinate reference system that a document names or defines.

    Parameters
    ----------
    text : str
        The name that an authority gives it, in any of the usual spellings (``EPSG:32631``,
        ``urn:ogc:def:crs:OGC:1.3:CRS84``, ``http://www.opengis.net/def/crs/EPSG/0/32631``), or a
        definition in well-known text. The order of its axes is ignored: always x, y.
    where : str
        What messages call the document.

    Raises
    ------
    InputError
        If it is neither, unknown, names files, or is neither geographic nor projected.
    """
    crs = _well_known(text, where) if _WELL_KNOWN_TEXT.match(text) else _named(text, where)
    if not crs.is_geographic and not crs.is_projected:
        raise _refusal(where, f"{_shown(text)}, which is neither geographic nor projected")
    return crs


def _well_known(text: str, where: str) -> CRS:
    if _GRID_FILE.search(text):
        raise _refusal(where, "a definition that names files, which is not accepted")
    try:
        return CRS.from_wkt(text)
    except CRSError:
        raise _refusal(where, f"{_shown(text)}, a damaged definition") from None


def _named(text: str, where: str) -> CRS:
    name = _authority_name(text.strip())
    if name is None:
        raise _refusal(where, _shown(text))
    try:
        return CRS.from_user_input(name)
    except (CRSError, ValueError):
        raise _refusal(where, _shown(text), "unknown ") from None


def _refusal(where: str, found: str, kind: str = "") -> InputError:
    return InputError(
        f"{where} has the {kind}reference system {found} (expected a name such as EPSG:32631)"
    )


def _authority_name(text: str) -> str | None:
    """Return ``AUTHORITY:code``, or None if the text is not the name of an authority."""
    if text.isascii() and text.isdecimal():
        text = f"EPSG:{text}"
    if _WGS84.fullmatch(text):
        return "EPSG:4326"
    found = _PLAIN.fullmatch(text) or _URN.fullmatch(text) or _ADDRESS.fullmatch(text)
    if found is None:
        return None
    groups = found.groupdict()
    authority = next((groups[name] for name in ("authority", "a", "b") if groups.get(name)), "EPSG")
    code = next(text for name, text in groups.items() if text and name[0] == "c")
    if authority.upper() not in AUTHORITIES:
        return None
    return f"{authority.upper()}:{_EPSG_OF_OLD.get(code, code)}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
