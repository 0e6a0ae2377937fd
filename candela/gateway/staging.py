"""Where workers may take inputs from, as the settings say."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from candela.contract.job import Staging
from candela.gateway import uploads
from candela.settings import ConfigurationError, Limits, Settings


def staging_of(settings: Settings, limits: Limits) -> Staging:
    """Return the addresses and places from which jobs of a gateway may take inputs.

    Raises
    ------
    ConfigurationError
        If an input folder holds the files of all owners.
    """
    folders = [folder.resolve() for folder in (*limits.input_folders, *settings.input_folders)]
    if settings.owner_header:
        _keep_jobs_private(settings.storage_url, folders)
    return Staging(
        outputs_url=f"{settings.base_url}/outputs/",
        uploads_url=uploads.url(settings),
        allowed_folders=tuple(map(str, folders)),
        allowed_hosts=settings.allowed_hosts,
        allowed_buckets=settings.input_buckets,
        max_input_bytes=limits.max_input_bytes,
    )


def _keep_jobs_private(storage_url: str, folders: Iterable[Path]) -> None:
    parts = urlsplit(storage_url)
    if parts.scheme != "file":
        return
    kept = Path(unquote(parts.path)).resolve()
    for folder in folders:
        if kept.is_relative_to(folder) or folder.is_relative_to(kept):
            raise ConfigurationError(
                f"inputs may not be read from {folder}: jobs of all owners are kept in {kept}"
            )
