"""Rows of the job table: whole, or without the documents that may be large."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from candela.jobs.footprints import Footprint
from candela.jobs.model import Job, JobOutcome, JobSummary, State
from candela.jobs.tables import JOBS

LISTED_LENGTH = 64 * 2**10  # characters of a result that a list shows; a literal may be longer

SUMMARY = [column for column in JOBS.columns if column.name not in {"request", "result", "links"}]
OUTCOME = [*SUMMARY, JOBS.c.result, JOBS.c.links]
LISTED = [
    *SUMMARY,
    sa.case(
        (sa.func.length(sa.type_coerce(JOBS.c.result, sa.Text)) <= LISTED_LENGTH, JOBS.c.result)
    ).label("result"),
    JOBS.c.links,
]


def columns_of(job: Job) -> dict[str, object]:
    """Return a job as a row."""
    edges = job.footprint._asdict() if job.footprint else dict.fromkeys(Footprint._fields)
    names = (column.name for column in JOBS.columns if column.name not in edges)
    return {name: getattr(job, name) for name in names} | edges


def summary_of(row: Row[Any]) -> JobSummary:
    """Return the job of a row of ``SUMMARY``."""
    return JobSummary(**_values(row))


def outcome_of(row: Row[Any]) -> JobOutcome:
    """Return the job of a row of ``OUTCOME``."""
    return JobOutcome(**_values(row))


def job_of(row: Row[Any]) -> Job:
    """Return the job of a row of all columns."""
    return Job(**_values(row))


def _values(row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)
    values["state"] = State(values["state"])
    edges = [values.pop(name) for name in Footprint._fields]
    values["footprint"] = None if edges[0] is None else Footprint(*edges)
    return values
