"""The coordinate reference systems in which layers are offered beside their own."""

from candela.contract.layers import RasterHeader, VectorHeader

COMMON = ("EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:2154")  # of all layers
NORTH, SOUTH = 32600, 32700  # WGS 84 / UTM, less the zone
ZONES = 60


def own_systems(header: RasterHeader | VectorHeader) -> list[str]:
    """Return the system of a layer and its UTM zone, or the zones beside it."""
    codes = [header.epsg]
    base, zone = header.epsg // 100 * 100, header.epsg % 100
    if base in {NORTH, SOUTH} and 1 <= zone <= ZONES:
        codes += [base + (zone - 2) % ZONES + 1, base + zone % ZONES + 1]
    else:
        west, south, east, north = header.bounds
        zone = int(((west + east) / 2 + 180) // 6) % ZONES + 1
        codes.append((NORTH if south + north >= 0 else SOUTH) + zone)
    return [f"EPSG:{code}" for code in codes]


def all_systems(header: RasterHeader | VectorHeader) -> list[str]:
    """Return all systems in which a layer is offered, its own one first."""
    return list(dict.fromkeys((*own_systems(header), *COMMON)))
