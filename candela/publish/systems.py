"""The coordinate reference systems in which a layer is offered beside its own."""

from collections.abc import Iterable

from candela.publish.features import VectorHeader
from candela.publish.header import RasterHeader

WEB = (4326, 3857)
EUROPEAN = (3035, 2154)  # ETRS89 / LAEA Europe, RGF93 / Lambert-93
NORTH, SOUTH = 32600, 32700  # WGS 84 / UTM, less the zone
ZONES = 60


def systems(headers: Iterable[RasterHeader | VectorHeader]) -> list[str]:
    """Return all systems in which layers are offered, with EPSG; those of the first one first."""
    codes = [code for header in headers for code in (header.epsg, *_utm(header))]
    return [f"EPSG:{code}" for code in dict.fromkeys((*codes, *WEB, *EUROPEAN))]


def _utm(header: RasterHeader | VectorHeader) -> list[int]:
    """Return the UTM zone of a layer, or those beside its own: scenes at an edge are mixed."""
    base, zone = header.epsg // 100 * 100, header.epsg % 100
    if base not in {NORTH, SOUTH} or not 1 <= zone <= ZONES:
        west, south, east, north = header.bounds
        base = NORTH if south + north >= 0 else SOUTH
        zone = int(((west + east) / 2 + 180) // 6) % ZONES + 1
        return [base + zone]
    return [base + (zone - 2) % ZONES + 1, base + zone % ZONES + 1]
