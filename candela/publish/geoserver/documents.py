"""What GeoServer is told, as pure functions: names, documents, and the files of a mosaic."""

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from candela.publish.geoserver.rest import Document, listed
from candela.publish.metadata import ATTRIBUTION, isotime, keywords
from candela.publish.polygonmap import MOST_IN_ANSWER
from candela.publish.record import LayerRecord, short_hash
from candela.publish.series import Series
from candela.publish.styles import BandReference, GreyStyle
from candela.publish.styles.sld import sld_text

RECORD_KEY = "candela"  # of the entry that tells what a store is; stores without it are not ours
COG_KEY = "CogSettings.Key"
COG_READERS = {"s3": "S3", "http": "HTTP", "https": "HTTP"}
MOSAIC_TYPE = "ImageMosaic"
TIME_FORMAT = "%Y%m%dT%H%M%SZ"


class Kind(NamedTuple):
    """What GeoServer calls stores of one kind, and what they hold: in paths and in documents."""

    stores: str
    store_list: str
    store: str
    contents: str
    content_list: str
    content: str
    calculate: str  # the parameter that has boxes computed again


RASTERS = Kind(
    "coveragestores", "coverageStores", "coverageStore",
    "coverages", "coverages", "coverage", "calculate",
)  # fmt: skip
POLYGONS = Kind(
    "datastores", "dataStores", "dataStore",
    "featuretypes", "featureTypes", "featureType", "recalculate",
)  # fmt: skip
KINDS = (RASTERS, POLYGONS)


def kind_of(record: LayerRecord) -> Kind:
    """Return what kind of store a layer has."""
    return POLYGONS if record.polygons else RASTERS


def workspace_name(prefix: str, owner: str) -> str:
    """Return the workspace of an owner: readable, and different for different owners."""
    if not owner:
        return f"{prefix}_all"
    word = re.sub(r"[^a-z0-9]+", "_", owner.lower()).strip("_")[:40]
    return f"{prefix}_{word}_{short_hash(owner)}" if word else f"{prefix}_{short_hash(owner)}"


def style_of(record: LayerRecord) -> tuple[str, bytes]:
    """Return name and SLD of the style that a layer needs.

    The name changes with the content, so that a style, once made, is never changed.
    """
    style = record.style

    def position(band: BandReference) -> int:
        return record.raster.band_position(band)

    text = sld_text(style, position, name=record.layer.style, shown=record.shown)
    name = f"{record.layer.style}_{short_hash(text.decode())}"
    return name, sld_text(style, position, name=name, shown=record.shown)


def is_shared(record: LayerRecord) -> bool:
    """Whether other layers have the very same style; that of a grey one depends on its values."""
    return not isinstance(record.style, GreyStyle)


def is_of_kind(style: str, record: LayerRecord) -> bool:
    """Whether a style's name is one that ``style_of`` gives to layers of a record's style."""
    return re.fullmatch(rf"{re.escape(record.layer.style)}_[0-9a-f]{{8}}", style) is not None


def workspace_document(name: str) -> Document:
    """Make a workspace."""
    return {"workspace": {"name": name}}


def store_document(workspace: str, record: LayerRecord, url: str) -> Document:
    """Make the store of one raster, or of polygons, which remembers what it shows."""
    noted = [{"@key": RECORD_KEY, "$": remembered(record).model_dump_json()}]
    store = {
        "name": record.layer.name,
        "description": f"Output {record.layer.output} of job {record.layer.job_id}",
        "enabled": True,
        "workspace": {"name": workspace},
        "metadata": {"entry": noted},
    }
    if record.polygons:
        connection = {"dbtype": "geopkg", "database": url, "read_only": "true"}
        parameters = [{"@key": key, "$": value} for key, value in connection.items()]
        return {
            "dataStore": {
                **store, "type": "GeoPackage", "connectionParameters": {"entry": parameters}
            }
        }  # fmt: skip
    scheme = url.removeprefix("cog://").partition(":")[0]
    if scheme in COG_READERS:
        settings = {"rangeReaderSettings": COG_READERS[scheme], "useCachingStream": False}
        noted.append({"@key": COG_KEY, "cogSettings": settings})  # type: ignore[dict-item]
    return {"coverageStore": {**store, "type": "GeoTIFF", "url": url}}


