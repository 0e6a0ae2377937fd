"""Map files: how MapServer is told of layers. Pure functions from records to text.

Each layer has three services, because one map file cannot serve all three well: ``wms`` draws with
the style's classes and small images, ``wcs`` gives large float coverages (of polygons ``wfs`` gives
features), ``info`` answers GetFeatureInfo with the values of all bands.

NOTE: GetFeatureInfo on classes kills MapServer before 8.6 where a pixel is NaN
(https://github.com/MapServer/MapServer/pull/7479); ``info`` has no classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from candela.contract.layers import RasterHeader, VectorHeader
from candela.publish.drawing import all_values, drawing, drawn_raster
from candela.publish.metadata import ATTRIBUTION, KEYWORDS, isotime, keywords
from candela.publish.offers import (
    COVERAGE_FORMAT,
    COVERAGE_NAME,
    INFO_FORMATS,
    OPAQUE_PNG,
    OPERATIONS,
    PICTURE_FORMATS,
)
from candela.publish.polygonmap import (
    FEATURES_FILE,
    geojson_format,
    polygon_layer,
    wfs_metadata,
    with_area,
)
from candela.publish.record import LayerRecord
from candela.publish.series import Series
from candela.publish.shapefile import Tile
from candela.publish.styles import PolygonStyle
from candela.publish.syntax import block, metadata, numbers, projection, quote
from candela.publish.systems import COMMON, all_systems, own_systems

Purpose = Literal["wms", "wcs", "wfs", "info"]

WMS_MAX_PIXELS = 4096  # side of the largest picture
WCS_MAX_BYTES = 512 * 2**20  # of one coverage before compression; it is made in memory
WORLD = (-180.0, -90.0, 180.0, 90.0)
IMAGE_MODES = {"uint8": "BYTE", "int16": "INT16"}  # NOTE: there is no UINT16, FLOAT32 holds it
DEGREES = block("PROJECTION", '"+proj=longlat"', '"+datum=WGS84"', '"+no_defs"')
PLACEHOLDER = "no-layer"
MISSING = "http://www.opengis.net/def/nil/OGC/0/missing"


@dataclass(frozen=True)
class Provider:
    """Who answers for the services; what is empty is not told."""

    organization: str = ""
    person: str = ""
    position: str = ""
    phone: str = ""
    email: str = ""


@dataclass(frozen=True)
class Service:
    """What a map file says of itself, and where layers have files of their own."""

    url: str
    title: str
    abstract: str
    layers_folder: Path
    provider: Provider = Provider()


@dataclass(frozen=True)
class SeriesFile:
    """A time series, and the shapefile (without suffix) that lists its rasters."""

    series: Series
    index: Path


def purposes_of(record: LayerRecord) -> tuple[Purpose, ...]:
    """Return what a layer has map files for."""
    return ("wms", "wfs", "info") if record.polygons else ("wms", "wcs", "info")


def tiles_of(series: Series) -> list[Tile]:
    """Return the rasters of a series for its index."""
    return [
        Tile(
            record.header.extent,
            str(record.layer.path),
            isotime(record.time or record.published),
        )
        for record in series.records
    ]


def map_text(
    service: Service,
    records: Sequence[LayerRecord],
    purpose: Purpose,
    series: Sequence[SeriesFile] = (),
) -> str:
    """Write the map file of a service.

    Parameters
    ----------
    service : Service
        Its public address and title.
    records : sequence of LayerRecord
        The layers, the first one at the bottom; those that do not serve the purpose are left out.
    purpose : {"wms", "wcs", "wfs", "info"}
        What the map file is for.
    series : sequence of SeriesFile
        Time series, above the layers; a WCS has none, nor has a WFS.
    """
    shown = [] if purpose in {"wcs", "wfs"} else list(series)
    records = [record for record in records if purpose in purposes_of(record)]
    members = [record for item in shown for record in item.series.records]
    headers = [record.header for record in (*records, *members)]
    epsg, extent = _frame(headers, in_degrees=purpose == "wfs")
    return (
        block(
            "MAP",
            'NAME ""',  # so that the root of the capabilities is no layer
            "STATUS ON",
            "SIZE 256 256",
            f"MAXSIZE {_max_pixels(records, purpose)}",
            f"EXTENT {numbers(extent)}",
            # Of a WFS each layer has its own system; a code here would be that of all.
            DEGREES if purpose == "wfs" else projection(epsg),
            'IMAGETYPE "png"',
            # One raster of a series may be removed at this moment; the others are there.
            *(['CONFIG "ON_MISSING_DATA" "IGNORE"'] if shown else []),
            *_output_formats(records, purpose),
            block("WEB", metadata(_service_metadata(service, purpose))),
            *(_layer(record, purpose, service.layers_folder) for record in records),
            *(_series_layer(item, purpose) for item in shown),
            *([] if headers else [_placeholder(purpose)]),
        )
        + "\n"
    )


def _frame(
    headers: Sequence[RasterHeader | VectorHeader], *, in_degrees: bool
) -> tuple[int, tuple[float, ...]]:
    """Return CRS and extent of the map: the layer's own, or the box of all in degrees."""
    if not headers:
        return 4326, WORLD
    places = {(header.epsg, header.extent) for header in headers}
    if len(places) == 1 and not in_degrees:
        return headers[0].epsg, with_area(headers[0].extent)
    west, south, east, north = zip(*(header.bounds for header in headers), strict=True)
    return 4326, with_area((min(west), min(south), max(east), max(north)))


