"""Moves of a job from state to state, each with its event, inside a transaction."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.jobs.accounting import record
from candela.jobs.database import storable
from candela.jobs.footprints import footprint_of
from candela.jobs.model import TRANSITIONS, JobOutcome, State, now
from candela.jobs.rows import OUTCOME, outcome_of
from candela.jobs.tables import EVENTS, JOBS


def move(
    connection: Connection,
    job_id: str,
    sources: Iterable[State],
    changes: dict[str, Any],
    *,
    of_attempt: int | None = None,
    cause: str = "",
) -> JobOutcome | None:
    """Move a job to ``changes["state"]``, if it may go there from one of ``sources``.

    Returns
    -------
    JobOutcome or None
        The job as it is now, or None if somebody else moved it first.
    """
    target: State = changes["state"]
    allowed = [source for source in sources if target in TRANSITIONS.get(source, ())]
    if "message" in changes:
        changes["message"] = storable(changes["message"])
    if changes.get("result") is not None:
        place = footprint_of(changes["result"])
        changes |= place._asdict() if place else {}
    query = sa.update(JOBS).where(JOBS.c.id == job_id, JOBS.c.state.in_(allowed))
    if of_attempt is not None:
        query = query.where(JOBS.c.attempt == of_attempt)
    moved = connection.execute(query.values(updated=now(), **changes).returning(*OUTCOME)).first()
    if moved is None:
        return None
    job = outcome_of(moved)
    if not cause and job.error and target is State.FAILED:
        cause = job.error.kind
    note(connection, job_id, job.updated, target, job.message, cause)
    return job


def end(connection: Connection, job: JobOutcome) -> JobOutcome:
    """Write down how long a job has run, that has just ended, and what it has used."""
    assert job.finished is not None
    record(connection, job)
    if job.started is None:
        return job
    run_s = max(0.0, (job.finished - job.started).total_seconds())
    connection.execute(sa.update(JOBS).where(JOBS.c.id == job.id).values(run_s=run_s))
    return replace(job, run_s=run_s)


def note(
    connection: Connection,
    job_id: str,
    time: dt.datetime,
    state: State,
    message: str,
    cause: str = "",
) -> None:
    """Add an event."""
    connection.execute(
        sa.insert(EVENTS),
        {"job": job_id, "time": time, "state": state, "message": message, "cause": cause[:40]},
    )
