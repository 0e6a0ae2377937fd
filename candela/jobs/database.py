"""Connections to the job database, and what is said when there are none."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from candela import sqlite
from candela.errors import InvalidValueError, StorageError, UnavailableError
from candela.jobs.migrations import upgrade
from candela.postgresql import CONNECTION

logger = logging.getLogger(__name__)

PATIENCE_S = 10  # for a connection
AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.TimeoutError)


def open_engine(url: str) -> Engine:
    """Return an engine with the settings that the store relies on."""
    parsed: URL = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(
            parsed, pool_pre_ping=True, pool_timeout=PATIENCE_S, connect_args=CONNECTION
        )
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlite.create_engine(parsed)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own type
        connection.execute("PRAGMA synchronous=FULL")  # what is answered is on disk

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # NOTE: a deferred transaction that turns from reader to writer fails at once when
        # another one writes, whatever the timeout; an immediate one waits for its turn.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class DatabaseFile:
    """The file of an SQLite database: what is written into one that was removed goes nowhere.

    Parameters
    ----------
    engine : Engine
        The database; of one that is no file nothing is checked.
    """

    def __init__(self, engine: Engine) -> None:
        is_file = engine.url.get_backend_name() == "sqlite" and engine.url.database
        self._path = Path(str(engine.url.database)) if is_file else None
        self._identity = self._look()

    def check(self) -> None:
        """Check that it is the file that was opened.

        Raises
        ------
        UnavailableError
            If it was removed or replaced; it counts again when it is back.
        """
        if self._look() != self._identity:
            logger.warning(
                "%s was removed or replaced: put it back, or restart the gateway", self._path
            )
            raise UnavailableError(
                "the job database is not the one that was opened; please try again later"
            )

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found else None


class Database:
    """A job database of the newest schema.

    Parameters
    ----------
    url : str
        An SQLAlchemy URL.

    Raises
    ------
    StorageError
        If it cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        try:
            upgrade(self._engine)
        except StorageError:
            self.close()
            raise
        self._file = DatabaseFile(self._engine)

    def close(self) -> None:
        """Release all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection whose statements are no transaction; raises as ``reported``."""
        self._file.check()
        with reported(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a transaction, which is committed at the end; raises likewise."""
        self._file.check()
        with reported(), self._engine.begin() as connection:
            yield connection


@contextmanager
def reported() -> Iterator[None]:
    """Turn a database that does not answer into an error of ours.

    Raises
    ------
    UnavailableError
        If it does not answer.
    InvalidValueError
        If it cannot hold a value, such as a text with a null byte.
    """
    try:
        yield
    except sa.exc.DataError as error:
        raise InvalidValueError("a value cannot be kept in the job database") from error
    except AWAY as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        logger.warning("The job database does not answer: %s", reason)
        raise UnavailableError(
            "the job database does not answer; please try again later"
        ) from error


def storable(text: str) -> str:
    """Return a text without what a database cannot hold: null bytes and halves of characters."""
    return text.replace("\0", "").encode(errors="replace").decode()
