"""Settings: the only place that reads the environment.

What differs from machine to machine (addresses, folders, secrets) comes from ``CANDELA_...``
variables, one class for each room; what describes the service (who runs it, its limits) comes from
``wps_config/``. ``make describe`` writes the tables of docs/settings.md.
"""

from functools import cached_property
from typing import Self
from urllib.parse import urlsplit

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from candela.settings.access import AccessSettings
from candela.settings.base import PREFIX, ConfigurationError, Group
from candela.settings.cluster import ClusterSettings
from candela.settings.jobs import JobSettings
from candela.settings.patches import PatchSettings
from candela.settings.processes import ProcessSettings
from candela.settings.publish import PublishSettings
from candela.settings.server import ServerSettings
from candela.settings.service import Contact, Limits, Metadata

__all__ = ["ConfigurationError", "Contact", "GROUPS", "Limits", "Metadata", "Settings"]

GROUPS: tuple[type[Group], ...] = (
    ServerSettings,
    JobSettings,
    AccessSettings,
    ClusterSettings,
    ProcessSettings,
    PublishSettings,
    PatchSettings,
)


class Settings(
    ServerSettings,
    JobSettings,
    AccessSettings,
    ClusterSettings,
    ProcessSettings,
    PublishSettings,
    PatchSettings,
    BaseSettings,
):
    """All settings of a gateway, and what several rooms must agree on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _keep_jobs_private(self) -> Self:
        kept = f"{self.storage.partition('://')[2].rstrip('/')}/"
        for bucket in self.input_buckets if self.storage.startswith("s3:") else ():
            given = f"{bucket.rstrip('/')}/"
            if kept.startswith(given) or given.startswith(kept):
                raise ValueError(f"inputs may not be read from {bucket}: jobs are kept there")
        return self

    @model_validator(mode="after")
    def _check_cluster(self) -> Self:
        if self.runner == "kubernetes" and self.job_template is None:
            raise ValueError("runner kubernetes needs a job_template")
        if self.warm and self.runner != "kubernetes":
            raise ValueError("warm needs runner kubernetes")
        if self.warm and self.queue:
            raise ValueError("warm does not go with a queue, which would not know of its pods")
        return self

    @model_validator(mode="after")
    def _check_proxy(self) -> Self:
        has_secret = bool(self.proxy_secret.get_secret_value() or self.proxy_secret_file)
        if self.owner_header and self.runner == "kubernetes" and not has_secret:
            raise ValueError("owner_header in a cluster needs a proxy_secret or proxy_secret_file")
        if self.operators and not self.owner_header:
            raise ValueError("operators needs an owner_header")
        if not all(self.operators):
            raise ValueError("operators has an empty name")
        return self

    @model_validator(mode="after")
    def _check_publisher(self) -> Self:
        if self.private_layers and not self.owner_header:
            raise ValueError("private_layers needs an owner_header")
        if self.publisher == "geoserver":
            wanted = ["geoserver_url", "geoserver_user", "geoserver_password_file"]
            wanted += ["geoserver_folder"] if self.geoserver_mode == "file" else []
            missing = [name for name in wanted if not getattr(self, name)]
            if missing:
                raise ValueError(f"publisher geoserver needs {', '.join(missing)}")
            if self.geoserver_mode == "s3" and not self.storage.startswith("s3:"):
                raise ValueError("geoserver_mode s3 needs a storage in a bucket")
        return self

    @classmethod
    def from_environment(cls, **overrides: object) -> "Settings":
        """Read the settings; ``overrides`` win over the environment.

        Raises
        ------
        ConfigurationError
            If a value is wrong.
        """
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            raise ConfigurationError(f"settings (CANDELA_...): {error}") from error

    @cached_property
    def geoserver_site(self) -> str:
        """The public address of GeoServer; empty where there is none."""
        return (self.geoserver_public_url or self.geoserver_url).rstrip("/")

    @cached_property
    def maps_url(self) -> str:
        """The public address of the map services of all layers."""
        has_maps = self.publisher == "geoserver"
        return f"{self.geoserver_site if has_maps else self.base_url}/ows"

    @cached_property
    def geoserver_path(self) -> str:
        """Where GeoServer is on the gateway's own host, such as ``/geoserver``; else empty."""
        public = urlsplit(self.geoserver_site)
        own = urlsplit(self.base_url)
        is_beside = self.publisher == "geoserver" and public[:2] == own[:2]
        return public.path.rstrip("/") if is_beside else ""

    @cached_property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the job database."""
        return self.database or f"sqlite:///{self.folder / 'candela.db'}"

    @cached_property
    def storage_url(self) -> str:
        """The URL of the storage of job files."""
        return self.storage or (self.folder / "storage").as_uri()
