"""Look through a GeoPackage before GDAL reads it: it is a database, and databases compute.

A view is a query that SQLite runs whenever the view is read, and it may be one without end. A
virtual table is read by code of its own, a generated column by an expression. Pages that several
others refer to make a small file hold more rows than can ever be read. Triggers do nothing here,
since nothing is written; every GeoPackage has some.

References
----------
.. [1] OGC GeoPackage Encoding Standard 1.3.1, OGC 12-128r18.
.. [2] https://www.sqlite.org/security.html
"""

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

MOST_ATTRIBUTES = 1000  # of a layer; SQLite has room for 2000 columns
MOST_TABLES = 1000
CHECK_S = 20.0  # all of 256 MB take 2 s
STEPS = 10_000  # of SQLite's machine between two looks at the clock
_VIRTUAL = re.compile(r"\s*CREATE\s+VIRTUAL\s+TABLE\b", re.IGNORECASE)
_RTREE = re.compile(r".*\bUSING\s+\"?rtree\"?\s*\([\w\s,\"]*\)\s*$", re.IGNORECASE | re.DOTALL)
_GENERATED = (2, 3)  # hidden, of PRAGMA table_xinfo


def check_tables(path: Path, *, whole: bool = False, most_attributes: int | None = None) -> None:
    """Refuse a GeoPackage with more in it than plain tables and their spatial indexes.

    Parameters
    ----------
    whole : bool, optional
        Check the structure of all pages, too: for files that others made.
    most_attributes : int, optional
        How many columns a table may have.

    Raises
    ------
    ValueError
        If it has views, other virtual tables, generated columns, or is damaged; or if looking takes
        longer than it may.
    """
    # NOTE: immutable, so that neither -wal nor -journal beside it counts, nor is made.
    uri = f"file:{quote(str(path))}?mode=ro&immutable=1"
    end = time.monotonic() + CHECK_S
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.set_progress_handler(lambda: time.monotonic() > end, STEPS)
            database.execute("PRAGMA trusted_schema = OFF")
            for name in _plain_tables(database):
                _check_columns(database, name, most_attributes)
            if whole:
                _check_pages(database)
    except sqlite3.Error as error:
        is_late = time.monotonic() > end
        reason = f"looking through it takes above {CHECK_S:g} s" if is_late else str(error)
        raise ValueError(f"it is no GeoPackage that can be read: {reason}") from None


def _plain_tables(database: sqlite3.Connection) -> list[str]:
    query = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('table', 'view') LIMIT ?"
    found = database.execute(query, (MOST_TABLES + 1,)).fetchall()
    if len(found) > MOST_TABLES:
        raise ValueError(f"it has more than {MOST_TABLES} tables")
    tables = []
    for kind, name, sql in found:
        if kind == "view":
            raise ValueError(f"it has a view ({name!r:.80}); only tables are read")
        if not _VIRTUAL.match(str(sql)):
            tables.append(str(name))
        elif not _RTREE.fullmatch(str(sql)):
            raise ValueError(f"it has a virtual table ({name!r:.80}) that is no spatial index")
    return tables


def _check_columns(database: sqlite3.Connection, table: str, most: int | None) -> None:
    columns = database.execute("SELECT hidden FROM pragma_table_xinfo(?)", (table,)).fetchall()
    if any(hidden in _GENERATED for (hidden,) in columns):
        raise ValueError(
            f"its table {table!r:.80} has generated columns; only stored ones are read"
        )
    if most is not None and len(columns) > most:
        raise ValueError(f"its table {table!r:.80} has {len(columns)} columns, at most {most}")


def _check_pages(database: sqlite3.Connection) -> None:
    (told,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if told != "ok":
        raise ValueError(f"it is damaged: {' '.join(str(told).split())[:200]}")
