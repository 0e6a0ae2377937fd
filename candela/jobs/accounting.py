"""What jobs have used, kept longer than the jobs themselves."""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.jobs.model import JobOutcome
from candela.jobs.tables import CONSUMPTION

SUMS = ("wall_s", "cpu_s", "gb_s", "input_bytes", "output_bytes")


@dataclass(frozen=True)
class Consumption:
    """What a job, or several, have used.

    Attributes
    ----------
    wall_s : float
        Time of workers, from the start of one to its end.
    cpu_s : float
        CPU time of workers and their children.
    gb_s : float
        The most memory that a worker had at once (GB, 10^9 bytes), times its time.
    input_bytes, output_bytes : int
        What was fetched and stored.
    """

    owner: str
    process: str
    jobs: int = 1
    wall_s: float = 0
    cpu_s: float = 0
    gb_s: float = 0
    input_bytes: int = 0
    output_bytes: int = 0

    @classmethod
    def of(cls, job: JobOutcome) -> "Consumption":
        """Return what a job has used.

        A worker measures itself; of one that left no result only the time is known.
        """
        if job.result is None:
            ran = job.finished - job.started if job.finished and job.started else dt.timedelta()
            return cls(job.owner, job.process, wall_s=round(ran.total_seconds(), 3))
        usage = job.result.usage
        return cls(
            job.owner,
            job.process,
            wall_s=usage.wall_s,
            cpu_s=usage.cpu_s,
            gb_s=round(usage.max_rss_bytes / 1e9 * usage.wall_s, 3),
            input_bytes=usage.input_bytes,
            output_bytes=usage.output_bytes,
        )


class JobUsage(NamedTuple):
    """What one job has used, in all that is kept of it.

    Attributes
    ----------
    wall_s, cpu_s : float
        Time of its worker, and CPU time of the worker and its children (s).
    peak_memory_bytes : int
        The most memory that the worker had at once; 0 where it is not known.
    input_bytes, output_bytes : int
        What was fetched and stored.
    """

    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    input_bytes: int
    output_bytes: int


def usage_of(connection: Connection, job_id: str) -> JobUsage | None:
    """Return what a job has used, also of one whose result is removed; None before its end."""
    columns = [CONSUMPTION.c[name] for name in JobUsage._fields]
    found = connection.execute(sa.select(*columns).where(CONSUMPTION.c.job == job_id)).first()
    return None if found is None else JobUsage(*found)


def record(connection: Connection, job: JobOutcome) -> None:
    """Write down what a job has used, at its end."""
    used = Consumption.of(job)
    values = {name: getattr(used, name) for name in ("owner", "process", *SUMS)}
    values["peak_memory_bytes"] = job.result.usage.max_rss_bytes if job.result else 0
    connection.execute(
        sa.insert(CONSUMPTION),
        {"job": job.id, "finished": job.finished, "state": job.state} | values,
    )


def totals(
    connection: Connection,
    since: dt.datetime | None,
    until: dt.datetime | None,
    owner: str | None = None,
) -> list[Consumption]:
    """Return what was used by each owner and process, of jobs that ended in a span of time."""
    columns = (CONSUMPTION.c.owner, CONSUMPTION.c.process)
    query = sa.select(
        *columns,
        sa.func.count().label("jobs"),
        *(sa.func.sum(CONSUMPTION.c[name]).label(name) for name in SUMS),
    )
    if since is not None:
        query = query.where(CONSUMPTION.c.finished >= since)
    if until is not None:
        query = query.where(CONSUMPTION.c.finished < until)
    if owner is not None:
        query = query.where(CONSUMPTION.c.owner == owner)
    rows = connection.execute(query.group_by(*columns).order_by(*columns))
    return [Consumption(**row._mapping) for row in rows]
