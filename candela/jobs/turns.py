"""The queue in the job table: what the rules of ``queue`` are asked with."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.jobs.model import JobSummary, State, now
from candela.jobs.queue import Candidate, Share
from candela.jobs.tables import JOBS

LONGEST_PAUSE = dt.timedelta(minutes=2)  # before a further try; more than ``endings`` gives
STARTED = (State.DISPATCHING, State.RUNNING)  # what takes a place


def shares_of(connection: Connection, job: JobSummary) -> list[Share]:
    """Return what waits and what runs, as one waiting job sees it."""
    is_waiting = JOBS.c.state == State.ACCEPTED
    is_before = sa.and_(
        is_waiting,
        sa.or_(
            JOBS.c.priority > job.priority,
            sa.and_(JOBS.c.priority == job.priority, JOBS.c.created < job.created),
        ),
    )
    query = (
        sa.select(
            JOBS.c.owner,
            JOBS.c.process,
            *(
                sa.func.sum(sa.case((is_counted, 1), else_=0))
                for is_counted in (is_waiting, is_before, ~is_waiting)
            ),
        )
        .where(JOBS.c.state.in_([State.ACCEPTED, *STARTED]))
        .group_by(JOBS.c.owner, JOBS.c.process)
    )
    return [Share(*row) for row in connection.execute(query)]


def running(connection: Connection) -> list[Share]:
    """Return what runs, by owner and process."""
    query = (
        sa.select(JOBS.c.owner, JOBS.c.process, sa.func.count())
        .where(JOBS.c.state.in_(STARTED))
        .group_by(JOBS.c.owner, JOBS.c.process)
    )
    return [
        Share(owner, process, 0, 0, count) for owner, process, count in connection.execute(query)
    ]


def candidates(connection: Connection, free: int) -> list[Candidate]:
    """Return the first waiting jobs of each owner and process; no more of them can start."""
    time = now()
    turn = sa.func.row_number().over(
        partition_by=(JOBS.c.owner, JOBS.c.process),
        order_by=(JOBS.c.priority.desc(), JOBS.c.created),
    )
    waiting = (
        sa.select(
            JOBS.c.id,
            JOBS.c.owner,
            JOBS.c.process,
            JOBS.c.priority,
            JOBS.c.created,
            turn.label("turn"),
        )
        .where(
            JOBS.c.state == State.ACCEPTED,
            sa.or_(
                JOBS.c.not_before.is_(None),
                JOBS.c.not_before <= time,
                JOBS.c.not_before > time + LONGEST_PAUSE,  # of a clock that was put back
            ),
        )
        .subquery()
    )
    return [
        Candidate(row.id, row.owner, row.process, (-row.priority, row.created.timestamp()))
        for row in connection.execute(sa.select(waiting).where(waiting.c.turn <= free))
    ]
