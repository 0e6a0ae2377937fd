"""Map files: how MapServer is told of layers. Pure functions from records to text.

Each layer has three services, because one map file cannot serve all three well: ``wms`` draws with
the style's classes and small images, ``wcs`` gives large float coverages, ``info`` answers
GetFeatureInfo with the values of all bands.

NOTE: GetFeatureInfo on classes kills MapServer before 8.6 where a pixel is NaN
(https://github.com/MapServer/MapServer/pull/7479); ``info`` has no classes.
"""

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from candela.publish.header import RasterHeader
from candela.publish.record import LayerRecord
from candela.publish.styles import (
    CLASS_STEPS,
    ClassStyle,
    CompositeStyle,
    GreyStyle,
    Range,
)

Purpose = Literal["wms", "wcs", "info"]
PURPOSES: tuple[Purpose, ...] = ("wms", "wcs", "info")

ATTRIBUTION = "contains modified Copernicus Sentinel data"
WMS_MAX_PIXELS = 4096  # side of the largest picture
WCS_MAX_BYTES = 512 * 2**20  # of one coverage before compression; it is made in memory
WORLD = (-180.0, -90.0, 180.0, 90.0)
WEB_CRS = ("EPSG:4326", "EPSG:3857")
IMAGE_MODES = {"uint8": "BYTE", "int16": "INT16"}  # NOTE: there is no UINT16, FLOAT32 holds it
MISSING = "http://www.opengis.net/def/nil/OGC/0/missing"


@dataclass(frozen=True)
class Service:
    """What a map file says of itself."""

    url: str
    title: str
    abstract: str


def quote(text: str) -> str:
    """Make a map file's string of any text.

    Control characters, which XML cannot hold, become spaces.
    """
    clean = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]+", " ", text)
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def block(keyword: str, *lines: str) -> str:
    """Put lines between a keyword and END."""
    return "\n".join((keyword, *(textwrap.indent(line, "  ") for line in lines), "END"))


def metadata(values: dict[str, str]) -> str:
    """Write a METADATA block."""
    return block("METADATA", *(f"{quote(key)} {quote(value)}" for key, value in values.items()))


def map_text(service: Service, records: Sequence[LayerRecord], purpose: Purpose) -> str:
    """Write the map file of a service.

    Parameters
    ----------
    service : Service
        Its public address and title.
    records : sequence of LayerRecord
        The layers, the first one at the bottom.
    purpose : {"wms", "wcs", "info"}
        What the map file is for.
    """
    epsg, extent = _frame([record.header for record in records])
    return (
        block(
            "MAP",
            'NAME ""',  # so that the root of the capabilities is no layer
            "STATUS ON",
            "SIZE 256 256",
            f"MAXSIZE {_max_pixels(records, purpose)}",
            f"EXTENT {_numbers(extent)}",
            _projection(epsg),
            'IMAGETYPE "png"',
            *_output_formats(records, purpose),
            block("WEB", metadata(_service_metadata(service, records, purpose))),
            *(_layer(record, purpose) for record in records),
        )
        + "\n"
    )


def _frame(headers: Sequence[RasterHeader]) -> tuple[int, tuple[float, ...]]:
    """Return CRS and extent of the map: the layer's own, or the box of all in degrees."""
    if not headers:
        return 4326, WORLD
    if len({header.extent for header in headers}) == len({header.epsg for header in headers}) == 1:
        return headers[0].epsg, headers[0].extent
    west, south, east, north = zip(*(header.bounds for header in headers), strict=True)
    return 4326, (min(west), min(south), max(east), max(north))


def _max_pixels(records: Sequence[LayerRecord], purpose: Purpose) -> int:
    if purpose != "wcs" or not records:
        return WMS_MAX_PIXELS
    bytes_per_pixel = max(4 * len(record.header.bands) for record in records)
    return math.isqrt(WCS_MAX_BYTES // bytes_per_pixel)


def _projection(epsg: int) -> str:
    return block("PROJECTION", quote(f"init=epsg:{epsg}"))


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.17g}" for value in values)


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
    if purpose != "wcs":
        return [png]
    modes = {IMAGE_MODES.get(record.header.dtype, "FLOAT32") for record in records}
    nodata = {record.header.nodata for record in records}
    missing = nodata.pop() if len(nodata) == 1 else None
    geotiff = block(
        "OUTPUTFORMAT",
        'NAME "geotiff"',
        'DRIVER "GDAL/GTiff"',
        'MIMETYPE "image/tiff"',
        'EXTENSION "tif"',
        f"IMAGEMODE {modes.pop() if len(modes) == 1 else 'FLOAT32'}",
        'FORMATOPTION "TILED=YES"',
        'FORMATOPTION "COMPRESS=DEFLATE"',
        'FORMATOPTION "ZLEVEL=1"',
        'FORMATOPTION "BIGTIFF=IF_SAFER"',
        *([f"FORMATOPTION {quote(f'NULLVALUE={missing}')}"] if missing is not None else []),
    )
    return [png, geotiff]