def kept_parameters(document: Document, found: Document) -> Document:
    """Add to a data store's document the connection parameters that GeoServer set itself.

    NOTE: those that a PUT does not name are lost, the namespace of all its types among them.
    """
    ours = document["dataStore"]["connectionParameters"]["entry"]
    keys = {entry["@key"] for entry in ours}
    theirs = listed(found.get("dataStore"), "connectionParameters", "entry")
    others = [entry for entry in theirs if entry.get("@key") not in keys]
    document["dataStore"]["connectionParameters"]["entry"] = [*ours, *others]
    return document


def remembered(record: LayerRecord) -> LayerRecord:
    """Return what a store remembers: of the path the name, the folder is of this machine alone."""
    layer = replace(record.layer, path=Path(record.layer.path.name))
    return record.model_copy(update={"layer": layer})


def coverage_document(name: str, native_name: str) -> Document:
    """Make a coverage with all that GeoServer finds out itself.

    NOTE: the native name must be the one that its reader gives the file, its stem; GeoServer's own
    descriptions do not ask for it, GeoServer does.
    """
    return {"coverage": {"name": name, "nativeName": native_name}}


def index_store_document(workspace: str, name: str, database: str) -> Document:
    """Make the GeoPackage that is the index of a mosaic; GeoServer makes the file when it must."""
    connection = {"dbtype": "geopkg", "database": database}
    return {
        "dataStore": {
            "name": name,
            "description": "Index of a time series",
            "type": "GeoPackage",
            "enabled": True,
            "workspace": {"name": workspace},
            "connectionParameters": {
                "entry": [{"@key": key, "$": value} for key, value in connection.items()]
            },
        }
    }


def feature_type_document(name: str) -> Document:
    """Make a feature type of the table of that name with all that GeoServer finds out itself."""
    return {"featureType": {"name": name, "nativeName": name}}


def described(record: LayerRecord, found: Document) -> Document:
    """Say of a layer what GeoServer cannot know; ``found`` is what it made of the file."""
    layer = record.layer
    links = {
        "type": "text/html", "metadataType": "other", "about": "lineage", "content": layer.lineage,
    }  # fmt: skip
    common = {
        "title": layer.title,
        "abstract": layer.abstract,
        "keywords": {"string": keywords(record)},
        "srs": f"EPSG:{record.header.epsg}",
        "projectionPolicy": "FORCE_DECLARED",
        **({"metadataLinks": {"metadataLink": [links]}} if layer.lineage else {}),
        "enabled": True,
    }
    if record.polygons:
        limits = {"maxFeatures": MOST_IN_ANSWER, "numDecimals": record.polygons.digits}
        return {"featureType": {**common, **limits}}
    return {"coverage": {**common, "nativeFormat": "GeoTIFF", **_dimensions(record, found)}}


def described_series(series: Series, found: Document) -> Document:
    """Say of a mosaic's coverage what GeoServer cannot know, and advertise its times."""
    first = series.first
    time = {
        "@key": "time",
        "dimensionInfo": {
            "enabled": True,
            "presentation": "LIST",
            "units": "ISO8601",
            "defaultValue": {"strategy": "MAXIMUM"},
            "nearestMatchEnabled": False,  # a time without an image is an error
            "rawNearestMatchEnabled": False,
        },
    }
    return {
        "coverage": {
            "title": series.title,
            "abstract": series.abstract,
            "keywords": {"string": keywords(first)},
            "srs": f"EPSG:{first.header.epsg}",
            "projectionPolicy": "FORCE_DECLARED",
            **_dimensions(first, found),
            "metadata": {"entry": [time]},
            # Of an interval the newest image is on top.
            "parameters": {"entry": [{"string": ["SORTING", "time D"]}]},
            "enabled": True,
        }
    }


