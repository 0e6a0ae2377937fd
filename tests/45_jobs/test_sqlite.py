import sqlite3
import threading
from contextlib import closing

import pytest

from candela import sqlite


@pytest.fixture
def taken(tmp_path):
    """The path of a new file, and a connection that has it for itself."""
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path, check_same_thread=False, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield path, other


def impatient(path):
    return closing(sqlite3.connect(path, timeout=0))


def test_a_file_that_another_connection_has_is_waited_for(taken):
    path, other = taken
    timer = threading.Timer(0.1, other.execute, ["COMMIT"])
    timer.start()
    with impatient(path) as connection:
        sqlite.write_ahead(connection)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    timer.join()


def test_waiting_for_a_file_ends(taken, monkeypatch):
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.05)
    with impatient(taken[0]) as connection, pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite.write_ahead(connection)


def test_what_is_no_database_is_refused_at_once(tmp_path):
    path = tmp_path / "jobs.db"
    path.write_bytes(b"no database" * 100)
    with impatient(path) as connection, pytest.raises(sqlite3.DatabaseError, match="not a data"):
        sqlite.write_ahead(connection)
