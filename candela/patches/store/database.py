"""The patch database: SQLite on one machine, PostgreSQL with PostGIS for many users."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import shapely
import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError

from candela import sqlite
from candela.errors import InvalidValueError, LimitError, StorageError
from candela.patches.store.migrations import is_current, upgrade
from candela.patches.store.migrations.groups import grant_rights
from candela.patches.store.schemes import write_schemes
from candela.postgresql import CONNECTION

READING = "candela_reading"  # the option of connections that only read
PATIENCE_S = 10  # for a connection that others use
CANCELLED = "57014"  # PostgreSQL's code of a statement that took too long
STEPS = 10_000  # of SQLite's machine, between two looks at the clock


class PatchDatabase:
    """A database of patch models.

    All methods may be called from any thread.

    Parameters
    ----------
    engine : Engine
        See ``open_database``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def is_postgresql(self) -> bool:
        """Whether it is PostgreSQL, with row-level security and COPY."""
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def acting_for(self, owner: str, *, limit_s: float | None = None) -> Iterator[Connection]:
        """Open a transaction in which all that is read and written is for one user.

        It is committed at the end of the ``with``, or, if that raises, undone.

        Parameters
        ----------
        owner : str
            Who acts.
        limit_s : float, optional
            How long a statement may take in PostgreSQL.

        Raises
        ------
        LimitError
            If it takes longer.
        StorageError
            If the database does not answer, or refuses.
        """
        with self._refusals_as_errors(limit_s), self._engine.begin() as connection:
            if self.is_postgresql:
                _set(connection, owner, limit_s)
            yield connection

    @contextmanager
    def reading_for(self, viewer: str, *, limit_s: float) -> Iterator[Connection]:
        """Open a transaction in which one user reads, and in which nothing can be written.

        What is read in parts belongs together: all of it is as the first statement found it.

        Parameters
        ----------
        viewer : str
            Who asks.
        limit_s : float
            How long a statement may take (in SQLite: all of them together).

        Raises
        ------
        LimitError
            If it takes longer.
        StorageError
            If the database does not answer.
        """
        engine = self._engine.execution_options(**{READING: True})
        with self._refusals_as_errors(limit_s), engine.begin() as connection:
            if self.is_postgresql:
                connection.exec_driver_sql(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
                _set(connection, viewer, limit_s)
                yield connection
            else:
                with _query_only(connection, limit_s):
                    yield connection

    def upgrade(self) -> None:
        """Bring the schema, the label schemes and the rights of groups up to date.

        Raises
        ------
        StorageError
            If the login may not, or the database is not one of ours.
        """
        with self._refusals_as_errors(), self._engine.begin() as connection:
            upgrade(connection)
            write_schemes(connection)
            grant_rights(connection)

    def check(self) -> None:
        """Check that the schema is up to date.

        Raises
        ------
        StorageError
            If it is not.
        """
        with self._refusals_as_errors(), self._engine.connect() as connection:
            if not is_current(connection):
                raise StorageError(
                    f"the patch database {self._engine.url!r} has not the newest schema: "
                    "run `candela patches upgrade`"
                )

    def close(self) -> None:
        """Release all connections."""
        self._engine.dispose()

    @contextmanager
    def _refusals_as_errors(self, limit_s: float | None = None) -> Iterator[None]:
        try:
            yield
        except sa.exc.DataError as error:
            raise InvalidValueError("a value cannot be kept in the patch database") from error
        except (DBAPIError, CommandError, sa.exc.TimeoutError) as error:
            if limit_s is not None and _took_too_long(error):
                raise LimitError(
                    f"the answer takes longer than {limit_s:g} s; ask for less at a time"
                ) from error
            reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
            raise StorageError(
                f"the patch database {self._engine.url!r} refuses: {reason}"
            ) from error


def open_database(url: str) -> PatchDatabase:
    """Open a patch database; an SQLite file is made, or brought up to date, on the way.

    Parameters
    ----------
    url : str
        An SQLAlchemy URL: ``sqlite:////folder/patches.db`` or ``postgresql+psycopg://...``.

    Raises
    ------
    StorageError
        If it cannot be used, or has an old schema.
    """
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        # NOTE: the error shows the whole URL, which may have a password
        raise StorageError("the address of the patch database is no SQLAlchemy URL") from error
    if parsed.get_backend_name() != "sqlite":
        database = PatchDatabase(
            sa.create_engine(
                parsed, pool_pre_ping=True, pool_timeout=PATIENCE_S, connect_args=CONNECTION
            )
        )
        database.check()
        return database
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    database = PatchDatabase(_sqlite_engine(parsed))
    database.upgrade()
    return database


def open_server(url: str) -> PatchDatabase:
    """Open a database without looking at its schema, to upgrade it."""
    parsed = make_url(url)
    return PatchDatabase(
        _sqlite_engine(parsed)
        if parsed.get_backend_name() == "sqlite"
        else sa.create_engine(parsed)
    )


def _sqlite_engine(url: sa.URL) -> Engine:
    engine = sqlite.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own type
        connection.execute("PRAGMA foreign_keys=ON")
        for name, arguments, function in _POSTGIS:
            connection.create_function(name, arguments, function, deterministic=True)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # NOTE: a deferred transaction that turns from reader to writer fails at once when
        # another one writes, whatever the timeout; an immediate one waits for its turn.
        reads = connection.get_execution_options().get(READING)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _set(connection: Connection, owner: str, limit_s: float | None) -> None:
    """Tell PostgreSQL for whom a transaction is, and how long its statements may take.

    What it compiles (jit) takes longer than our queries do.
    """
    limit_ms = 0 if limit_s is None else max(1, round(1000 * limit_s))
    connection.execute(
        sa.text(
            "SELECT set_config('candela.owner', :owner, true), set_config('jit', 'off', true), "
            "set_config('statement_timeout', :limit_ms, true)"
        ),
        {"owner": owner, "limit_ms": str(limit_ms)},
    )


@contextmanager
def _query_only(connection: Connection, limit_s: float) -> Iterator[None]:
    """Let SQLite refuse to write, and give up in time."""
    driver: Any = connection.connection.driver_connection
    end = time.monotonic() + limit_s
    driver.execute("PRAGMA query_only=ON")
    driver.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
        driver.execute("PRAGMA query_only=OFF")


def _took_too_long(error: Exception) -> bool:
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) == CANCELLED or str(cause) == "interrupted"


def _intersects(one: bytes, other: bytes) -> bool:
    return bool(shapely.intersects(shapely.from_wkb(one), shapely.from_wkb(other)))


# What queries use of PostGIS, for SQLite, where outlines are WKB.
_POSTGIS = (
    ("ST_GeomFromWKB", 2, lambda content, _: content),
    ("ST_AsBinary", 1, lambda content: content),
    ("ST_Intersects", 2, _intersects),
)
