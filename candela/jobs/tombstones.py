"""What is left of a job whose result is removed: a row, and after a while no more than its id.

A job is removed because somebody dismissed it, or because the time that results are kept is over
(it is expired). The row is changed first, in one transaction; then layers and files go. Where a
gateway dies in between, the reconciler finds the row as a tombstone and finishes the work.
"""

import datetime as dt
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.errors import GoneError, JobDismissedError, JobExpiredError
from candela.jobs.model import UNFINISHED, JobOutcome, JobSummary, State, now
from candela.jobs.moves import end, move, note
from candela.jobs.tables import EVENTS, JOBS, PURGED

EXPIRED = "the results have expired"
RETENTION = "retention"  # the cause
MOST_PURGED = 200_000  # ids that are remembered
FINISHED = (State.SUCCEEDED, State.FAILED)
EMPTY = {"result": None, "links": None, "stored_bytes": 0}


def dismiss(
    connection: Connection,
    job_id: str,
    *,
    keep: dt.timedelta,
    name: str,
    message: str,
    cause: str,
) -> JobOutcome | None:
    """Move a job to dismissed, whether it is finished or not.

    Returns
    -------
    JobOutcome or None
        The tombstone; None if the job was dismissed before.
    """
    time = now()
    changes = {
        "state": State.DISMISSED,
        "message": message,
        "error": None,
        "removed": time,
        "removed_by": name,
        "expires": time + keep,
    }
    job = move(connection, job_id, UNFINISHED, {**changes, "finished": time}, cause=cause)
    if job is not None:
        job = end(connection, job)
    else:
        job = move(connection, job_id, FINISHED, changes, cause=cause)
    if job is None:
        return None
    connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(EMPTY))
    return replace(job, result=None, links=None, stored_bytes=0)


def expire(connection: Connection, job_id: str, moment: dt.datetime, keep: dt.timedelta) -> bool:
    """Make a finished job whose time is over an expired one; its idempotency key is free again.

    Returns
    -------
    bool
        Whether it was one: somebody else may have been faster.
    """
    changes = {**EMPTY, "removed": moment, "expires": moment + keep, "idempotency_key": None}
    state = connection.execute(
        sa.update(JOBS)
        .where(
            JOBS.c.id == job_id,
            JOBS.c.state.in_(FINISHED),
            JOBS.c.removed.is_(None),
            JOBS.c.expires < moment,
        )
        .values(updated=moment, **changes)
        .returning(JOBS.c.state)
    ).scalar()
    if state is not None:
        note(connection, job_id, moment, State(state), EXPIRED, RETENTION)
    return state is not None


def purge(connection: Connection, job_id: str) -> None:
    """Forget a finished job and its events; its id and owner are remembered, for a while."""
    gone = connection.execute(
        sa.delete(JOBS)
        .where(JOBS.c.id == job_id, JOBS.c.state.in_([state for state in State if state.is_final]))
        .returning(JOBS.c.owner, JOBS.c.state)
    ).first()
    if gone is None:
        return
    connection.execute(sa.delete(EVENTS).where(EVENTS.c.job == job_id))
    is_expired = gone.state != State.DISMISSED
    number = connection.execute(
        sa.insert(PURGED)
        .values(job=job_id, owner=gone.owner, is_expired=is_expired)
        .returning(PURGED.c.number)
    ).scalar_one()
    connection.execute(sa.delete(PURGED).where(PURGED.c.number <= number - MOST_PURGED))


def purged(connection: Connection, job_id: str, owner: str | None) -> GoneError | None:
    """Return what to say of a job that was purged; None of one that never was, for this owner."""
    query = sa.select(PURGED.c.is_expired).where(PURGED.c.job == job_id)
    if owner is not None:
        query = query.where(PURGED.c.owner == owner)
    is_expired = connection.execute(query).scalar()
    return None if is_expired is None else _error(job_id, is_expired=is_expired)


def check_kept(job: JobSummary) -> None:
    """Check that a job has not been removed: a result is to be read.

    Raises
    ------
    JobDismissedError, JobExpiredError
        If it is a tombstone.
    """
    if job.removed is not None:
        raise _error(job.id, is_expired=job.is_expired)


def _error(job_id: str, *, is_expired: bool) -> GoneError:
    if is_expired:
        return JobExpiredError(f"the results of job {job_id} have expired", "jobId")
    return JobDismissedError(f"job {job_id} was dismissed", "jobId")
