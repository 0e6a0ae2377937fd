"""The catalogue: processes that make rasters as collections, their results as items."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import shapely

from candela.errors import InvalidValueError, NoSuchProcessError, NotFoundError
from candela.gateway.parameters import shown
from candela.gateway.results import Addresses
from candela.gateway.stac.items import (
    EARTH,
    Document,
    boxes_of,
    item_id,
    items_of,
    job_of_item,
    rasters_of,
    time_of,
)
from candela.gateway.stac.query import ItemQuery, PageEnd
from candela.jobs.listing import JobQuery, Position
from candela.jobs.model import JobOutcome, State
from candela.jobs.principal import Principal
from candela.jobs.service import JobService
from candela.spec import ProcessSpec

JOBS_AT_ONCE = 200
MOST_JOBS = 10_000  # whose results a page reads: some 2 s


class ItemPage(NamedTuple):
    """Items, those of the newest jobs first, and the token of the next page; empty on the last."""

    items: list[Document]
    next_token: str = ""


@dataclass(frozen=True)
class ResultCatalogue:
    """What is in the job store, as collections and items.

    NOTE: the index of jobs has footprints and processes, but no time of what results show. A search
    by time reads the results of jobs until a page is full, but of no more than ``most_jobs``.
    """

    jobs: JobService
    addresses: Addresses
    most_jobs: int = MOST_JOBS

    def collections(self) -> dict[str, ProcessSpec]:
        """Return the processes that make rasters which become layers."""
        return {name: spec for name, spec in self.jobs.specs.items() if _makes_rasters(spec)}

    def collection(self, name: str) -> ProcessSpec:
        """Return one of them; NotFoundError if there is none of this name."""
        found = self.collections().get(name)
        if found is None:
            raise NotFoundError(f"there is no collection {shown(name)}")
        return found

    def item(self, principal: Principal, collection: str, item: str) -> Document:
        """Return an item.

        Raises
        ------
        NotFoundError
            If there is none that the principal sees, or it is removed.
        """
        self.collection(collection)
        job = self._kept(principal, job_of_item(item))
        if job is not None and job.process == collection:
            for _, document in items_of(job, self._spec(job), self.addresses):
                if document["id"] == item:
                    return document
        raise NotFoundError(f"there is no item {shown(item)} in collection {shown(collection)}")

    def page(self, principal: Principal, query: ItemQuery) -> ItemPage:
        """Return a page of the items that match.

        Raises
        ------
        InvalidValueError
            If there is none among the results that a page reads, and there may be more.
        """
        found: list[Document] = []
        end: PageEnd | None = None
        for read, (job, names) in enumerate(self._matches(principal, query)):
            if read == self.most_jobs:
                if end is None:
                    raise InvalidValueError(
                        f"no item among the newest {read} jobs that may match; narrow the search "
                        "by collections, bbox or ids",
                        "datetime",
                    )
                return ItemPage(found, end.token())
            if not names:
                continue
            documents = dict(items_of(job, self._spec(job), self.addresses))
            for name in names:
                if len(found) == query.limit and end:
                    return ItemPage(found, end.token())
                found.append(documents[name])
                end = PageEnd(Position(job.created, job.id), name)
        return ItemPage(found)

    def _matches(
        self, principal: Principal, query: ItemQuery
    ) -> Iterator[tuple[JobOutcome, list[str]]]:
        """Yield jobs with the outputs whose items match, if any, after the page before."""
        known = self.collections().keys()
        wanted = frozenset(known if query.collections is None else known & query.collections)
        for job in self._jobs(principal, query, wanted):
            if job.process not in wanted:
                continue
            names = _outputs_that_match(job, query)
            if query.after and query.after.job.id == job.id:
                names = _rest(names, list(rasters_of(job)), query.after.output)
            yield job, names

    def _jobs(
        self, principal: Principal, query: ItemQuery, processes: frozenset[str]
    ) -> Iterator[JobOutcome]:
        """Yield jobs, the newest first, from that on with which the page before has ended."""
        last = query.after.job if query.after else None
        if query.ids is not None:
            ids = {job_of_item(item) for item in query.ids}
            kept = [job for each in ids if (job := self._kept(principal, each))]
            kept.sort(key=lambda job: (job.created, job.id), reverse=True)
            yield from (job for job in kept if last is None or (job.created, job.id) <= last)
            return
        if last is not None and (job := self._kept(principal, last.id)):
            yield job
        token = last.token() if last else ""
        while True:
            page = self.jobs.page(
                principal,
                JobQuery(
                    processes=processes,
                    states={State.SUCCEEDED},
                    bbox=query.bbox or EARTH,  # jobs without a place have no item
                    limit=JOBS_AT_ONCE,
                    token=token,
                ),
            )
            for listed in page.jobs:
                # A list leaves large results out.
                job = listed if listed.result else self._kept(principal, listed.id)
                if job is not None and _is_kept(job):
                    yield job
            token = page.next_token
            if not token:
                return

    def _kept(self, principal: Principal, job_id: str) -> JobOutcome | None:
        """Return a job that has succeeded and has its results still."""
        try:
            job = self.jobs.outcome(principal, job_id)
        except NotFoundError:
            return None
        return job if _is_kept(job) else None

    def _spec(self, job: JobOutcome) -> ProcessSpec | None:
        try:
            return self.jobs.spec(job)
        except NoSuchProcessError:
            return None


def _is_kept(job: JobOutcome) -> bool:
    return job.state is State.SUCCEEDED and job.removed is None and job.result is not None


def _makes_rasters(spec: ProcessSpec) -> bool:
    return any(output.type == "raster" for output in spec.layers.values())


def _outputs_that_match(job: JobOutcome, query: ItemQuery) -> list[str]:
    start, end = query.time
    return [
        name
        for name, header in rasters_of(job).items()
        if (query.ids is None or item_id(job.id, name) in query.ids)
        and (start is None or time_of(job, header) >= start)
        and (end is None or time_of(job, header) < end)
        and (
            query.area is None
            or any(query.area.intersects(shapely.box(*box)) for box in boxes_of(header.bounds))
        )
    ]


def _rest(names: list[str], made: list[str], last: str) -> list[str]:
    """Return the names that come after another one in the order in which all stand."""
    after = set(made[made.index(last) + 1 :]) if last in made else set(made)
    return [name for name in names if name in after]
