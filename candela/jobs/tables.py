"""The tables of the job database; their migrations are in ``migrations/``."""

import datetime as dt
import logging
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.engine import Dialect

from candela.contract.job import Failure, ResultDocument
from candela.jobs.model import Link
from candela.jobs.request import ExecuteRequest, UnreadableRequest

logger = logging.getLogger(__name__)


class UtcTime(sa.types.TypeDecorator[dt.datetime]):
    """A point in time, kept as UTC."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, _: Dialect) -> dt.datetime | None:
        """Drop the time zone, which is always UTC."""
        return None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, _: Dialect) -> dt.datetime | None:  # noqa: ANN401
        """Put the time zone back."""
        return None if value is None else value.replace(tzinfo=dt.UTC)


class DocumentColumn(sa.types.TypeDecorator[BaseModel]):
    """A pydantic document, kept as JSON text.

    One that is not valid must not hide the other rows of a list: it is told of and read as None, a
    request as one that is never started.
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self, document: Any) -> None:  # noqa: ANN401 - any type pydantic knows
        super().__init__()
        self.document = document
        self._adapter: TypeAdapter[Any] = TypeAdapter(document)

    def process_bind_param(self, value: Any | None, _: Dialect) -> str | None:  # noqa: ANN401
        """Write the document."""
        if value is None:
            return None
        return self._adapter.dump_json(value, by_alias=True, exclude_none=True).decode()

    def process_result_value(self, value: str | None, _: Dialect) -> Any | None:  # noqa: ANN401
        """Read the document."""
        if value is None:
            return None
        try:
            return self._adapter.validate_json(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            _tell_once(getattr(self.document, "__name__", "document"), f"{place}: {first['msg']}")
            return UnreadableRequest() if self.document is ExecuteRequest else None


@lru_cache(maxsize=1000)
def _tell_once(document: str, reason: str) -> None:
    """Tell of a document that is not valid, not each time that somebody lists jobs."""
    logger.error("A %s in the job database cannot be read: %s", document, reason)


_IS_STORED = sa.text("stored_bytes > 0")
_IS_REMOVED = sa.text("removed IS NOT NULL")
# What lists are filtered by, in the indices that they are read from: rows are wide.
FILTERED = ("process", "state", "started", "run_s", "west", "south", "east", "north")
SCHEMA = sa.MetaData()
JOBS = sa.Table(
    "job",
    SCHEMA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("process", sa.String(100), nullable=False),
    sa.Column("version", sa.String(20), nullable=False),
    sa.Column("description", sa.String(64), nullable=False, server_default=""),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("title", sa.String(200), nullable=False, server_default=""),
    sa.Column("mode", sa.String(10), nullable=False),
    sa.Column("request", DocumentColumn(ExecuteRequest), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("percent", sa.Float, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("runner", sa.String(500), nullable=False),
    sa.Column("backend", sa.String(300), nullable=False),
    sa.Column("error", DocumentColumn(Failure)),
    sa.Column("result", DocumentColumn(ResultDocument)),
    sa.Column("links", DocumentColumn(dict[str, Link])),
    sa.Column("idempotency_key", sa.String(200)),
    sa.Column("created", UtcTime, nullable=False),
    sa.Column("started", UtcTime),
    sa.Column("finished", UtcTime),
    sa.Column("updated", UtcTime, nullable=False),
    sa.Column("not_before", UtcTime),
    sa.Column("deadline", UtcTime),
    sa.Column("expires", UtcTime),
    sa.Column("run_s", sa.Float),
    sa.Column("removed", UtcTime),
    sa.Column("removed_by", sa.String(200), nullable=False, server_default=""),
    sa.Column("west", sa.Float),
    sa.Column("south", sa.Float),
    sa.Column("east", sa.Float),
    sa.Column("north", sa.Float),
    sa.UniqueConstraint("owner", "idempotency_key"),
    sa.Index("job_by_state", "state", "priority", "created"),
    sa.Index(
        "job_in_queue", "state", "owner", "process", "priority", "created", "not_before", "id"
    ),
    sa.Index("job_by_end", "process", "state", "finished"),
    sa.Index("job_by_time", "created", "id", "owner", *FILTERED),
    sa.Index("job_by_owner", "owner", "created", "id", *FILTERED),
    sa.Index("job_by_expiry", "expires"),
    sa.Index(
        "job_by_stored_bytes",
        "owner",
        "stored_bytes",
        sqlite_where=_IS_STORED,
        postgresql_where=_IS_STORED,
    ),
    sa.Index("job_removed", "runner", sqlite_where=_IS_REMOVED, postgresql_where=_IS_REMOVED),
)
EVENTS = sa.Table(
    "job_event",
    SCHEMA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("job", sa.String(36), nullable=False, index=True),
    sa.Column("time", UtcTime, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("cause", sa.String(40), nullable=False, server_default=""),
)
PURGED = sa.Table(
    "purged_job",
    SCHEMA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("job", sa.String(36), nullable=False, unique=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("is_expired", sa.Boolean, nullable=False),
)
CONSUMPTION = sa.Table(
    "consumption",
    SCHEMA,
    sa.Column("job", sa.String(36), primary_key=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("process", sa.String(100), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("finished", UtcTime, nullable=False),
    sa.Column("wall_s", sa.Float, nullable=False),
    sa.Column("cpu_s", sa.Float, nullable=False),
    sa.Column("gb_s", sa.Float, nullable=False),
    sa.Column("input_bytes", sa.BigInteger, nullable=False),
    sa.Column("output_bytes", sa.BigInteger, nullable=False),
    sa.Column("peak_memory_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("consumption_by_time", "finished"),
)
DESCRIPTIONS = sa.Table(
    "process_description",
    SCHEMA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("process", sa.String(100), nullable=False),
    sa.Column("version", sa.String(20), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)
ADDED_PROCESSES = sa.Table(
    "added_process",
    SCHEMA,
    sa.Column("process", sa.String(100), primary_key=True),
    sa.Column("version", sa.String(20), primary_key=True),
    sa.Column("description", sa.String(64), nullable=False),
    sa.Column("is_offered", sa.Boolean, nullable=False),
    sa.Column("added", UtcTime, nullable=False),
    sa.Column("added_by", sa.String(200), nullable=False),
)
CATALOGUE = sa.Table(
    "process_catalogue",
    SCHEMA,
    sa.Column("revision", sa.Integer, nullable=False),
)
CALLBACKS = sa.Table(
    "callback",
    SCHEMA,
    sa.Column("job", sa.String(36), primary_key=True),
    sa.Column("event", sa.String(20), primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("not_before", UtcTime, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
)