def _dimensions(record: LayerRecord, found: Document) -> Document:
    """Name the bands, and their missing value where GeoServer did not find it in the file."""
    dimensions = ((found.get("coverage") or {}).get("dimensions") or {}).get("coverageDimension")
    if not dimensions:
        return {}
    dimensions = dimensions if isinstance(dimensions, list) else [dimensions]
    nodata = record.raster.nodata
    missing = {"nullValues": {"double": [float(nodata)]}} if nodata not in {None, "nan"} else {}
    named = [
        {**missing, **dimension, "name": band}
        for dimension, band in zip(dimensions, record.raster.bands, strict=False)
    ]
    return {"dimensions": {"coverageDimension": named}}


def layer_document(style: str, workspace: str) -> Document:
    """Give a layer its style and say whose data it shows."""
    return {
        "layer": {
            "defaultStyle": {"name": f"{workspace}:{style}", "workspace": workspace},
            "attribution": {"title": ATTRIBUTION, "logoWidth": 0, "logoHeight": 0},
            "enabled": True,
            "advertised": True,
        }
    }


def group_document(workspace: str, name: str, title: str, layers: Sequence[str]) -> Document:
    """Gather the layers of a job."""
    return {
        "layerGroup": {
            "name": name,
            "mode": "NAMED",
            "title": title,
            "workspace": {"name": workspace},
            "publishables": {
                "published": [{"@type": "layer", "name": f"{workspace}:{item}"} for item in layers]
            },
            "styles": {"style": [""] * len(layers)},
        }
    }


def group_name(record: LayerRecord) -> str:
    """Return what the layers of a job are called together."""
    return f"{record.layer.process or 'job'}_{record.layer.job_id}".replace("-", "_")


def granule_name(record: LayerRecord) -> str:
    """Return the file name of a layer; a mosaic takes the time of a raster from it."""
    if record.polygons:
        return f"{record.layer.name}.gpkg"
    time = record.time
    return f"{record.layer.name}_{time:{TIME_FORMAT}}.tif" if time else f"{record.layer.name}.tif"


def mosaic_archive(name: str, *, is_cog: bool, datastore: str) -> bytes:
    """Write the files that an empty mosaic is made of.

    Parameters
    ----------
    name : str
        Its native name, which the table of its index has as well.
    is_cog : bool
        Whether the rasters are read by HTTP or S3; then the time is the last date in a name.
    datastore : str
        datastore.properties: where the index is kept. NOTE: without one GeoServer cannot read a
        mosaic that is empty at first.
    """
    indexer = {
        "Name": name,
        "Schema": "*the_geom:Polygon,location:String,time:java.util.Date",
        "TimeAttribute": "time",
        "PropertyCollectors": "TimestampFileNameExtractorSPI[timeregex](time)",
        "CanBeEmpty": "true",
        "AbsolutePath": "true",
        "Caching": "false",
        **({"Cog": "true"} if is_cog else {}),
    }
    date, time = "[0-9]{8}$", "[0-9]{8}T[0-9]{6}"
    regex = f"regex={date},format=yyyyMMdd" if is_cog else f"regex={time},format=yyyyMMdd'T'HHmmss"
    content = {
        "indexer.properties": "\n".join(f"{key}={value}" for key, value in indexer.items()),
        "timeregex.properties": regex,
        "datastore.properties": datastore,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, f"{text}\n")
    return file.getvalue()


def has_time_in_name(record: LayerRecord) -> bool:
    """Whether the file's own name ends with its date, which is all that a COG mosaic sees."""
    time = record.time
    return (
        time is not None
        and record.layer.path.stem.endswith(f"{time:%Y%m%d}")
        and (isotime(time).endswith("T00:00:00Z"))
    )
