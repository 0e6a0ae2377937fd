"""The processes of a gateway: those that are installed, and those added at run time.

Each description that a job was accepted with is kept in the database under its SHA-256, so a job
goes on, and is described, by the version that it was accepted with, whatever is offered since. A
counter in the database tells all gateways of it that an operator has changed something.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import NamedTuple

import sqlalchemy as sa

from candela.errors import ConflictError, NoSuchProcessError, UnavailableError
from candela.jobs.added_processes import AddedProcesses, ProcessVersion, digest_of, keep
from candela.jobs.database import Database
from candela.jobs.model import JobSummary
from candela.jobs.tables import CATALOGUE, DESCRIPTIONS
from candela.spec import ProcessSpec, find_spec

logger = logging.getLogger(__name__)

MAX_AGE_S = 1.0  # after which the counter is read again


class _Offer(NamedTuple):
    """What is offered: ``number`` counts the changes seen, ``revision`` is that of the database."""

    number: int
    revision: int
    versions: Mapping[str, ProcessVersion]
    specs: Mapping[str, ProcessSpec]


class ProcessCatalogue(Mapping[str, ProcessSpec]):
    """The processes that are offered now, by identifier, in alphabetical order.

    What other gateways change is seen within ``max_age_s``; a process that is not known is looked
    for in the database at once. While the database is away the processes are those known last.

    Parameters
    ----------
    installed : mapping of str to ProcessSpec
        The processes of this version of the gateway; their descriptions are kept now.
    database : Database
        The job database.
    max_age_s : float, optional
        How long the processes are taken to be the same.
    """

    def __init__(
        self,
        installed: Mapping[str, ProcessSpec],
        database: Database,
        *,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._database = database
        self._max_age_s = max_age_s
        self._installed: dict[str, ProcessVersion] = {}
        self._known: dict[str, ProcessSpec] = {}  # by digest
        self._changing = threading.Lock()
        self._looked = -math.inf
        self._offer = _Offer(0, -1, {}, {})
        self.install(*installed.values())

    def __getitem__(self, identifier: str) -> ProcessSpec:
        """Return a process."""
        return self._containing(identifier).specs[identifier]

    def __contains__(self, identifier: object) -> bool:
        """Tell whether there is a process."""
        return identifier in self._containing(identifier).specs

    def __iter__(self) -> Iterator[str]:
        """Return the identifiers."""
        return iter(self._current().specs)

    def __len__(self) -> int:
        """Count the processes."""
        return len(self._current().specs)

    # NOTE: those of Mapping look each key up, and a process may be removed meanwhile.
    def items(self) -> ItemsView[str, ProcessSpec]:
        """Return identifiers and processes."""
        return self._current().specs.items()

    def values(self) -> ValuesView[ProcessSpec]:
        """Return the processes."""
        return self._current().specs.values()

    @property
    def number(self) -> int:
        """A number that changes when the processes do, in this gateway."""
        return self._current().number

    def version(self, identifier: str) -> ProcessVersion:
        """Return a process, under an alias too, with the digest of its own description.

        Raises
        ------
        NoSuchProcessError
            If there is none.
        """
        offer = self._containing(identifier)
        spec = find_spec(offer.specs, identifier)
        own = spec.original.identifier if spec.original else spec.identifier
        return ProcessVersion(spec, offer.versions[own].digest)

    def of_job(self, job: JobSummary) -> ProcessSpec:
        """Return the process as it was described when a job was accepted.

        Of jobs of earlier versions of the gateway that is not known: they have what is offered now.

        Raises
        ------
        NoSuchProcessError
            If the process of such a job is offered no more.
        """
        if not job.description:
            return find_spec(self, job.process)
        if (spec := self._known.get(job.description)) is not None:
            return spec
        with self._database.read() as connection:
            document = connection.execute(
                sa.select(DESCRIPTIONS.c.document).where(DESCRIPTIONS.c.digest == job.description)
            ).scalar()
        if document is None:
            raise NoSuchProcessError(f"the description of {job.process} {job.version} is lost")
        spec = self._known[job.description] = ProcessSpec.model_validate_json(document)
        return spec

    def install(self, *specs: ProcessSpec) -> None:
        """Offer processes that this gateway has by itself, and keep their descriptions."""
        versions = {spec.identifier: ProcessVersion(spec, digest_of(spec)) for spec in specs}
        with self._database.write() as connection:
            for version in versions.values():
                keep(connection, version)
        with self._changing:
            self._installed |= versions
            self._looked = -math.inf
            self._offer = self._offer._replace(revision=-1)

    def uninstall(self, identifier: str) -> None:
        """Offer an installed process no longer."""
        with self._changing:
            self._installed.pop(identifier, None)
            self._looked = -math.inf
            self._offer = self._offer._replace(revision=-1)

    def add(self, spec: ProcessSpec, who: str, *, most: int) -> bool:
        """Offer a process that is not installed, for all gateways of the database.

        Returns
        -------
        bool
            False if the very same is offered already.

        Raises
        ------
        ConflictError
            If another process has the identifier, or this version was another one before.
        TooLargeError
            If ``most`` processes are offered already.
        """
        return self._change(lambda changes: changes.add(self._version(spec), who, most))

    def replace(self, spec: ProcessSpec, who: str) -> bool:
        """Offer another version of a process that was added; jobs keep theirs.

        Returns
        -------
        bool
            False if the very same is offered already.

        Raises
        ------
        NoSuchProcessError
            If no such process was added.
        ConflictError
            If this version was another one before.
        """
        return self._change(lambda changes: changes.replace(self._version(spec), who))

    def remove(self, identifier: str) -> None:
        """Offer a process that was added no longer; its jobs go on.

        Raises
        ------
        NoSuchProcessError
            If no such process was added.
        ConflictError
            If it is installed.
        """
        self._refuse_installed(identifier)
        self._change(lambda changes: changes.remove(identifier))

    def _version(self, spec: ProcessSpec) -> ProcessVersion:
        self._refuse_installed(spec.identifier)
        return ProcessVersion(spec, digest_of(spec))

    def _refuse_installed(self, identifier: str) -> None:
        aliases = (each for version in self._installed.values() for each in version.spec.aliases)
        if identifier in self._installed or identifier in aliases:
            raise ConflictError(
                f"{identifier} is installed with the gateway: it can be neither replaced nor "
                "removed",
                "identifier",
            )

    def _change(self, change: Callable[[AddedProcesses], bool]) -> bool:
        with self._database.write() as connection:
            is_changed = change(AddedProcesses(connection))
        self._looked = -math.inf  # here at once, in other gateways within max_age_s
        return is_changed

    def _containing(self, identifier: object) -> _Offer:
        """Return what is offered; if that lacks a process, after a look into the database."""
        offer = self._current()
        return offer if identifier in offer.specs else self._current(max_age_s=0.0)

    def _current(self, max_age_s: float | None = None) -> _Offer:
        age_s = time.monotonic() - self._looked
        if age_s <= (self._max_age_s if max_age_s is None else max_age_s):
            return self._offer
        with self._changing:
            try:
                with self._database.read() as connection:
                    revision = int(connection.execute(sa.select(CATALOGUE.c.revision)).scalar_one())
                    if revision != self._offer.revision:
                        self._offer = self._offer_of(revision, AddedProcesses(connection).offered())
            except UnavailableError:
                if not self._offer.specs:
                    raise
            self._looked = time.monotonic()
            return self._offer

    def _offer_of(self, revision: int, rows: Iterable[tuple[str, str, str]]) -> _Offer:
        versions = {}
        for process, digest, document in rows:
            if process in self._installed:
                logger.warning("%s is installed: the one added at run time is not offered", process)
                continue
            try:
                spec = self._known.get(digest) or ProcessSpec.model_validate_json(document)
            except ValueError as error:  # of a newer gateway that shares the database
                logger.warning("The description of %s cannot be read: %s", process, error)
                continue
            versions[process] = ProcessVersion(spec, digest)
        versions = dict(sorted((self._installed | versions).items()))
        self._known |= {version.digest: version.spec for version in versions.values()}
        specs = {name: version.spec for name, version in versions.items()}
        return _Offer(self._offer.number + 1, revision, versions, specs)
