"""What serves layers."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from candela.settings.base import Default, Group


class PublishSettings(Group):
    """The map server."""

    publisher: Literal["mapserver", "geoserver"] = "mapserver"
    """What serves layers: `mapserver` on the gateway's machine, or `geoserver`, see
    [GeoServer](operators/geoserver.md)."""

    publish_timeout_s: float = Field(default=86_400, gt=0)
    """How long a job waits for a map server or a storage that is away before it fails; its outputs
    stay."""

    geoserver_url: Annotated[str, Default("none")] = ""
    """Address of GeoServer for the gateway."""

    geoserver_public_url: Annotated[str, Default("the same")] = ""
    """Its address for clients."""

    geoserver_user: Annotated[str, Default("none")] = ""
    """An account with write access to its catalog."""

    geoserver_password_file: Path | None = None
    """The file with its password."""

    geoserver_certificates: Annotated[Path | None, Default("the system's")] = None
    """The certificate authorities for `https:`."""

    geoserver_prefix: str = Field(default="candela", pattern=r"^[a-z][a-z0-9]*$")
    """The prefix of CANDELA's workspaces; no other workspace may have it."""

    geoserver_mode: Literal["file", "s3", "http"] = "file"
    """Its access to rasters: `file`, `s3` or `http`."""

    geoserver_folder: Path | None = None
    """The folder that gateway and GeoServer see under the same path: of rasters in mode `file`, of
    polygons in all modes."""

    geoserver_mosaic_index: Annotated[Path | None, Default("a GeoPackage for each")] = None
    """`datastore.properties` of time series."""
