"""Where GeoServer finds what it shows: a folder of links and GeoPackages, or addresses.

In the folder each published raster is a hard link: GeoServer sees what is published and nothing
else, and a request that is under way when a job is removed still finds its file. Polygons are
always files there, since nothing reads a GeoPackage by HTTP.
"""

import logging
import uuid
from pathlib import Path
from typing import Literal

import rasterio
import rasterio.shutil
from rasterio.errors import RasterioIOError

from candela.errors import PublicationError, PublisherAwayError
from candela.publish.files import link_file, provide_features
from candela.publish.geoserver.documents import granule_name
from candela.publish.record import LayerRecord

logger = logging.getLogger(__name__)

# GDAL follows no address and reads no file beside the one that is copied.
ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "CPL_VSIL_CURL_ALLOWED_FILENAME": "none"}


class Granules:
    """The rasters and polygons as GeoServer sees them.

    Parameters
    ----------
    mode : {"file", "s3", "http"}
        How it reads rasters.
    folder : Path
        Seen by the gateway and by GeoServer under the same path.
    outputs_url : str
        Where the gateway serves outputs.
    """

    def __init__(self, mode: Literal["file", "s3", "http"], folder: Path, outputs_url: str) -> None:
        self.mode = mode
        self.folder = folder.resolve()
        self.outputs_url = outputs_url.rstrip("/")

    def url(self, workspace: str, record: LayerRecord) -> str:
        """Return the address of a file for a store."""
        if record.polygons:
            return f"file://{self._path(workspace, record)}"  # NOTE: %20 would be taken as it is
        if self.mode == "file":
            return self._path(workspace, record).as_uri()
        if self.mode == "s3":
            return f"cog://{record.layer.href}"
        return f"cog://{self.outputs_url}/{record.layer.job_id}/{record.layer.path.name}"

    def provide(self, workspace: str, record: LayerRecord) -> str:
        """Let GeoServer see a file; return its address.

        Raises
        ------
        PublisherAwayError
            If the folder is not there, or full.
        """
        if self._is_in_folder(record):
            path = self._path(workspace, record)
            try:
                if record.polygons:
                    provide_features(record.layer, path)
                elif is_readable(record.layer.path):
                    link_file(record.layer.path, path)
                else:
                    _rewrite(record.layer.path, path)
            except OSError as error:
                raise PublisherAwayError(f"{self.folder}: {error.strerror}") from error
        return self.url(workspace, record)

    def withdraw(self, workspace: str, record: LayerRecord) -> None:
        """Let GeoServer see a file no longer.

        Raises
        ------
        PublisherAwayError
            If it cannot be removed now.
        """
        if not self._is_in_folder(record):
            return
        path = self._path(workspace, record)
        try:
            path.unlink(missing_ok=True)
            for left in path.parent.glob(f"{record.layer.name}[._]*"):  # such as .aux.xml, .ovr
                left.unlink(missing_ok=True)
        except OSError as error:
            raise PublisherAwayError(f"{self.folder}: {error.strerror}") from error

    def _is_in_folder(self, record: LayerRecord) -> bool:
        return self.mode == "file" or record.polygons is not None

    def _path(self, workspace: str, record: LayerRecord) -> Path:
        return self.folder / workspace / granule_name(record)


def is_readable(path: Path) -> bool:
    """Whether GeoServer's TIFF reader can decode a raster.

    imageio-ext to 1.4.14 (GeoServer 2.26) cannot where bands lie apart and have a predictor.
    """
    with rasterio.open(path) as image:
        structure = image.tags(ns="IMAGE_STRUCTURE")
        is_apart = image.count > 1 and structure.get("INTERLEAVE") == "BAND"
        return not is_apart or structure.get("PREDICTOR", "1") == "1"


def _rewrite(source: Path, target: Path) -> None:
    """Copy a raster without its predictor; all else stays."""
    if target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
        return
    logger.info("GeoServer cannot read %s as it is: a copy has no predictor", source.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with rasterio.Env(**ALONE), rasterio.open(source) as image:
            rows, cols = image.block_shapes[0]
            tiles = {"tiled": True, "blockxsize": cols, "blockysize": rows}
            rasterio.shutil.copy(
                image, part, driver="GTiff", predictor=1, interleave="band", bigtiff="IF_SAFER",
                compress=image.compression.name, copy_src_overviews=True,
                **(tiles if image.profile.get("tiled") else {}),
            )  # fmt: skip
        part.replace(target)
    except RasterioIOError as error:
        raise PublicationError(f"{source.name} cannot be read: {error}") from error
    finally:
        part.unlink(missing_ok=True)
