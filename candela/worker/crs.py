"""Names of coordinate reference systems that come from outside."""

from rasterio.crs import CRS
from rasterio.errors import CRSError

from candela.errors import InputError
from candela.worker.names import is_crs_name


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
    if not is_crs_name(name):
        raise InputError(f"{name!r} is no coordinate reference system ({expected})")
    try:
        crs = CRS.from_user_input(name)
    except CRSError:
        raise InputError(
            f"{name!r} is no coordinate reference system that is known here ({expected})"
        ) from None
    if not crs.is_geographic and not crs.is_projected:
        raise InputError(f"{name!r} is neither geographic nor projected ({expected})")
