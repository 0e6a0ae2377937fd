"""Whether one more job may come in; asked in the transaction that writes it."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.errors import BusyError
from candela.jobs.model import State
from candela.jobs.tables import JOBS

ADMISSION_LOCK = 0x41444D54  # any number: gateways that accept at the same time take turns


@dataclass(frozen=True)
class Capacity:
    """How much may wait, and be kept.

    Attributes
    ----------
    waiting : int
        Jobs in the queue.
    waiting_of_owner : int, optional
        Of each owner who has a name: where nobody has one, all jobs are those of one owner.
    stored_bytes : int, optional
        Of inputs in storage, of all jobs that there are.
    stored_bytes_of_owner : int, optional
        The same of each owner who has a name.
    """

    waiting: int
    waiting_of_owner: int | None = None
    stored_bytes: int | None = None
    stored_bytes_of_owner: int | None = None


def take_turns(connection: Connection) -> None:
    """Let others who accept jobs wait for this transaction; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADMISSION_LOCK)))


def check_room(connection: Connection, capacity: Capacity, owner: str, size: int) -> None:
    """Check whether there is room for a job of an owner, with inputs of a size in storage.

    Raises
    ------
    BusyError
        If there is none.
    """
    _check_queue(connection, capacity.waiting, None)
    if owner and capacity.waiting_of_owner:
        _check_queue(connection, capacity.waiting_of_owner, owner)
    if size and capacity.stored_bytes:
        _check_stored(connection, capacity.stored_bytes, None, size)
    if size and owner and capacity.stored_bytes_of_owner:
        _check_stored(connection, capacity.stored_bytes_of_owner, owner, size)


def _check_queue(connection: Connection, limit: int, owner: str | None) -> None:
    query = sa.select(sa.func.count()).where(JOBS.c.state == State.ACCEPTED)
    if owner is not None:
        query = query.where(JOBS.c.owner == owner)
    waiting = int(connection.execute(query).scalar_one())
    if waiting >= limit:
        whose = "jobs" if owner is None else "of your jobs"
        raise BusyError(f"{waiting} {whose} are waiting already; please try again later")


def _check_stored(connection: Connection, limit: int, owner: str | None, size: int) -> None:
    query = sa.select(sa.func.coalesce(sa.func.sum(JOBS.c.stored_bytes), 0)).where(
        JOBS.c.stored_bytes > 0
    )
    if owner is not None:
        query = query.where(JOBS.c.owner == owner)
    stored = int(connection.execute(query).scalar_one())
    if stored + size > limit:
        whose = "all jobs" if owner is None else "your jobs"
        raise BusyError(
            f"the inputs of {whose} take {stored} of the {limit} bytes that are allowed, and these "
            f"are {size} more; please remove jobs, or give the inputs by reference"
        )
