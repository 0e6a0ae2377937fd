"""The job store: every change of a job is one committed compare-and-set.

SQLite in WAL mode on one machine, PostgreSQL where several gateways share it; the tests run on
both.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.errors import NoSuchJobError, UnavailableError
from candela.jobs import listing, tombstones
from candela.jobs.accounting import Consumption, JobUsage, totals, usage_of
from candela.jobs.admission import Capacity, check_room, take_turns
from candela.jobs.callbacks import keep_callbacks
from candela.jobs.database import Database, storable
from candela.jobs.listing import JobPage, JobQuery
from candela.jobs.model import Event, Job, JobOutcome, JobSummary, State, now
from candela.jobs.moves import end, move, note
from candela.jobs.queue import Bounds, Share, choose
from candela.jobs.rows import (
    LISTED,
    OUTCOME,
    SUMMARY,
    columns_of,
    job_of,
    outcome_of,
    summary_of,
)
from candela.jobs.tables import EVENTS, JOBS
from candela.jobs.turns import STARTED, candidates, running, shares_of

RECENT_RUNS = 20
MOST_ASKED = 1000  # ids in one query
QUEUE_LOCK = 0x43514555  # any number: dispatchers that claim at the same time take turns
POLL_S = 0.25  # how often a waiter looks for changes made by another process


class JobStore:
    """Jobs in a database.

    All methods may be called from any thread and, on one database, from any process. They raise
    ``UnavailableError`` while the database does not answer.

    Parameters
    ----------
    url : str
        An SQLAlchemy URL.
    keep_days : float, optional
        How long finished jobs are kept; without it, until somebody removes them.
    keep_tombstone_days : float, optional
        How long the rows of removed jobs are kept.
    """

    def __init__(
        self, url: str, *, keep_days: float | None = None, keep_tombstone_days: float = 30
    ) -> None:
        self._keep = None if keep_days is None else dt.timedelta(days=keep_days)
        self._keep_tombstones = dt.timedelta(days=keep_tombstone_days)
        self.database = Database(url)
        self._changed = threading.Condition()
        self.moved: Callable[[JobOutcome], None] = _ignore  # is told of what this process moves
        self.changes = 0  # made by this process

    def close(self) -> None:
        """Release all connections."""
        self.database.close()

    def ping(self) -> None:
        """Ask the database for nothing.

        Raises
        ------
        UnavailableError
            If it does not answer.
        """
        with self._read() as connection:
            connection.execute(sa.select(1))

    def check_room(self, capacity: Capacity, owner: str, size: int) -> None:
        """Check whether a job might be added now; ``add`` has the last word.

        Raises
        ------
        BusyError
            If there is no room for it.
        """
        with self._read() as connection:
            check_room(connection, capacity, owner, size)

    def add(self, job: Job, capacity: Capacity | None = None) -> None:
        """Write a new job; it is on disk when the method returns.

        Parameters
        ----------
        capacity : Capacity, optional
            How much may wait and be kept; checked in the same transaction.

        Raises
        ------
        BusyError
            If there is no room for it.
        sqlalchemy.exc.IntegrityError
            If its owner has used its idempotency key before.
        """
        with self._write() as connection:
            if capacity is not None:
                take_turns(connection)
                check_room(connection, capacity, job.owner, job.stored_bytes)
            connection.execute(sa.insert(JOBS), columns_of(job))
            keep_callbacks(connection, job)
            note(connection, job.id, job.created, job.state, job.message)
        self.moved(job)

    def get(self, job_id: str, *, owner: str | None = None) -> Job:
        """Return a job with its request.

        Parameters
        ----------
        owner : str, optional
            Whose job it must be.

        Raises
        ------
        NoSuchJobError
            If there is none with this id, or of this owner.
        GoneError
            If there was one, which is purged.
        """
        return job_of(self._row(sa.select(JOBS), job_id, owner))

    def outcome(self, job_id: str, *, owner: str | None = None) -> JobOutcome:
        """Return a job with what came of it; raises as ``get``."""
        return outcome_of(self._row(sa.select(*OUTCOME), job_id, owner))

    def summary(self, job_id: str, *, owner: str | None = None) -> JobSummary:
        """Return a job without its documents; raises as ``get``."""
        return summary_of(self._row(sa.select(*SUMMARY), job_id, owner))

    def _row(self, query: sa.Select[Any], job_id: str, owner: str | None) -> sa.Row[Any]:
        with self._read() as connection:
            row = connection.execute(
                _filtered(query.where(JOBS.c.id == job_id), owner=owner)
            ).first()
            gone = tombstones.purged(connection, job_id, owner) if row is None else None
        if row is None:
            raise gone or NoSuchJobError(f"there is no job {job_id!r}", "jobId")
        return row

    def jobs(
        self,
        *,
        states: Collection[State] | None = None,
        process: str | None = None,
        runner: str | None = None,
        owner: str | None = None,
        limit: int = 100,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> list[JobSummary]:
        """List jobs, the newest first unless told otherwise."""
        query = _filtered(sa.select(*SUMMARY), states, process, runner, owner)
        query = query.limit(limit).offset(offset)
        by_time = JOBS.c.created if oldest_first else JOBS.c.created.desc()
        with self._read() as connection:
            return [summary_of(row) for row in connection.execute(query.order_by(by_time))]

    def outcomes(
        self,
        *,
        states: Collection[State] | None = None,
        process: str | None = None,
        owner: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[JobOutcome]:
        """List jobs with what came of them, the newest first; large results are left out."""
        query = _filtered(sa.select(*LISTED), states, process, owner=owner)
        query = query.limit(limit).offset(offset)
        with self._read() as connection:
            rows = connection.execute(query.order_by(JOBS.c.created.desc()))
            return [outcome_of(row) for row in rows]

    def page(self, query: JobQuery, *, owner: str | None = None) -> JobPage:
        """Return a page of the jobs that match, the newest first; large results are left out."""
        with self._read() as connection:
            return listing.page(connection, query, owner)

    def matches(self, query: JobQuery, *, owner: str | None = None) -> int:
        """Count the jobs that match, on all pages."""
        with self._read() as connection:
            return listing.count(connection, query, owner)

    def count(
        self,
        *,
        states: Collection[State] | None = None,
        process: str | None = None,
        runner: str | None = None,
        owner: str | None = None,
    ) -> int:
        """Count jobs."""
        query = sa.select(sa.func.count()).select_from(JOBS)
        query = _filtered(query, states, process, runner, owner)
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def claim(self, runner: str, bounds: Bounds) -> list[JobSummary]:
        """Take the jobs whose turn it is, as many as the limits allow; they are dispatching now.

        Gateways that claim at the same time take turns, so that limits hold for all together; only
        the slots are those of one runner.
        """
        waiting = sa.select(JOBS.c.id).where(JOBS.c.state == State.ACCEPTED).limit(1)
        with self._read() as connection:
            if connection.execute(waiting).first() is None:
                return []
        with self._write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(QUEUE_LOCK)))
            mine = sa.select(sa.func.count()).where(
                JOBS.c.state.in_(STARTED), JOBS.c.runner == runner
            )
            free = bounds.slots - int(connection.execute(mine).scalar_one())
            if free <= 0:
                return []
            chosen = choose(candidates(connection, free), running(connection), free, bounds)
            changes = {"state": State.DISPATCHING, "runner": runner, "message": "starting"}
            return [
                job
                for job_id in chosen
                if (job := move(connection, job_id, [State.ACCEPTED], changes))
            ]

    def shares(self, job: JobSummary) -> list[Share]:
        """Return what waits and what runs, as one waiting job sees it."""
        with self._read() as connection:
            return shares_of(connection, job)

    def run_time_s(self, process: str) -> float | None:
        """Return how long the last jobs of a process ran on average; None if there were none."""
        query = (
            sa.select(JOBS.c.started, JOBS.c.finished)
            .where(JOBS.c.process == process, JOBS.c.state == State.SUCCEEDED)
            .order_by(JOBS.c.finished.desc())
            .limit(RECENT_RUNS)
        )
        with self._read() as connection:
            times = [
                (row.finished - row.started).total_seconds()
                for row in connection.execute(query)
                if row.started is not None
            ]
        return sum(times) / len(times) if times else None

    def find_by_key(self, owner: str, key: str) -> Job | None:
        """Return the job that an owner submitted under an idempotency key."""
        query = sa.select(JOBS).where(JOBS.c.owner == owner, JOBS.c.idempotency_key == key)
        with self._read() as connection:
            row = connection.execute(query).first()
        return None if row is None else job_of(row)

    def expired(self, moment: dt.datetime, limit: int) -> list[JobSummary]:
        """Return finished jobs, and tombstones, whose time to be kept is over."""
        query = (
            sa.select(*SUMMARY)
            .where(JOBS.c.expires < moment, JOBS.c.state.in_([s for s in State if s.is_final]))
            .limit(limit)
        )
        with self._read() as connection:
            return [summary_of(row) for row in connection.execute(query)]

    def states(self, job_ids: Collection[str]) -> dict[str, State]:
        """Return the states of those of some ids that belong to a job; not of expired ones.

        What files and layers there still are of an expired job belongs to nobody.
        """
        states: dict[str, State] = {}
        is_kept = sa.or_(JOBS.c.removed.is_(None), JOBS.c.state == State.DISMISSED)
        with self._read() as connection:
            for ids in batched(job_ids, MOST_ASKED):
                query = sa.select(JOBS.c.id, JOBS.c.state).where(JOBS.c.id.in_(ids), is_kept)
                states |= {row.id: State(row.state) for row in connection.execute(query)}
        return states

    def removed(self, runner: str, limit: int) -> list[JobSummary]:
        """Return tombstones of jobs of a runner of which something may be left."""
        query = sa.select(*SUMMARY).where(JOBS.c.removed.is_not(None), JOBS.c.runner == runner)
        with self._read() as connection:
            return [summary_of(row) for row in connection.execute(query.limit(limit))]

    def note_cleared(self, job_id: str) -> None:
        """Note of a tombstone that nothing else of its job is left to look for."""
        with self._write() as connection:
            connection.execute(
                sa.update(JOBS)
                .where(JOBS.c.id == job_id, JOBS.c.removed.is_not(None))
                .values(runner="", backend="")
            )

    def published(self, runner: str) -> dict[str, frozenset[str]]:
        """Return the names of the layers that each successful job of a runner has, by job."""
        query = sa.select(JOBS.c.id, JOBS.c.links).where(
            JOBS.c.state == State.SUCCEEDED, JOBS.c.links.is_not(None), JOBS.c.runner == runner
        )
        with self._read() as connection:
            return {
                row.id: frozenset(link.layer for link in row.links.values())
                for row in connection.execute(query)
                if row.links
            }

    def move(
        self,
        job_id: str,
        sources: Iterable[State],
        target: State,
        *,
        of_attempt: int | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> JobOutcome | None:
        """Move a job to another state, if it is in one of ``sources`` and may go there.

        Parameters
        ----------
        of_attempt : int, optional
            Move it only if this is its attempt still: what another gateway tries again meanwhile
            is not to be ended by news of the attempt before.

        Returns
        -------
        JobOutcome or None
            The job as it is now, or None if somebody else moved it first.
        """
        assert target is not State.DISMISSED  # which leaves a tombstone: see ``dismiss``
        changes["state"] = target
        if target.is_final:
            changes["finished"] = time = now()
            changes["expires"] = time + self._keep if self._keep else None
        with self._write() as connection:
            job = move(connection, job_id, sources, changes, of_attempt=of_attempt)
            if job is not None and target.is_final:
                job = end(connection, job)
        if job is not None:
            self.moved(job)
        return job

    def report(self, job_id: str, percent: float, message: str) -> bool:
        """Note the progress of a running job; a report that comes late is dropped."""
        with self._write() as connection:
            done = connection.execute(
                sa.update(JOBS)
                .where(
                    JOBS.c.id == job_id,
                    JOBS.c.state.in_([State.DISPATCHING, State.RUNNING]),
                    JOBS.c.percent <= percent,
                )
                .values(percent=percent, message=storable(message), updated=now())
            )
        return bool(done.rowcount)

    def consumption(
        self,
        *,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        owner: str | None = None,
    ) -> list[Consumption]:
        """Return what each owner has used with each process, by jobs that ended in this time."""
        with self._read() as connection:
            return totals(connection, since, until, owner)

    def usage(self, job_id: str) -> JobUsage | None:
        """Return what a job has used; None while it is not finished."""
        with self._read() as connection:
            return usage_of(connection, job_id)

    def tally(self) -> dict[tuple[str, State], int]:
        """Count jobs by process and state."""
        query = sa.select(JOBS.c.process, JOBS.c.state, sa.func.count())
        with self._read() as connection:
            rows = connection.execute(query.group_by(JOBS.c.process, JOBS.c.state))
            return {(process, State(state)): count for process, state, count in rows}

    def events(self, job_id: str) -> list[Event]:
        """Return what happened to a job, in order."""
        query = sa.select(EVENTS).where(EVENTS.c.job == job_id).order_by(EVENTS.c.number)
        with self._read() as connection:
            return [
                Event(row.time, State(row.state), row.message, row.cause)
                for row in connection.execute(query)
            ]

    def dismiss(self, job_id: str, *, name: str, message: str, cause: str) -> JobOutcome | None:
        """Make a tombstone of a job that is dismissed, finished or not; None if it is one.

        Parameters
        ----------
        name, message, cause : str
            Who did it: their name, in a sentence, and for the event in a word.
        """
        with self._write() as connection:
            job = tombstones.dismiss(
                connection, job_id,
                keep=self._keep_tombstones, name=name, message=message, cause=cause,
            )  # fmt: skip
        if job is not None and job.finished == job.removed:  # it was not finished before
            self.moved(job)
        return job

    def expire(self, job_id: str, moment: dt.datetime) -> bool:
        """Make a tombstone of a finished job whose time is over; tell whether it was one."""
        with self._write() as connection:
            return tombstones.expire(connection, job_id, moment, self._keep_tombstones)

    def purge(self, job_id: str) -> None:
        """Forget a job and its events, but for its id and owner; only in a final state."""
        with self._write() as connection:
            tombstones.purge(connection, job_id)

    def wait(self, job_id: str, timeout_s: float, *, owner: str | None = None) -> Job:
        """Wait until a job is in a final state, or the time is over; return it as it is then.

        A database that is away meanwhile is waited for, too. Raises as ``get``.
        """
        end = time.monotonic() + timeout_s
        while True:
            seen, left = self.changes, end - time.monotonic()
            try:
                if left <= 0 or self._is_over(job_id, owner):
                    return self.get(job_id, owner=owner)
            except UnavailableError:
                if left <= 0:
                    raise
            with self._changed:
                if seen == self.changes:
                    self._changed.wait(min(max(left, 0), POLL_S))

    def _is_over(self, job_id: str, owner: str | None) -> bool:
        query = _filtered(sa.select(JOBS.c.state).where(JOBS.c.id == job_id), owner=owner)
        with self._read() as connection:
            state = connection.execute(query).scalar()
        return state is None or State(state).is_final

    def wait_for_change(self, timeout_s: float) -> None:
        """Sleep until this process changes any job, or the time is over."""
        with self._changed:
            self._changed.wait(timeout_s)

    def wake(self) -> None:
        """Wake all that wait."""
        with self._changed:
            self.changes += 1
            self._changed.notify_all()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self.database.read() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self.database.write() as connection:
            yield connection
        self.wake()


def _ignore(job: JobSummary) -> None:
    """Take no note."""


def batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Return items in lists of a size; the last one may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _filtered(
    query: sa.Select[Any],
    states: Collection[State] | None = None,
    process: str | None = None,
    runner: str | None = None,
    owner: str | None = None,
) -> sa.Select[Any]:
    if states is not None:
        query = query.where(JOBS.c.state.in_(list(states)))
    if process is not None:
        query = query.where(JOBS.c.process == process)
    if runner is not None:
        query = query.where(JOBS.c.runner == runner)
    if owner is not None:
        query = query.where(JOBS.c.owner == owner)
    return query
