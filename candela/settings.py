"""Settings: the only place that reads the environment.

What differs from machine to machine (addresses, folders, secrets) comes from ``CANDELA_...``
variables; what describes the service (who runs it, its limits) comes from ``wps_config/``.
"""

import configparser
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pywps import configuration

from candela.contract.addresses import AllowedHost
from candela.errors import CandelaError
from candela.signing import MINIMUM_BYTES, kept_key

MEGABYTE = 2**20
SHORTEST_PROOF = 16  # bytes


class ConfigurationError(CandelaError):
    """A file of wps_config, or a CANDELA_... variable, is wrong."""


class Settings(BaseSettings):
    """Where this gateway lives.

    Attributes
    ----------
    url : str
        The address under which clients reach the gateway; all links begin with it.
    data : Path
        The folder of the job database, of job files and of layers.
    database : str
        An SQLAlchemy URL; by default an SQLite file in ``data``.
    storage : str
        Where job files are kept: ``file:///folder`` or ``s3://bucket/prefix``; by default a folder
        in ``data``.
    patches_database : SecretStr
        An SQLAlchemy URL of the database of patch models; workers get it in their environment.
    patches_query_database : SecretStr
        The same database for the gateway, which answers queries from it: a login that reads, and
        writes annotations alone; by default ``patches_database``.
    patches_limit_s : float
        How long the answer to a query may take.
    s3_endpoint : str
        The address of the S3 server, if boto3's own configuration does not have it.
    config : Path
        The folder with ``pywps.cfg`` and ``metadata.yaml``.
    input_folders : tuple of Path
        Folders from which ``file:`` references may be read, beside those of ``pywps.cfg``.
    allowed_hosts : tuple of str
        What ``http:`` references may point to beside public addresses: ``host``, ``host:port`` or
        a network such as ``10.0.0.0/8``.
    input_buckets : tuple of str
        Where ``s3:`` references may point: ``bucket`` or ``bucket/prefix``.
    secret : str
        Signs the tokens with which workers report progress, 32 bytes at least; by default made once
        and kept in ``data``.
    owner_header : str
        The header in which a reverse proxy says who asks; owners share the machine fairly. It
        counts only where the proxy proves itself, see ``candela/gateway/access/owners.py``.
    proxy_secret : SecretStr
        What the proxy proves itself by, in the header ``X-Candela-Proxy``; without it only a proxy
        on this machine is believed.
    proxy_secret_file : Path
        The file that holds it.
    internal_bind : str
        ``host:port`` for workers, probes and metrics alone; by default they share the public port.
    readers : tuple of str
        Web sites, as ``https://host``, whose pages may read answers in a browser; ``*`` means all.
        Those that are named may also order and dismiss jobs.
    sync_timeout_s : float
        How long a synchronous Execute may be waited for.
    grace_s : float
        How long the answer to an asynchronous Execute is held back, in case the job is that fast.
    running_jobs : int, optional
        How many jobs run at the same time, in place of ``parallelprocesses`` of ``pywps.cfg``.
    log_format : str
        ``text`` or ``json``: what lines of the gateway's log are.
    runner : str
        What runs jobs: ``local`` (processes of this machine) or ``kubernetes`` (a pod for each).
    namespace : str
        Of the cluster, in which Jobs are made.
    job_template : Path
        The Job that is filled in for each attempt (``k8s/base/job-template.yaml``).
    image_prefix, image_tag : str
        What the names of workers' images begin and end with: ``<prefix><kind>:<tag>``.
    image_pull_timeout_s, unschedulable_timeout_s : float
        How long a pod may wait for its image, and be unschedulable.
    cpu_share : float
        How much of its cores a process is promised in a cluster, 0 to 1; it may use all of them.
    queue : str
        The local queue of Kueue in which Jobs wait; without it they do not.
    warm : dict of str to int
        How many pods of a process are started before there is a job for them, by its identifier.
    worker_url : str
        The address under which workers reach the gateway, if it is not ``url``.
    publish_timeout_s : float
        How long a job waits for a map server that is away before it fails.
    publisher : str
        What serves layers: ``mapserver`` (on this machine) or ``geoserver``.
    private_layers : bool
        Whether layers are for their owner only.
    geoserver_url, geoserver_public_url : str
        The address of GeoServer for the gateway, and for clients if that differs.
    geoserver_user : str
        An account that may change GeoServer's catalog.
    geoserver_password_file : Path
        The file that holds its password.
    geoserver_certificates : Path
        What ``https:`` is checked against, if not the system's certificates.
    geoserver_prefix : str
        What the names of our workspaces begin with; those of nobody else may.
    geoserver_mode : str
        How GeoServer reads rasters: ``file``, ``s3`` or ``http``.
    geoserver_folder : Path
        The folder that the gateway and GeoServer see under the same path: of rasters in mode
        ``file``, of polygons in all modes.
    geoserver_mosaic_index : Path
        The ``datastore.properties`` of time series; without it GeoServer decides.
    """

    model_config = SettingsConfigDict(env_prefix="CANDELA_", extra="forbid", frozen=True)

    url: str = "http://127.0.0.1:8080"
    data: Path = Path("candela-data")
    database: str = ""
    storage: str = ""
    patches_database: SecretStr = SecretStr("")
    patches_query_database: SecretStr = SecretStr("")
    patches_limit_s: float = Field(default=10, gt=0)
    s3_endpoint: str = ""
    config: Path = Path(str(files("candela.wps_config")))
    input_folders: tuple[Path, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    input_buckets: tuple[str, ...] = ()
    secret: str = ""
    owner_header: str = ""
    readers: tuple[str, ...] = ("*",)
    proxy_secret: SecretStr = SecretStr("")
    proxy_secret_file: Path | None = None
    internal_bind: str = ""
    sync_timeout_s: float = Field(default=3600, gt=0)
    grace_s: float = Field(default=1.5, ge=0)
    running_jobs: int | None = Field(default=None, gt=0)
    log_format: Literal["text", "json"] = "text"
    runner: Literal["local", "kubernetes"] = "local"
    namespace: str = "default"
    job_template: Path | None = None
    image_prefix: str = "localhost/candela-"
    image_tag: str = "dev"
    image_pull_timeout_s: float = Field(default=300, gt=0)
    unschedulable_timeout_s: float = Field(default=86_400, gt=0)
    cpu_share: float = Field(default=1, gt=0, le=1)
    queue: str = ""
    warm: dict[str, PositiveInt] = Field(default_factory=dict)
    worker_url: str = ""
    publish_timeout_s: float = Field(default=86_400, gt=0)
    publisher: Literal["mapserver", "geoserver"] = "mapserver"
    private_layers: bool = False
    geoserver_url: str = ""
    geoserver_public_url: str = ""
    geoserver_user: str = ""
    geoserver_password_file: Path | None = None
    geoserver_certificates: Path | None = None
    geoserver_prefix: str = Field(default="candela", pattern=r"^[a-z][a-z0-9]*$")
    geoserver_mode: Literal["file", "s3", "http"] = "file"
    geoserver_folder: Path | None = None
    geoserver_mosaic_index: Path | None = None

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            AllowedHost.parse(host)
        return hosts

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
    def base_url(self) -> str:
        """The public address without a slash at its end."""
        return self.url.rstrip("/")

    @cached_property
    def progress_url(self) -> str:
        """The address to which workers report, without a slash at its end."""
        internal = ""
        if self.internal_bind:
            host, _, port = self.internal_bind.rpartition(":")
            host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
            internal = f"http://{host}:{port}"
        return (self.worker_url or internal or self.url).rstrip("/")

    @cached_property
    def proxy_proof(self) -> bytes:
        """What a trusted proxy sends; empty where only one on this machine is trusted.

        Raises
        ------
        ConfigurationError
            If the file cannot be read, or is shorter than 16 bytes.
        """
        proof = self.proxy_secret.get_secret_value().encode()
        if self.proxy_secret_file is not None:
            try:
                proof = self.proxy_secret_file.read_bytes().strip()
            except OSError as error:
                raise ConfigurationError(f"proxy_secret_file: {error}") from error
        if (proof or self.proxy_secret_file) and len(proof) < SHORTEST_PROOF:
            raise ConfigurationError(
                f"the proxy secret has {len(proof)} bytes, expected {SHORTEST_PROOF} or more"
            )
        return proof

    @cached_property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return self.data.resolve()

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

    @cached_property
    def patches_query_url(self) -> str:
        """The SQLAlchemy URL of the patch database for queries; empty without one."""
        own = self.patches_query_database.get_secret_value()
        return own or self.patches_database.get_secret_value()

    @cached_property
    def signing_key(self) -> bytes:
        """The key for worker tokens.

        Raises
        ------
        ConfigurationError
            If it is too short to protect anything, or cannot be kept.
        """
        path = self.folder / "secret"
        try:
            key = self.secret.encode() if self.secret else kept_key(path)
        except OSError as error:
            raise ConfigurationError(f"{path}: the key cannot be kept: {error}") from error
        if len(key) < MINIMUM_BYTES:
            place = "settings (CANDELA_SECRET)" if self.secret else str(path)
            raise ConfigurationError(
                f"{place}: the key has {len(key)} bytes, expected at least {MINIMUM_BYTES}"
                + (
                    ""
                    if self.secret
                    else "; remove the file, and a new key is made at the next start"
                )
            )
        return key


class Contact(BaseModel):
    """Who answers for the service (OWS Common 1.1, ServiceContact)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    position: str = ""
    phone: str = ""
    email: str = ""
    address: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


class Metadata(BaseModel):
    """metadata.yaml: what the service says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    abstract: str
    keywords: tuple[str, ...] = ()
    fees: str = "NONE"
    access_constraints: str = "NONE"
    attribution: str = ""
    provider: str
    provider_url: str = ""
    contact: Contact = Contact()

    @classmethod
    def load(cls, folder: Path) -> "Metadata":
        """Read metadata.yaml from the configuration folder."""
        path = folder / "metadata.yaml"
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise ConfigurationError(f"{path}: {error}") from error


class Limits(BaseModel):
    """pywps.cfg: what the gateway allows."""

    model_config = ConfigDict(frozen=True)

    max_request_bytes: int
    max_input_bytes: int
    running_jobs: int  # at the same time
    running_jobs_of_owner: int | None  # at the same time, of one owner
    queued_jobs: int  # waiting
    queued_jobs_of_owner: int | None = None  # waiting, of one owner who has a name
    stored_bytes: int | None = None  # of inputs in storage, of all jobs
    stored_bytes_of_owner: int | None = None  # the same of one owner who has a name
    max_priority: int = Field(ge=0)  # that a request may ask for; the lowest is its negative
    keep_days: float | None  # how long finished jobs and their results are kept
    upload_bytes: int = 64 * 2**30  # of all uploads together
    keep_upload_hours: float = 48  # after its last change or use
    input_folders: tuple[Path, ...]
    language: str

    @classmethod
    def load(cls, folder: Path) -> "Limits":
        """Read pywps.cfg from the configuration folder, by PyWPS's own rules."""
        path = folder / "pywps.cfg"
        if not path.is_file():
            raise ConfigurationError(f"{path}: no such file")
        try:
            configuration.load_configuration([str(path)])
            return cls(
                max_request_bytes=_megabytes("maxrequestsize"),
                max_input_bytes=_megabytes("maxsingleinputsize"),
                running_jobs=configuration.get_config_value("server", "parallelprocesses"),
                running_jobs_of_owner=_optional("parallelprocessesperowner"),
                keep_days=_optional("keepdays"),
                upload_bytes=_size("maxstoreduploads", "64gb"),
                keep_upload_hours=configuration.CONFIG.get(
                    "candela", "keepuploadhours", fallback="48"
                ),
                queued_jobs=configuration.get_config_value("server", "maxprocesses"),
                queued_jobs_of_owner=_optional("maxprocessesperowner"),
                stored_bytes=_optional_megabytes("maxstoredinputs"),
                stored_bytes_of_owner=_optional_megabytes("maxstoredinputsperowner"),
                max_priority=configuration.CONFIG.get("candela", "maxpriority", fallback="9"),
                input_folders=tuple(
                    Path(part)
                    for part in str(
                        configuration.get_config_value("server", "allowedinputpaths") or ""
                    ).split(":")
                    if part.strip()
                ),
                language=str(configuration.get_config_value("server", "language")).split(",")[0],
            )
        except (configparser.Error, ValueError) as error:
            raise ConfigurationError(f"{path}: {error}") from error


def _optional(key: str) -> int | None:
    """Return a value of our own section; 0 or nothing means no limit."""
    text = configuration.CONFIG.get("candela", key, fallback="")
    return int(text) or None if text else None


def _size(key: str, default: str) -> int:
    """Return a size of our own section, in bytes."""
    text = configuration.CONFIG.get("candela", key, fallback=default)
    return int(configuration.get_size_mb(text) * MEGABYTE)


def _optional_megabytes(key: str) -> int | None:
    """Return a size of our own section in bytes; 0 or nothing means no limit."""
    text = configuration.CONFIG.get("candela", key, fallback="")
    if not text.strip("0"):
        return None
    if not text[-1].isalpha():
        raise ValueError(f"{key} is {text!r}, expected a size with its unit, such as 20gb")
    return int(configuration.get_size_mb(text) * MEGABYTE)


def _megabytes(key: str) -> int:
    size = configuration.get_size_mb(configuration.get_config_value("server", key))
    return int(size * MEGABYTE)