def _service_metadata(
    service: Service, records: Sequence[LayerRecord], purpose: Purpose
) -> dict[str, str]:
    own = {
        f"EPSG:{epsg}"
        for record in records
        for epsg in (record.header.epsg, *_neighbours(record.header.epsg))
    }
    requests = {
        "wms": "GetCapabilities GetMap GetLegendGraphic GetFeatureInfo GetStyles DescribeLayer",
        "info": "GetCapabilities GetFeatureInfo",
        "wcs": "*",
    }[purpose]
    return {
        "ows_title": service.title,
        "ows_abstract": service.abstract,
        "ows_onlineresource": service.url,
        "ows_encoding": "UTF-8",
        "ows_srs": " ".join((*WEB_CRS, *sorted(own - set(WEB_CRS)))),
        "ows_fees": "none",
        "ows_accessconstraints": "none",
        "wms_attribution_title": ATTRIBUTION,
        "ows_enable_request": "!*",
        f"{'wcs' if purpose == 'wcs' else 'wms'}_enable_request": requests,
        "ows_sld_enabled": "false",
        "wms_getmap_formatlist": "image/png,image/jpeg",
        "wms_feature_info_mime_type": "text/plain",
        "wms_getfeatureinfo_formatlist": "text/plain,application/vnd.ogc.gml",
        "wcs_label": service.title,
    }


def _neighbours(epsg: int) -> list[int]:
    """Return the UTM zones beside a UTM zone: scenes at its edge are often mixed with those."""
    base, zone = epsg // 100 * 100, epsg % 100
    if base not in {32600, 32700} or not 1 <= zone <= 60:
        return []
    return [base + (zone - 2) % 60 + 1, base + zone % 60 + 1]


def _layer(record: LayerRecord, purpose: Purpose) -> str:
    layer, header = record.layer, record.header
    draw = {"wms": _drawing, "wcs": lambda _: [], "info": _values}[purpose]
    return block(
        "LAYER",
        f"NAME {quote(layer.name)}",
        "TYPE RASTER",
        "STATUS ON",
        f"DATA {quote(str(layer.path))}",
        'TEMPLATE "none"',  # whatever it says, it makes the layer answer GetFeatureInfo
        _projection(header.epsg),
        f"EXTENT {_numbers(header.extent)}",
        metadata(_layer_metadata(record)),
        *draw(record),
    )


def _layer_metadata(record: LayerRecord) -> dict[str, str]:
    layer, header = record.layer, record.header
    coverage = {
        "wcs_label": layer.title,
        "wcs_extent": _numbers(header.extent),
        "wcs_size": f"{header.cols} {header.rows}",
        "wcs_resolution": _numbers(header.resolution),
        "wcs_native_format": "image/tiff",
        "wcs_formats": "geotiff",
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
    items = ",".join(("x", "y", *(f"value_{index}" for index in range(len(header.bands)))))
    return {
        "ows_title": layer.title,
        "ows_abstract": layer.abstract,
        "wms_attribution_title": ATTRIBUTION,
        "wms_include_items": items,
        "gml_include_items": items,
        **{f"gml_value_{index}_alias": band for index, band in enumerate(header.bands)},
        **coverage,
    }


def _values(record: LayerRecord) -> list[str]:
    """Ask for the values of all bands."""
    positions = range(1, len(record.header.bands) + 1)
    return [_processing(f"BANDS={','.join(str(position) for position in positions)}")]


def _drawing(record: LayerRecord) -> list[str]:
    style = record.style
    if isinstance(style, ClassStyle):
        return _draw_classes(record.header, style)
    if isinstance(style, GreyStyle):
        return _draw_grey(record, style, record.shown or (0, 1))
    return _draw_composite(record, style)


def _processing(text: str) -> str:
    return f"PROCESSING {quote(text)}"


def _draw_classes(header: RasterHeader, style: ClassStyle) -> list[str]:
    last = style.classes[-1]
    return [
        _processing(f"BANDS={header.band_position(style.band)}"),
        _processing(f"SCALE={style.range[0]:.17g},{style.range[1]:.17g}"),
        _processing(f"SCALE_BUCKETS={CLASS_STEPS}"),
        *(
            block(
                "CLASS",
                f"NAME {quote(item.label)}",
                f"EXPRESSION ([pixel] >= {item.low:.17g} AND "
                f"[pixel] {'<=' if item is last else '<'} {item.high:.17g})",
                block("STYLE", f"COLOR {quote(item.colour)}", f"OPACITY {item.opacity}"),
            )
            for item in style.classes
        ),
    ]


def _draw_grey(record: LayerRecord, style: GreyStyle, shown: Range) -> list[str]:
    """Draw one band as red, green and blue: one band alone would be classified."""
    position = record.header.band_position(style.band)
    return [
        _processing(f"BANDS={position},{position},{position}"),
        _processing(f"SCALE={shown[0]:.17g},{shown[1]:.17g}"),
        *_legend_only(record),
    ]


def _draw_composite(record: LayerRecord, style: CompositeStyle) -> list[str]:
    bands = [str(record.header.band_position(channel.band)) for channel in style.channels]
    return [
        _processing(f"BANDS={','.join(bands)}"),
        *(
            _processing(f"SCALE_{position}={channel.range[0]:.17g},{channel.range[1]:.17g}")
            for position, channel in enumerate(style.channels, 1)
        ),
        *_legend_only(record),
    ]


def _legend_only(record: LayerRecord) -> list[str]:
    """Make the lines of the legend; three bands are drawn without regard to classes."""
    return [
        block("CLASS", f"NAME {quote(label)}", block("STYLE", f"COLOR {quote(colours[-1])}"))
        for label, colours in record.legend
    ]
