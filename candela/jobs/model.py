"""A job and its states.

accepted -> dispatching -> running -> publishing -> succeeded
Every state before the last may end in failed or dismissed instead, and a finished job may be
dismissed. What is removed leaves a tombstone: a row without result, files and layers.
"""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from candela.contract.job import Failure, ResultDocument
from candela.jobs.footprints import Footprint
from candela.jobs.request import ExecuteRequest


class State(StrEnum):
    """Where a job stands."""

    ACCEPTED = "accepted"
    DISPATCHING = "dispatching"
    RUNNING = "running"
    PUBLISHING = "publishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DISMISSED = "dismissed"

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.DISMISSED})
ACTIVE = frozenset({State.DISPATCHING, State.RUNNING, State.PUBLISHING})
UNFINISHED = frozenset(State) - FINAL

TRANSITIONS: dict[State, frozenset[State]] = {
    State.ACCEPTED: frozenset({State.DISPATCHING, State.FAILED, State.DISMISSED}),
    State.DISPATCHING: frozenset({State.RUNNING, State.FAILED, State.DISMISSED, State.ACCEPTED}),
    State.RUNNING: frozenset({State.PUBLISHING, State.FAILED, State.DISMISSED, State.ACCEPTED}),
    State.PUBLISHING: frozenset(
        {State.PUBLISHING, State.SUCCEEDED, State.FAILED, State.DISMISSED}
    ),  # to itself: it tells why it takes long
    State.SUCCEEDED: frozenset({State.DISMISSED}),
    State.FAILED: frozenset({State.DISMISSED}),
}  # back to accepted: the machine, not the algorithm, broke the attempt


def now() -> dt.datetime:
    """Return the current time, in UTC."""
    return dt.datetime.now(dt.UTC)


def new_id() -> str:
    """Return a new job id."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Link:
    """Where a published output is served; rasters have a WCS, polygons a WFS."""

    layer: str
    wms: str
    wcs: str = ""
    wfs: str = ""


@dataclass(frozen=True)
class JobSummary:
    """A job without its documents: what lists, polls and scans need, whatever users sent.

    Attributes
    ----------
    expires : datetime, optional
        When the results of a finished job are removed, or its tombstone.
    run_s : float, optional
        How long its last attempt ran, of a job that has ended (s).
    removed : datetime, optional
        When result, files and layers were removed: the row is a tombstone since then.
    removed_by : str
        The name of who dismissed it; empty where retention removed it.
    footprint : Footprint, optional
        Where its result lies on Earth.
    """

    id: str
    process: str
    version: str
    created: dt.datetime
    updated: dt.datetime
    description: str = ""  # SHA-256 of that of the process when the job was accepted
    mode: str = "async"  # or "sync": how the first answer was asked for
    owner: str = ""
    title: str = ""  # what the user calls it
    state: State = State.ACCEPTED
    percent: float = 0.0
    message: str = "accepted"
    attempt: int = 1
    priority: int = 0
    stored_bytes: int = 0  # of inputs that are kept in storage
    runner: str = ""  # who runs it: Runner.name
    backend: str = ""  # what the runner calls it
    error: Failure | None = None
    idempotency_key: str | None = None
    started: dt.datetime | None = None
    finished: dt.datetime | None = None
    not_before: dt.datetime | None = None  # when the next try may start
    deadline: dt.datetime | None = None
    expires: dt.datetime | None = None
    run_s: float | None = None
    removed: dt.datetime | None = None
    removed_by: str = ""
    footprint: Footprint | None = None

    @property
    def is_expired(self) -> bool:
        """Whether retention has removed the results."""
        return self.removed is not None and self.state is not State.DISMISSED

    @property
    def whole_percent(self) -> int:
        """The progress as every protocol can say it: whole, and below 100 until the end."""
        return min(99, max(0, int(self.percent)))


@dataclass(frozen=True)
class JobOutcome(JobSummary):
    """A job with what came of it."""

    result: ResultDocument | None = None
    links: dict[str, Link] | None = None  # by output


@dataclass(frozen=True)
class Job(JobOutcome):
    """One row of the job table."""

    request: ExecuteRequest = field(default_factory=ExecuteRequest, kw_only=True)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; events are only ever added.

    Attributes
    ----------
    state : State
        The state since then.
    cause : str
        Why, in one word, where it was not the job's usual way: the kind of a failure, ``user`` or
        ``operator`` who dismissed it, ``retention``.
    """

    time: dt.datetime
    state: State
    message: str
    cause: str = ""
