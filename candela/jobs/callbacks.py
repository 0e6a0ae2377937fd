"""News of jobs that are sent to subscribers: which are due, whose turn it is, what became of them.

A row for each address of a job's ``subscriber`` is written with the job. It is due as soon as the
job is in a state of its event, so nothing has to be written when the job moves. A gateway takes a
row by moving its time into the future, a compare-and-set; if it dies, the row is due again then.
"""

import datetime as dt
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.contract.addresses import AddressGuard
from candela.errors import InvalidValueError, ReferenceUnavailableError
from candela.jobs.database import Database, storable
from candela.jobs.model import UNFINISHED, Job, State, now
from candela.jobs.request import Subscriber
from candela.jobs.tables import CALLBACKS, EVENTS, JOBS

LONGEST = 2000  # characters of an address
LOCAL_NAMES = (".localhost", ".local", ".internal", ".svc", ".cluster.local")


class News(StrEnum):
    """What an address is told, by its name in a subscriber."""

    SUCCESS = "successUri"
    IN_PROGRESS = "inProgressUri"
    FAILED = "failedUri"


STATES = {
    News.SUCCESS: (State.SUCCEEDED,),
    News.IN_PROGRESS: (State.RUNNING, State.PUBLISHING),
    News.FAILED: (State.FAILED, State.DISMISSED),
}
_IS_DUE = sa.or_(
    *(
        sa.and_(CALLBACKS.c.event == event, JOBS.c.state.in_(states))
        for event, states in STATES.items()
    )
)


class Callback(NamedTuple):
    """A row that a gateway has taken."""

    job: str
    event: News
    url: str
    since: dt.datetime  # of the first attempt
    not_before: dt.datetime
    attempts: int  # this one too, if it was taken


def check_subscriber(subscriber: Subscriber | None, guard: AddressGuard) -> None:
    """Check the addresses of a subscriber, before there is a job.

    A name is looked up when it is connected to; what it leads to is checked then.

    Raises
    ------
    InvalidValueError
        With the member to blame as its locator.
    """
    for event, url in _addresses(subscriber):
        locator = f"subscriber.{event}"
        if len(url) > LONGEST:
            raise InvalidValueError(
                f"{locator} has {len(url)} characters, at most {LONGEST} are allowed", locator
            )
        try:
            guard.check(url)
        except ReferenceUnavailableError as error:
            raise InvalidValueError(f"{locator}: {error.message}", locator) from None
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if not url.isascii() or parts.username is not None or parts.fragment:
            raise InvalidValueError(
                f"{locator} is no plain address: expected ASCII, no user and no fragment", locator
            )
        is_local = ":" not in host and ("." not in host or host.endswith(LOCAL_NAMES))
        if is_local and not guard.allows_name(host):
            raise InvalidValueError(f"{locator}: {host} is no public name", locator)


def _addresses(subscriber: Subscriber | None) -> list[tuple[News, str]]:
    if subscriber is None:
        return []
    found = {
        News.SUCCESS: subscriber.success_uri,
        News.IN_PROGRESS: subscriber.in_progress_uri,
        News.FAILED: subscriber.failed_uri,
    }
    return [(event, url) for event, url in found.items() if url is not None]


def keep_callbacks(connection: Connection, job: Job) -> None:
    """Write down to whom news of a new job is to be sent."""
    for event, url in _addresses(job.request.subscriber):
        connection.execute(
            sa.insert(CALLBACKS),
            {"job": job.id, "event": event, "url": url, "attempts": 0}
            | {"since": job.created, "not_before": job.created},
        )


class CallbackQueue:
    """The callbacks of all jobs of a database.

    Parameters
    ----------
    database : Database
        The job database.
    lease_s : float
        How long a gateway has a callback for itself.
    """

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease = dt.timedelta(seconds=lease_s)

    def due(self, limit: int) -> list[Callback]:
        """Return callbacks that may be sent now, the longest due first."""
        query = (
            sa.select(CALLBACKS)
            .join(JOBS, JOBS.c.id == CALLBACKS.c.job)
            .where(CALLBACKS.c.not_before <= now(), _IS_DUE)
            .order_by(CALLBACKS.c.not_before)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings()
            return [Callback(**{**row, "event": News(row["event"])}) for row in rows]

    def take(self, callback: Callback) -> Callback | None:
        """Take a callback for a while; None if another gateway was faster."""
        time = now()
        taken = callback._replace(
            since=callback.since if callback.attempts else time,
            not_before=time + self._lease,
            attempts=callback.attempts + 1,  # now: one during which a gateway dies counts as well
        )
        values = {name: getattr(taken, name) for name in ("since", "not_before", "attempts")}
        with self._database.write() as connection:
            done = connection.execute(
                sa.update(CALLBACKS)
                .where(_is(callback), CALLBACKS.c.not_before == callback.not_before)
                .values(values)
            )
        return taken if done.rowcount else None

    def postpone(self, callback: Callback, pause_s: float) -> None:
        """Try again after a pause."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(CALLBACKS)
                .where(_is(callback), CALLBACKS.c.not_before == callback.not_before)
                .values(not_before=now() + dt.timedelta(seconds=pause_s))
            )

    def finish(self, callback: Callback, *, failure: str = "") -> None:
        """Forget a callback that was sent, or given up; the latter is an event of the job."""
        with self._database.write() as connection:
            is_last = callback.event is not News.IN_PROGRESS
            those = CALLBACKS.c.job == callback.job if is_last else _is(callback)
            connection.execute(sa.delete(CALLBACKS).where(those))
            state = connection.execute(
                sa.select(JOBS.c.state).where(JOBS.c.id == callback.job)
            ).scalar()
            if failure and state:
                connection.execute(
                    sa.insert(EVENTS),
                    {"job": callback.job, "time": now(), "state": state}
                    | {"message": storable(f"{callback.event} was not told: {failure}")},
                )

    def forget_orphans(self) -> None:
        """Forget the callbacks of jobs that are no more, or have ended otherwise."""
        may_be_due = (
            sa.exists()
            .where(JOBS.c.id == CALLBACKS.c.job, sa.or_(JOBS.c.state.in_(UNFINISHED), _IS_DUE))
            .correlate(CALLBACKS)
        )
        with self._database.write() as connection:
            connection.execute(sa.delete(CALLBACKS).where(~may_be_due))


def _is(callback: Callback) -> sa.ColumnElement[bool]:
    return sa.and_(CALLBACKS.c.job == callback.job, CALLBACKS.c.event == callback.event)
