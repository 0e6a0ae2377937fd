"""Where GeoServer finds what it shows: a folder of links and GeoPackages, or addresses.

In the folder each published raster is a hard link: GeoServer sees what is published and nothing
else, and a request that is under way when a job is removed still finds its file. Polygons are
always files there, since nothing reads a GeoPackage by HTTP.
"""

import os
import shutil
import uuid
from pathlib import Path
from typing import Literal

from candela.errors import PublisherAwayError
from candela.publish.features import read_polygons, write_geopackage
from candela.publish.geoserver.documents import granule_name
from candela.publish.record import LayerRecord


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
                    write_geopackage(read_polygons(record.layer.path), path, record.layer.name)
                else:
                    _link(record.layer.path, path)
            except OSError as error:
                raise PublisherAwayError(f"{self.folder}: {error.strerror}") from error
        return self.url(workspace, record)

    def withdraw(self, workspace: str, record: LayerRecord) -> None:
        """Let GeoServer see a file no longer."""
        if self._is_in_folder(record):
            path = self._path(workspace, record)
            path.unlink(missing_ok=True)
            for left in path.parent.glob(f"{record.layer.name}*"):  # such as .aux.xml, .ovr
                left.unlink(missing_ok=True)

    def _is_in_folder(self, record: LayerRecord) -> bool:
        return self.mode == "file" or record.polygons is not None

    def _path(self, workspace: str, record: LayerRecord) -> Path:
        return self.folder / workspace / granule_name(record)


def _link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the two are on different file systems."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
