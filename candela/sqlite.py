"""How SQLite databases are opened; see https://www.sqlite.org/wal.html."""

import sqlite3
import time

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine

PATIENCE_S = 30  # for the lock that another connection holds
_PAUSE_S = 0.01


def create_engine(url: URL) -> Engine:
    """Return an engine for threads, in journal mode WAL; who has it says BEGIN at each "begin"."""
    engine = sa.create_engine(url, connect_args={"timeout": PATIENCE_S, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # the driver says no BEGIN
        write_ahead(connection)

    return engine


def write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side: the journal mode WAL, kept in the file.

    Several connections that meet a new file would all turn it to WAL. To those that lose,
    SQLite says "database is locked" at once, whatever their timeout; so they try again here.

    Raises
    ------
    sqlite3.OperationalError
        If the file is still locked after `PATIENCE_S`, or cannot be used.
    """
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
