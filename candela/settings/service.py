"""wps_config: who runs the service, and what it allows."""

import configparser
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pywps import configuration

from candela.settings.base import ConfigurationError

MEGABYTE = 2**20


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
    keep_tombstone_days: float = Field(default=30, ge=0)  # how long removed jobs are listed
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
                keep_tombstone_days=configuration.CONFIG.get(
                    "candela", "keeptombstonedays", fallback="30"
                ),
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
