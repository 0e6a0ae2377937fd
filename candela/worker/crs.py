"""Names of coordinate reference systems that come from outside."""

from candela.contract.names import is_crs_name
from candela.eo.reference_system import reference_system
from candela.errors import InputError


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
    reference_system(name, "the bounding box")
