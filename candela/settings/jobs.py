"""Where jobs are kept, what they may read, and how many run."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from candela.contract.addresses import AllowedHost
from candela.settings.base import Default, Group, Option


class JobSettings(Group):
    """The job store, the storage of files, and inputs by reference."""

    database: Annotated[str, Default("SQLite in the data folder")] = ""
    """SQLAlchemy URL of the job store, such as `postgresql+psycopg://candela@host/candela`."""

    storage: Annotated[str, Default("`storage/` in the data folder")] = ""
    """Where job files are kept: `file:///folder` or `s3://bucket/prefix`, see
    [storage](#storage-in-a-bucket)."""

    s3_endpoint: Annotated[str, Default("boto3's own")] = ""
    """Address of the S3 server."""

    input_folders: Annotated[tuple[Path, ...], Option("--input-folder")] = ()
    """Folders that `file:` references may point into, beside those of `pywps.cfg`."""

    allowed_hosts: Annotated[tuple[str, ...], Option("--allow-host")] = ()
    """What `http:` references may point to beside public addresses: `host`, `host:port` or a
    network such as `10.0.0.0/8`, see [security](security.md)."""

    callback_hosts: tuple[str, ...] = ()
    """What [callbacks](jobs.md#callbacks) may be sent to beside public addresses, as in
    `CANDELA_ALLOWED_HOSTS`."""

    input_buckets: tuple[str, ...] = ()
    """Where `s3:` references may point, as `bucket` or `bucket/prefix`."""

    running_jobs: Annotated[int | None, Default("`parallelprocesses` of `pywps.cfg`")] = Field(
        default=None, gt=0
    )
    """How many jobs run at the same time; in a cluster, of all gateways of a namespace together."""

    sync_timeout_s: float = Field(default=3600, gt=0)
    """The time limit of a synchronous Execute."""

    grace_s: float = Field(default=1.5, ge=0)
    """The longest delay of the response to an asynchronous Execute, for a job that ends in it."""

    @field_validator("allowed_hosts", "callback_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            AllowedHost.parse(host)
        return hosts