def _max_pixels(records: Sequence[LayerRecord], purpose: Purpose) -> int:
    if purpose != "wcs" or not records:
        return WMS_MAX_PIXELS
    bytes_per_pixel = max(4 * len(record.raster.bands) for record in records)
    return math.isqrt(WCS_MAX_BYTES // bytes_per_pixel)


def _output_formats(records: Sequence[LayerRecord], purpose: Purpose) -> list[str]:
    png = block(
        "OUTPUTFORMAT",
        'NAME "png"',
        'DRIVER "AGG/PNG"',
        'MIMETYPE "image/png"',
        'EXTENSION "png"',
        "IMAGEMODE RGBA",
        "TRANSPARENT ON",
        'FORMATOPTION "COMPRESSION=1"',  # much less work than 6, for a few percent more bytes
    )
    opaque = block(
        "OUTPUTFORMAT",
        'NAME "opaque"',  # with all pixels opaque: "png" keeps those of translucent classes
        'DRIVER "AGG/PNG"',
        f"MIMETYPE {quote(OPAQUE_PNG)}",
        'EXTENSION "png"',
        "IMAGEMODE RGB",
        'FORMATOPTION "COMPRESSION=1"',
    )
    if purpose == "wfs":
        return [png, geojson_format()]
    if purpose != "wcs":
        return [png, opaque]
    modes = {IMAGE_MODES.get(record.raster.dtype, "FLOAT32") for record in records}
    nodata = {record.raster.nodata for record in records}
    missing = nodata.pop() if len(nodata) == 1 else None
    geotiff = block(
        "OUTPUTFORMAT",
        f"NAME {quote(COVERAGE_NAME)}",
        'DRIVER "GDAL/GTiff"',
        f"MIMETYPE {quote(COVERAGE_FORMAT)}",
        'EXTENSION "tif"',
        f"IMAGEMODE {modes.pop() if len(modes) == 1 else 'FLOAT32'}",
        'FORMATOPTION "TILED=YES"',
        'FORMATOPTION "COMPRESS=DEFLATE"',
        'FORMATOPTION "ZLEVEL=1"',
        'FORMATOPTION "BIGTIFF=IF_SAFER"',
        *([f"FORMATOPTION {quote(f'NULLVALUE={missing}')}"] if missing is not None else []),
    )
    return [png, geotiff]


def _service_metadata(service: Service, purpose: Purpose) -> dict[str, str]:
    requests = {
        "wms": " ".join(OPERATIONS["wms"]),
        "info": "GetCapabilities GetFeatureInfo",
        "wcs": "*",
        "wfs": " ".join(OPERATIONS["wfs"]),
    }[purpose]
    provider = service.provider
    told = {
        "ows_contactorganization": provider.organization,
        "ows_contactperson": provider.person,
        "ows_contactposition": provider.position,
        "ows_contactvoicetelephone": provider.phone,
        "ows_contactelectronicmailaddress": provider.email,
    }
    return {
        **{name: value for name, value in told.items() if value},
        "ows_title": service.title,
        "ows_abstract": service.abstract,
        "ows_keywordlist": ",".join(KEYWORDS),
        "ows_onlineresource": service.url,
        "ows_encoding": "UTF-8",
        **({} if purpose == "wfs" else {"ows_srs": " ".join(COMMON)}),
        "ows_fees": "none",
        "ows_accessconstraints": "none",
        "wms_attribution_title": ATTRIBUTION,
        "ows_enable_request": "!*",
        f"{'wms' if purpose == 'info' else purpose}_enable_request": requests,
        "ows_sld_enabled": "false",
        "wms_getmap_formatlist": ",".join((*PICTURE_FORMATS, OPAQUE_PNG)),
        "wms_feature_info_mime_type": "text/plain",
        "wms_getfeatureinfo_formatlist": ",".join(INFO_FORMATS),
        "wcs_label": service.title,
        **(wfs_metadata() if purpose == "wfs" else {}),
    }


def _layer(record: LayerRecord, purpose: Purpose, layers_folder: Path) -> str:
    if record.polygons:
        path = layers_folder / record.layer.name / FEATURES_FILE
        return polygon_layer(record, path, is_drawn=purpose == "wms", is_wfs=purpose == "wfs")
    layer, header, style = record.layer, record.raster, record.style
    assert not isinstance(style, PolygonStyle)
    data = drawn_raster(layer.path, style, header) if purpose == "wms" else str(layer.path)
    return block(
        "LAYER",
        f"NAME {quote(layer.name)}",
        "TYPE RASTER",
        "STATUS ON",
        f"DATA {quote(data)}",
        'TEMPLATE "none"',  # whatever it says, it makes the layer answer GetFeatureInfo
        projection(header.epsg),
        f"EXTENT {numbers(header.extent)}",
        metadata(_layer_metadata(record)),
        *_drawing(record, purpose),
    )


def _placeholder(purpose: Purpose) -> str:
    """Write a layer that capabilities do not list: without any, MapServer has no services.

    No WCS has points, no WFS rasters; out of a WMS it is taken on the way (``ows_answer.py``).
    """
    return block(
        "LAYER",
        f"NAME {quote(PLACEHOLDER)}",
        f"TYPE {'RASTER' if purpose == 'wfs' else 'POINT'}",
        "STATUS ON",
        metadata({"ows_title": PLACEHOLDER, "wms_enable_request": "!* GetCapabilities"}),
    )


def _drawing(shown: LayerRecord | Series, purpose: Purpose) -> list[str]:
    if purpose == "wcs":
        return []
    header = shown.first.raster if isinstance(shown, Series) else shown.raster
    if purpose == "info":
        return all_values(header)
    style = shown.style
    assert not isinstance(style, PolygonStyle)
    return drawing(style, header, shown.shown, shown.legend)


def _series_layer(item: SeriesFile, purpose: Purpose) -> str:
    series = item.series
    header, times = series.first.raster, [isotime(time) for time in series.times]
    return block(
        "LAYER",
        f"NAME {quote(series.name)}",
        "TYPE RASTER",
        "STATUS ON",
        f"TILEINDEX {quote(str(item.index))}",
        'TILEITEM "location"',
        'TEMPLATE "none"',
        projection(header.epsg),
        f"EXTENT {numbers(series.extent)}",
        metadata(
            {
                "ows_title": series.title,
                "ows_abstract": series.abstract,
                "ows_keywordlist": ",".join(keywords(series.first)),
                "wms_attribution_title": ATTRIBUTION,
                "wms_srs": " ".join(own_systems(header)),
                "wms_timeitem": "time",
                "wms_timeextent": ",".join(times),
                "wms_timedefault": times[-1],
                **_items(header),
            }
        ),
        *_drawing(series, purpose),
    )


def _layer_metadata(record: LayerRecord) -> dict[str, str]:
    layer, header = record.layer, record.raster
    coverage = {
        "wcs_label": layer.title,
        "wcs_srs": " ".join(all_systems(header)),
        "wcs_extent": numbers(header.extent),
        "wcs_size": f"{header.cols} {header.rows}",
        "wcs_resolution": numbers(header.resolution),
        "wcs_native_format": COVERAGE_FORMAT,
        "wcs_formats": COVERAGE_NAME,
        "wcs_imagemode": IMAGE_MODES.get(header.dtype, "FLOAT32"),
        "wcs_bandcount": str(len(header.bands)),
        "wcs_band_names": " ".join(header.bands),
        "wcs_band_uom": "1",
        "wcs_rangeset_name": "values",
        "wcs_rangeset_label": layer.title,
    }
    for band in header.bands:
        coverage[f"{band}_band_uom"] = "1"
    if header.nodata is not None:
        coverage["wcs_nilvalues"] = header.nodata
        coverage["wcs_nilvalues_reasons"] = MISSING
    if layer.lineage:
        coverage |= {"wms_dataurl_href": layer.lineage, "wms_dataurl_format": "text/html"}
    return {
        "ows_title": layer.title,
        "ows_abstract": layer.abstract,
        "ows_keywordlist": ",".join(keywords(record)),
        "wms_attribution_title": ATTRIBUTION,
        "wms_srs": " ".join(own_systems(header)),
        **_items(header),
        **coverage,
    }


def _items(header: RasterHeader) -> dict[str, str]:
    """Write what GetFeatureInfo gives, and the names of the bands for it."""
    items = ",".join(("x", "y", *(f"value_{index}" for index in range(len(header.bands)))))
    return {
        "wms_include_items": items,
        "gml_include_items": items,
        **{f"gml_value_{index}_alias": band for index, band in enumerate(header.bands)},
    }
