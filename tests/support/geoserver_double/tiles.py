"""The tile cache: it keeps the tiles of every new layer, and asks nobody who may see them."""

from lxml import etree

GRIDS = ("EPSG:4326", "EPSG:900913")


def new_tile_layer(name: str) -> str:
    """Write what GeoServer makes for a layer."""
    root = etree.Element("GeoServerLayer")
    etree.SubElement(root, "enabled").text = "true"
    etree.SubElement(root, "name").text = name
    subsets = etree.SubElement(root, "gridSubsets")
    for grid in GRIDS:
        etree.SubElement(etree.SubElement(subsets, "gridSubset"), "gridSetName").text = grid
    style = etree.SubElement(etree.SubElement(root, "parameterFilters"), "styleParameterFilter")
    etree.SubElement(style, "key").text = "STYLES"
    return etree.tostring(root, encoding="unicode")


def times_of(document: str) -> list[str]:
    """Return what TIME may be for a layer; the first is the default."""
    for found in etree.fromstring(document).iterfind("parameterFilters/stringParameterFilter"):
        if found.findtext("key") == "TIME":
            return [
                found.findtext("defaultValue"),
                *(v.text for v in found.iterfind("values/string")),
            ]
    return []
