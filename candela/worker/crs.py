"""Names of coordinate reference systems that come from outside."""

import re

from rasterio.crs import CRS
from rasterio.errors import CRSError

from candela.errors import InputError

_NAME = re.compile(
    r"([a-z]+:\w+"
    r"|urn:(x-)?ogc:def:crs:[a-z]+:[\w.]*:?\w+"
    r"|https?://www\.opengis\.net/def/crs/[a-z]+/[\w.]+/\w+)",
    re.IGNORECASE,
)


def check_crs(name: str) -> None:
    """Refuse what names no coordinate reference system in a plane.

    Only the names of authorities are taken (``EPSG:32631``, or as URN or URI of the OGC): GDAL
    would also open files and addresses for a definition.

    Raises
    ------
    InputError
        If it is unknown, or neither geographic nor projected.
    """
    expected = "expected a name such as EPSG:32631"
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no coordinate reference system ({expected})")
    try:
        crs = CRS.from_user_input(name)
    except CRSError:
        raise InputError(
            f"{name!r} is no coordinate reference system that is known here ({expected})"
        ) from None
    if not crs.is_geographic and not crs.is_projected:
        raise InputError(f"{name!r} is neither geographic nor projected ({expected})")
