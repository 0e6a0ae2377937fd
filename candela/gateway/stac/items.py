"""STAC items: one for each raster of a finished job that has become a layer."""

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any, Final

from candela.contract.job import OutputFile
from candela.contract.layers import RasterHeader
from candela.gateway.results import Addresses, JobOutput, outputs_of
from candela.jobs.model import JobOutcome
from candela.spec import ProcessSpec

VERSION: Final = "1.1.0"
JSON: Final = "application/json"
GEOJSON: Final = "application/geo+json"
GEOTIFF: Final = "image/tiff; application=geotiff"
_EXTENSIONS = "https://stac-extensions.github.io"
FILE: Final = f"{_EXTENSIONS}/file/v2.1.0/schema.json"
PROJECTION: Final = f"{_EXTENSIONS}/projection/v2.0.0/schema.json"
WEB_MAP_LINKS: Final = f"{_EXTENSIONS}/web-map-links/v1.2.0/schema.json"
SHA256_MULTIHASH = "1220"  # the code of SHA-256, then its length in bytes
PICTURES = frozenset({"image/png", "image/jpeg"})
TYPES_OF_STAC = {"complex64": "cfloat32", "complex128": "cfloat64", "complex_int16": "cint16"}
REAL_TYPES = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
     "float32", "float64"}
)  # fmt: skip

EARTH: Final = (-180.0, -90.0, 180.0, 90.0)

Document = dict[str, Any]  # JSON
Corners = tuple[float, float, float, float]  # west, south, east, north (degrees)


def link(href: str, relation: str, media_type: str = JSON, title: str = "") -> Document:
    """Return a link object."""
    found = {"rel": relation, "href": href, "type": media_type}
    return found | ({"title": title} if title else {})


def rasters_of(job: JobOutcome) -> dict[str, RasterHeader]:
    """Return the rasters of a job that are layers, by output."""
    outputs = job.result.outputs if job.result else {}
    return {
        name: output.layer.header
        for name, output in outputs.items()
        if isinstance(output, OutputFile)
        and output.layer is not None
        and isinstance(output.layer.header, RasterHeader)
    }


def items_of(
    job: JobOutcome, spec: ProcessSpec | None, addresses: Addresses
) -> Iterator[tuple[str, Document]]:
    """Yield the items of a job, each with the output that it describes."""
    outputs = outputs_of(job, spec, addresses)
    pictures = [output for output in outputs.values() if output.media_type in PICTURES]
    for name, header in rasters_of(job).items():
        yield name, _item(job, outputs[name], header, pictures, addresses)


def item_id(job_id: str, output: str) -> str:
    """Return the id of the item of an output; no id of a job has a dot."""
    return f"{job_id}.{output}"


def job_of_item(item: str) -> str:
    """Return the id of the job that has made an item."""
    return item.partition(".")[0]


def time_of(job: JobOutcome, header: RasterHeader) -> dt.datetime:
    """Return when what a raster shows was seen last; of one without a time, when it was asked."""
    time = header.time or job.created
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def boxes_of(bounds: Corners) -> list[Corners]:
    """Return a box as one, or as two where it crosses the antimeridian (west above east)."""
    west, south, east, north = bounds
    if west <= east:
        return [bounds]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def _item(
    job: JobOutcome,
    output: JobOutput,
    header: RasterHeader,
    pictures: list[JobOutput],
    addresses: Addresses,
) -> Document:
    own_id = item_id(job.id, output.name)
    root = f"{addresses.base_url}/stac"
    collection = f"{root}/collections/{job.process}"
    layer = (job.links or {}).get(output.name)
    links = [
        link(f"{collection}/items/{own_id}", "self", GEOJSON),
        link(root, "root"),
        link(collection, "parent"),
        link(collection, "collection"),
        link(addresses.job(job.id), "via", JSON, "The job"),
    ]
    extensions = [FILE, PROJECTION]
    if layer:
        web_map = link(layer.wms, "wms", "image/png", "WMS")
        links.append(web_map | {"wms:layers": [layer.layer]})
        extensions.append(WEB_MAP_LINKS)
        if layer.wcs:
            links.append(link(layer.wcs, "wcs", GEOTIFF, "WCS"))
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": extensions,
        "id": own_id,
        "collection": job.process,
        "geometry": _geometry(header.bounds),
        "bbox": list(header.bounds),
        "properties": _properties(job, output, header),
        "links": links,
        "assets": {output.name: _raster_asset(output, header)}
        | {
            picture.name: {
                "href": picture.href, "type": picture.media_type, "title": picture.title,
                "roles": ["overview"],
            }
            for picture in pictures
        },
    }  # fmt: skip


def _properties(job: JobOutcome, output: JobOutput, header: RasterHeader) -> Document:
    left, _, _, top = header.extent
    width, height = header.resolution
    return {
        "title": f"{job.title}: {output.title}" if job.title else output.title,
        "datetime": rfc3339(time_of(job, header)),
        "created": rfc3339(job.finished or job.created),
        "proj:code": f"EPSG:{header.epsg}",
        "proj:bbox": list(header.extent),
        "proj:shape": [header.rows, header.cols],
        "proj:transform": [width, 0.0, left, 0.0, -height, top],
    } | ({"description": output.abstract} if output.abstract else {})


def _raster_asset(output: JobOutput, header: RasterHeader) -> Document:
    assert output.file is not None  # it is a raster
    asset: Document = {
        "href": output.href,
        "type": GEOTIFF if output.media_type.startswith("image/tiff") else output.media_type,
        "title": output.title,
        "roles": ["data"],
        "data_type": header.dtype
        if header.dtype in REAL_TYPES
        else TYPES_OF_STAC.get(header.dtype, "other"),
        "bands": [{"name": band} for band in header.bands],
        "file:size": output.file.size,
        "file:checksum": f"{SHA256_MULTIHASH}{output.file.sha256}",
    }
    if header.nodata is not None:
        asset["nodata"] = _nodata(header.nodata)
    return asset


def _nodata(text: str) -> float | str:
    value = float(text)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if value.is_integer() else value


def _geometry(bounds: Corners) -> Document:
    """Return the rectangle, in two parts across the antimeridian (RFC 7946, 3.1.9)."""
    parts = [
        [[[west, south], [east, south], [east, north], [west, north], [west, south]]]
        for west, south, east, north in boxes_of(bounds)
    ]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def rfc3339(time: dt.datetime) -> str:
    """Return a time in UTC as RFC 3339 writes it."""
    return time.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
