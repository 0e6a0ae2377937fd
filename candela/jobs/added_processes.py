"""Descriptions of processes in the job database, and which of those added at run time are offered.

A version that was offered once stays what it was: jobs name it.
"""

import hashlib
import json
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from candela.errors import ConflictError, NoSuchProcessError, TooLargeError
from candela.jobs.model import now
from candela.jobs.tables import ADDED_PROCESSES, CATALOGUE, DESCRIPTIONS
from candela.spec import ProcessSpec

CATALOGUE_LOCK = 0x50524F43  # any number: gateways that change processes take turns


class ProcessVersion(NamedTuple):
    """A process as it is offered: its description, and the SHA-256 of that."""

    spec: ProcessSpec
    digest: str


class AddedProcesses:
    """The processes added at run time, in one transaction.

    Parameters
    ----------
    connection : Connection
        To the job database.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def offered(self) -> list[tuple[str, str, str]]:
        """Return identifier, digest and description of each that is offered."""
        query = (
            sa.select(ADDED_PROCESSES.c.process, DESCRIPTIONS.c.digest, DESCRIPTIONS.c.document)
            .join(DESCRIPTIONS, DESCRIPTIONS.c.digest == ADDED_PROCESSES.c.description)
            .where(ADDED_PROCESSES.c.is_offered)
        )
        rows = self._connection.execute(query)
        return [(row.process, row.digest, row.document) for row in rows]

    def add(self, version: ProcessVersion, who: str, most: int) -> bool:
        """Offer a new process; see ``ProcessCatalogue.add``."""
        self._take_turn()
        identifier = version.spec.identifier
        offered = {process: digest for process, digest, _ in self.offered()}
        if offered.get(identifier) == version.digest:
            return False
        if identifier in offered:
            raise ConflictError(f"there is a process {identifier} already", "identifier")
        if len(offered) >= most:
            raise TooLargeError(f"{len(offered)} processes were added, at most {most} are allowed")
        self._offer(version, who)
        return True

    def replace(self, version: ProcessVersion, who: str) -> bool:
        """Offer another version; see ``ProcessCatalogue.replace``."""
        self._take_turn()
        before = self._offered_digest(version.spec.identifier)
        if before != version.digest:
            self._offer(version, who)
        return before != version.digest

    def remove(self, identifier: str) -> bool:
        """Offer a process no longer; see ``ProcessCatalogue.remove``."""
        self._take_turn()
        self._offered_digest(identifier)
        self._withdraw(identifier)
        self._count()
        return True

    def _offered_digest(self, identifier: str) -> str:
        for process, digest, _ in self.offered():
            if process == identifier:
                return digest
        raise NoSuchProcessError(f"no process {identifier!r} was added", "identifier")

    def _offer(self, version: ProcessVersion, who: str) -> None:
        spec = version.spec
        is_it = sa.and_(
            ADDED_PROCESSES.c.process == spec.identifier, ADDED_PROCESSES.c.version == spec.version
        )
        known = self._connection.execute(
            sa.select(ADDED_PROCESSES.c.description).where(is_it)
        ).scalar()
        if known not in {None, version.digest}:
            raise ConflictError(
                f"{spec.identifier} {spec.version} was another one before; a changed process needs "
                "a new version",
                "version",
            )
        keep(self._connection, version)
        self._withdraw(spec.identifier)
        values = {"is_offered": True, "added": now(), "added_by": who}
        if known:
            self._connection.execute(sa.update(ADDED_PROCESSES).where(is_it).values(values))
        else:
            row = {"process": spec.identifier, "version": spec.version}
            self._connection.execute(
                sa.insert(ADDED_PROCESSES), row | values | {"description": version.digest}
            )
        self._count()

    def _withdraw(self, identifier: str) -> None:
        self._connection.execute(
            sa.update(ADDED_PROCESSES)
            .where(ADDED_PROCESSES.c.process == identifier)
            .values(is_offered=False)
        )

    def _count(self) -> None:
        """Count the change, by which all gateways see that there is one."""
        self._connection.execute(sa.update(CATALOGUE).values(revision=CATALOGUE.c.revision + 1))

    def _take_turn(self) -> None:
        """Let others who change processes wait; SQLite has one writer anyway."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CATALOGUE_LOCK)))


def content_of(spec: ProcessSpec) -> dict[str, Any]:
    """Return what a process.yaml says, without what would be so anyway."""
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def document_of(spec: ProcessSpec) -> str:
    """Return a description as JSON text."""
    return json.dumps(content_of(spec), ensure_ascii=False, separators=(",", ":"))


def digest_of(spec: ProcessSpec) -> str:
    """Return the SHA-256 of a description."""
    return hashlib.sha256(document_of(spec).encode()).hexdigest()


def keep(connection: Connection, version: ProcessVersion) -> None:
    """Keep a description, unless it is kept already."""
    is_sqlite = connection.dialect.name == "sqlite"
    insert = sqlite.insert(DESCRIPTIONS) if is_sqlite else postgresql.insert(DESCRIPTIONS)
    spec = version.spec
    connection.execute(
        insert.on_conflict_do_nothing(),
        {
            "digest": version.digest,
            "process": spec.identifier,
            "version": spec.version,
            "document": document_of(spec),
        },
    )
