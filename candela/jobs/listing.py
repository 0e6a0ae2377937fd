"""Lists of jobs, the newest first: which ones, in pages that stay the same while jobs arrive.

A page is found in an index that has all that lists are filtered by, and nothing wide: of jobs that
do not match, no row is read. Then the rows of the page are read by id.
"""

import base64
import binascii
import datetime as dt
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.errors import InvalidValueError
from candela.jobs.footprints import TURN, Footprint, across
from candela.jobs.model import JobOutcome, State, now
from candela.jobs.rows import LISTED, outcome_of
from candela.jobs.tables import JOBS, UtcTime

PROCESS = "process"  # the one type of jobs that there is
MOST_LISTED = 1000
LONGEST_S = 1e9  # of a duration that is asked for

_TIME = re.compile(  # RFC 3339, a full-date or a date-time
    r"\d{4}-\d\d-\d\d(?:[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)


class TimeInterval(NamedTuple):
    """A span of time; without a start or an end it is open.

    Attributes
    ----------
    start : datetime, optional
        Its first moment.
    end : datetime, optional
        The first moment after it.
    """

    start: dt.datetime | None = None
    end: dt.datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a ``datetime`` parameter (OGC 17-069r4, 7.15.3): a time, or two with a slash.

        A time means all of what it names: a day, a second, or a fraction of a second. ``..`` or
        nothing is an open end.

        Raises
        ------
        InvalidValueError
            If it is none, or ends before it starts.
        """
        first, slash, last = text.strip().partition("/")
        if not slash:
            return cls(*_span(first))
        start = None if first in {"", ".."} else _span(first)[0]
        end = None if last in {"", ".."} else _span(last)[1]
        if start and end and end <= start:
            raise InvalidValueError(f"the interval {text!r} ends before it starts", "datetime")
        return cls(start, end)


def _span(text: str) -> tuple[dt.datetime, dt.datetime]:
    if not _TIME.fullmatch(text):
        raise _no_time(text)
    try:
        time = dt.datetime.fromisoformat(text)
        start = time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
        if "T" not in text.upper():
            return start, start + dt.timedelta(days=1)
        is_fraction = "." in text
        return start, start + dt.timedelta(**{"microseconds" if is_fraction else "seconds": 1})
    except (ValueError, OverflowError):
        raise _no_time(text) from None


def _no_time(text: str) -> InvalidValueError:
    return InvalidValueError(
        f"{text!r} is no time, expected one such as 2026-01-31T12:00:00Z, or an interval such as "
        "2026-01-31/..",
        "datetime",
    )


class Position(NamedTuple):
    """Where a page ends: the last job on it."""

    created: dt.datetime
    id: str

    def token(self) -> str:
        """Return it as one word, opaque to who gets it."""
        text = f"{self.created.isoformat()} {self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def of_token(cls, token: str) -> Self:
        """Read what ``token`` has made.

        Raises
        ------
        InvalidValueError
            If it is something else.
        """
        try:
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            text = base64.b64decode(padded, b"-_", validate=True).decode("ascii")
            created, _, job_id = text.partition(" ")
            time = dt.datetime.fromisoformat(created).astimezone(dt.UTC)
        except (binascii.Error, ValueError, OverflowError):
            raise InvalidValueError(
                f"{token[:100]!r} is no token of a page; follow the links of a list", "token"
            ) from None
        return cls(time, job_id)


@dataclass(frozen=True)
class JobQuery:
    """Which jobs are wanted; what is left out does not narrow the list.

    Attributes
    ----------
    types : collection of str, optional
        Types of jobs; there is one, ``process``.
    processes : collection of str, optional
        Identifiers of processes.
    states : collection of State, optional
        Where they stand.
    owner : str, optional
        Whose they are; owners see their own in any case.
    created : TimeInterval
        When they were accepted.
    min_duration_s, max_duration_s : float, optional
        How long they have run (s): at least, at most. Of a running job, until now; a job that was
        never started has no duration.
    bbox : tuple of float, optional
        West, south, east and north edge in degrees (CRS84); across the antimeridian west is above
        east. Jobs whose footprint touches it.
    limit : int
        The length of a page.
    token : str
        Of the page before.
    """

    types: Collection[str] | None = None
    processes: Collection[str] | None = None
    states: Collection[State] | None = None
    owner: str | None = None
    created: TimeInterval = field(default_factory=TimeInterval)
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    bbox: tuple[float, float, float, float] | None = None
    limit: int = 100
    token: str = ""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, before a database is asked."""
        if not 1 <= self.limit <= MOST_LISTED:
            raise InvalidValueError(f"limit is {self.limit}, expected 1 to {MOST_LISTED}", "limit")
        for name, value in (
            ("minDuration", self.min_duration_s), ("maxDuration", self.max_duration_s)
        ):  # fmt: skip
            if value is not None and not 0 <= value <= LONGEST_S:
                raise InvalidValueError(f"{name} is {value:g}, expected 0 to {LONGEST_S:g} s", name)
        if self.bbox is not None:
            _check_bbox(self.bbox)
        if self.token:
            Position.of_token(self.token)


def _check_bbox(bbox: tuple[float, float, float, float]) -> None:
    west, south, east, north = bbox
    if not all(math.isfinite(edge) for edge in bbox):
        raise InvalidValueError("bbox has an edge that is not finite", "bbox")
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidValueError(
            f"bbox is {west:g},{south:g},{east:g},{north:g}, expected west,south,east,north in "
            "degrees",
            "bbox",
        )


@dataclass(frozen=True)
class JobPage:
    """Jobs, the newest first, and the token of the next page; empty on the last one."""

    jobs: list[JobOutcome]
    next_token: str = ""


def page(connection: Connection, query: JobQuery, scope: str | None) -> JobPage:
    """Return a page of the jobs that match; large results are left out.

    Parameters
    ----------
    scope : str, optional
        The only owner whose jobs are seen.
    """
    keys = connection.execute(keys_of_page(query, scope)).all()
    shown = keys[: query.limit]
    rows = connection.execute(sa.select(*LISTED).where(JOBS.c.id.in_([key.id for key in shown])))
    found = {row.id: outcome_of(row) for row in rows}
    token = Position(*shown[-1]).token() if len(keys) > len(shown) else ""
    return JobPage([found[key.id] for key in shown if key.id in found], token)


def keys_of_page(query: JobQuery, scope: str | None) -> sa.Select[Any]:
    """Return the query for time and id of the jobs on a page, and of the one after it."""
    return (
        sa.select(JOBS.c.created, JOBS.c.id)
        .where(*_conditions(query, scope), *_after(query.token))
        .order_by(JOBS.c.created.desc(), JOBS.c.id.desc())
        .limit(query.limit + 1)
    )


def count(connection: Connection, query: JobQuery, scope: str | None) -> int:
    """Count the jobs that match, on all pages."""
    counted = sa.select(sa.func.count()).select_from(JOBS).where(*_conditions(query, scope))
    return int(connection.execute(counted).scalar_one())


def _after(token: str) -> list[sa.ColumnElement[bool]]:
    if not token:
        return []
    last = Position.of_token(token)
    key = sa.tuple_(JOBS.c.created, JOBS.c.id)
    return [key < sa.tuple_(sa.literal(last.created, UtcTime()), sa.literal(last.id))]


def _conditions(query: JobQuery, scope: str | None) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if query.types is not None and PROCESS not in query.types:
        found.append(sa.false())
    found += [JOBS.c.owner == owner for owner in {scope, query.owner} if owner is not None]
    # NOTE: without coalesce a planner takes an index by process or state, reads the rows of all
    # that match and sorts them.
    for column, values in ((JOBS.c.process, query.processes), (JOBS.c.state, query.states)):
        if values is not None:
            found.append(sa.func.coalesce(column, "").in_(sorted(set(values))))
    if query.created.start is not None:
        found.append(JOBS.c.created >= query.created.start)
    if query.created.end is not None:
        found.append(JOBS.c.created < query.created.end)
    if query.min_duration_s is not None or query.max_duration_s is not None:
        found.append(_has_run(query.min_duration_s or 0.0, query.max_duration_s))
    if query.bbox is not None:
        found.append(_touches(across(query.bbox)))
    return found


def _has_run(at_least_s: float, at_most_s: float | None) -> sa.ColumnElement[bool]:
    time = now()
    over = [JOBS.c.run_s >= at_least_s]
    under_way = [
        JOBS.c.run_s.is_(None), JOBS.c.started <= time - dt.timedelta(seconds=at_least_s)
    ]  # fmt: skip
    if at_most_s is not None:
        over.append(JOBS.c.run_s <= at_most_s)
        under_way.append(JOBS.c.started >= time - dt.timedelta(seconds=at_most_s))
    return sa.or_(sa.and_(*over), sa.and_(*under_way))


def _touches(box: Footprint) -> sa.ColumnElement[bool]:
    """Footprints and boxes across the antimeridian go beyond 180 degrees: one turn may differ."""
    return sa.and_(
        JOBS.c.south <= box.north,
        JOBS.c.north >= box.south,
        sa.or_(
            *(
                sa.and_(JOBS.c.west <= box.east + turn, JOBS.c.east >= box.west + turn)
                for turn in (-TURN, 0.0, TURN)
            )
        ),
    )
