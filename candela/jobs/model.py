"""A job and its states.

accepted -> dispatching -> running -> publishing -> succeeded
Every state before the last may end in failed or dismissed instead.
"""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from candela.contract.job import Failure, ResultDocument
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
    """A job without its documents: what lists, polls and scans need, whatever users sent."""

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
    """Something that happened to a job; events are only ever added."""

    time: dt.datetime
    state: State
    message: str
