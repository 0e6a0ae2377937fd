"""How MapServer is told of polygons: the part of a map file that rasters have otherwise.

NOTE: MapServer writes empty elements where a value is missing, which no schema allows for numbers;
the gateway takes them out. It cannot tell a missing text from an empty one.
"""

from pathlib import Path

from candela.contract.layers import DEGREE_DIGITS, GEOMETRY, ID, VectorHeader
from candela.publish.drawing import drawn_polygons
from candela.publish.metadata import ATTRIBUTION, keywords
from candela.publish.offers import GEOJSON
from candela.publish.record import LayerRecord
from candela.publish.styles import PolygonStyle
from candela.publish.syntax import block, metadata, numbers, projection, quote
from candela.publish.systems import all_systems, own_systems

FEATURES_FILE = "features.gpkg"  # beside a layer's map files
GEOJSON_NAME = "geojson"  # what the output format is called in map files
MOST_IN_ANSWER = 50_000  # features; more are asked for page by page
NAMESPACE = ("candela", "urn:candela:layers")  # prefix and name
LEAST_EXTENT = 1e-9  # of a map, in units of its system: a box must have an area


def polygon_layer(record: LayerRecord, path: Path, *, is_drawn: bool, is_wfs: bool) -> str:
    """Write the layer of a map file.

    Parameters
    ----------
    path : Path
        The GeoPackage with the polygons, in a table that is called like the layer.
    is_drawn : bool
        Whether the map file is for pictures.
    is_wfs : bool
        Whether it is for features.
    """
    header, style = record.polygons, record.style
    assert header is not None
    assert isinstance(style, PolygonStyle)
    return block(
        "LAYER",
        f"NAME {quote(record.layer.name)}",
        "TYPE POLYGON",
        "STATUS ON",
        "CONNECTIONTYPE OGR",
        f"CONNECTION {quote(str(path))}",
        f"DATA {quote(record.layer.name)}",
        'TEMPLATE "none"',  # whatever it says, it makes the layer answer GetFeatureInfo and WFS
        "TOLERANCE 0",
        projection(header.epsg),
        f"EXTENT {numbers(with_area(header.extent))}",
        metadata(_metadata(record, header, is_wfs=is_wfs)),
        *(drawn_polygons(style) if is_drawn else []),
    )


def with_area(
    extent: tuple[float, float, float, float],
) -> tuple[float, float, float, float]:
    """Return a box that holds another one and has an area."""
    left, bottom, right, top = extent
    return left, bottom, max(right, left + LEAST_EXTENT), max(top, bottom + LEAST_EXTENT)


def _metadata(record: LayerRecord, header: VectorHeader, *, is_wfs: bool) -> dict[str, str]:
    layer = record.layer
    lineage = {"wms_dataurl_href": layer.lineage, "wms_dataurl_format": "text/html"}
    if is_wfs:  # in others it keeps MapServer from writing metadata of its own
        lineage = {
            "wfs_metadataurl_href": layer.lineage, "wfs_metadataurl_format": "text/html",
            "wfs_metadataurl_type": "TC211",
        }  # fmt: skip
    return {
        "ows_title": layer.title,
        "ows_abstract": layer.abstract,
        "wfs_abstract": f"{layer.abstract} {ATTRIBUTION}.".strip(),
        "ows_keywordlist": ",".join(keywords(record)),
        "wms_attribution_title": ATTRIBUTION,
        "wms_srs": " ".join(own_systems(header)),
        "wms_include_items": "all",
        "wms_exclude_items": "fid",
        "wfs_srs": " ".join(all_systems(header)),
        "wfs_getfeature_formatlist": GEOJSON_NAME,
        "wfs_geometry_precision": str(header.digits),
        "wfs_extent": numbers(with_area(header.extent)),
        "gml_include_items": "all",
        "gml_exclude_items": "fid",
        "gml_featureid": ID,
        "gml_types": "auto",
        "gml_geometries": GEOMETRY,
        f"gml_{GEOMETRY}_type": header.geometry.lower(),
        f"gml_{GEOMETRY}_occurances": "1,1",
        **(lineage if layer.lineage else {}),
    }


def wfs_metadata() -> dict[str, str]:
    """Write what a WFS says of itself beside what all services do."""
    prefix, name = NAMESPACE
    return {
        "wfs_namespace_prefix": prefix,
        "wfs_namespace_uri": name,
        "wfs_maxfeatures": str(MOST_IN_ANSWER),
        "wfs_maxfeatures_ignore_for_resulttype_hits": "true",
    }


def geojson_format() -> str:
    """Write the output format of GeoJSON."""
    return block(
        "OUTPUTFORMAT",
        f"NAME {quote(GEOJSON_NAME)}",
        'DRIVER "OGR/GEOJSON"',
        f"MIMETYPE {quote(GEOJSON)}",
        'FORMATOPTION "STORAGE=stream"',
        'FORMATOPTION "FORM=simple"',
        f'FORMATOPTION "LCO:COORDINATE_PRECISION={DEGREE_DIGITS}"',
        'FORMATOPTION "FILENAME=features.geojson"',
    )
