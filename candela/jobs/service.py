"""The only door to jobs: submit, look, wait, dismiss, each for a principal.

An owner sees their own jobs. What belongs to somebody else raises what is not there at all raises.
"""

import datetime as dt
import logging
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from candela.contract.addresses import AddressGuard
from candela.contract.documents import whole_inputs
from candela.contract.job import INPUTS_FOLDER, Output, OutputFile, job_key
from candela.errors import (
    BusyError,
    CandelaError,
    InvalidValueError,
    NotFoundError,
    PublisherAwayError,
    StorageError,
    TooLargeError,
)
from candela.jobs.accounting import Consumption, JobUsage
from candela.jobs.admission import Capacity
from candela.jobs.callbacks import check_subscriber
from candela.jobs.catalogue import ProcessCatalogue
from candela.jobs.estimates import Estimate, RunTimes, estimate_started, estimate_waiting
from candela.jobs.large_values import ROW_LENGTH, length_of, set_apart
from candela.jobs.listing import JobPage, JobQuery
from candela.jobs.logs import public_log
from candela.jobs.model import Event, Job, JobOutcome, JobSummary, State, new_id, now
from candela.jobs.principal import Principal
from candela.jobs.queue import Bounds, about
from candela.jobs.references import check_outputs, refuse_web
from candela.jobs.request import ExecuteRequest, checked
from candela.jobs.store import JobStore
from candela.jobs.tombstones import check_kept
from candela.jobs.uploads import Uploads
from candela.publish.base import Publisher
from candela.runners.base import Runner
from candela.settings import Limits
from candela.spec import ProcessSpec
from candela.storage.base import Storage
from candela.storage.copies import LocalCopies

logger = logging.getLogger(__name__)

SomeJob = TypeVar("SomeJob", bound=JobSummary)
LINEAGE_LENGTH = 2**20  # characters of inputs that status documents repeat


@dataclass(frozen=True)
class JobService:
    """Jobs as the protocols see them.

    ``copies`` lets a map server read results that a storage keeps elsewhere; layers lead back to
    their job's page under ``base_url``; ``subscribers`` says where callbacks may go.
    """

    specs: ProcessCatalogue
    store: JobStore
    storage: Storage
    runner: Runner
    publisher: Publisher
    limits: Limits
    copies: LocalCopies | None = None
    uploads: Uploads | None = None
    base_url: str = ""
    subscribers: AddressGuard = field(default_factory=AddressGuard)
    _run_times: RunTimes = field(init=False)

    def __post_init__(self) -> None:
        """Remember run times."""
        object.__setattr__(self, "_run_times", RunTimes(self.store.run_time_s))

    def check(self, principal: Principal, process: str, request: ExecuteRequest) -> ExecuteRequest:
        """Return a request as ``submit`` would take it, with defaults; nothing is submitted.

        Raises
        ------
        RequestError, NotFoundError
            If it would not be accepted.
        """
        spec, _ = self.specs.version(process)
        request = checked(spec, request, max_input_bytes=self.limits.max_input_bytes)
        self._refuse_web(spec, request)
        check_subscriber(request.subscriber, self.subscribers)
        if self.base_url:
            check_outputs(request, f"{self.base_url}/outputs", partial(self._has, principal))
        if self.uploads:
            self.uploads.check(principal, request)
        return request

    def submit(
        self,
        principal: Principal,
        process: str,
        request: ExecuteRequest,
        *,
        mode: str = "async",
        idempotency_key: str | None = None,
        priority: int = 0,
        title: str = "",
    ) -> Job:
        """Check a request and put it on disk as a job.

        Parameters
        ----------
        principal : Principal
            Who owns the job; its references may lead to what this principal sees.
        idempotency_key : str, optional
            The same request under the same key of an owner is the same job, however often it is
            submitted.
        priority : int, optional
            Higher ones come first among the jobs of an owner; what is above the operator's limits
            is taken as the limit.
        title : str, optional
            What the user calls the job.

        Raises
        ------
        RequestError, NotFoundError, UnavailableError, StorageError
            If it cannot be accepted; then there is no job.
        """
        if self.storage.is_lost():
            raise StorageError(f"{self.storage.url} was removed or replaced; no job is accepted")
        spec, description = self.specs.version(process)
        request = checked(spec, request, max_input_bytes=self.limits.max_input_bytes)
        self._refuse_web(spec, request)
        check_subscriber(request.subscriber, self.subscribers)
        created = now()
        highest = self.limits.max_priority
        job = Job(
            new_id(),
            spec.original.identifier if spec.original else spec.identifier,
            spec.version,
            created,
            created,
            request=request,
            description=description,
            mode=mode,
            owner=principal.name,
            title=title,
            priority=min(highest, max(-highest, priority)),
            idempotency_key=idempotency_key,
        )
        if before := self._submitted_before(job):
            return before
        if self.base_url:
            check_outputs(request, f"{self.base_url}/outputs", partial(self._has, principal))
        if self.uploads:
            self.uploads.claim(principal, request, job.id)
        job = self._added(job)
        logger.info("Job %s of %s is accepted", job.id, job.process)
        return job

    def _refuse_web(self, spec: ProcessSpec, request: ExecuteRequest) -> None:
        """Refuse references that jobs of a process without network could not fetch."""
        if not spec.run.network:
            stored = (f"{self.base_url}/outputs", self.uploads.address if self.uploads else "")
            refuse_web(request, filter(None, stored), spec.identifier)

    def _added(self, job: Job) -> Job:
        """Write a job down, its large values first; what is not accepted leaves nothing."""
        length = length_of(job.request.inputs)
        if job.request.lineage and length > LINEAGE_LENGTH:
            raise TooLargeError(
                f"the inputs have {length} characters, lineage repeats at most {LINEAGE_LENGTH}; "
                "leave lineage out, or give the inputs by reference",
                "lineage",
            )
        size = length if length > ROW_LENGTH else 0
        self.store.check_room(self.capacity, job.owner, size)
        try:
            inputs, size = set_apart(
                job.request.inputs,
                lambda file, content: self.storage.write(
                    job_key(job.id, INPUTS_FOLDER, file), content
                ),
            )
            request = job.request.model_copy(update={"inputs": inputs})
            kept = replace(job, request=request, stored_bytes=size)
            self.store.add(kept, self.capacity)
        except IntegrityError:
            self._discard(job)
            before = self._submitted_before(job)
            if before is None:
                raise BusyError(
                    "a job of the same idempotency key was just removed; please try again"
                ) from None
            return before
        except (CandelaError, MemoryError):
            self._discard(job)
            raise
        return kept

    def _discard(self, job: Job) -> None:
        """Remove the files of a job that is not in the store, or leave them to the reconciler."""
        try:
            if job.id not in self.store.states([job.id]):  # a commit may break off and be done
                self.storage.delete(job_key(job.id))
        except CandelaError as error:
            logger.warning("Files of refused job %s are left over: %s", job.id, error)

    def _submitted_before(self, job: Job) -> Job | None:
        if job.idempotency_key is None:
            return None
        before = self.store.find_by_key(job.owner, job.idempotency_key)
        if before is None:
            return None
        if (before.process, _compared(before)) != (job.process, _compared(job)):
            raise InvalidValueError(
                f"the key {job.idempotency_key!r} was used for another request (job {before.id})",
                "Idempotency-Key",
            )
        return before

    def with_inputs(self, job: Job) -> Job:
        """Return a job whose request has all of its values, the large ones too.

        Those of a tombstone are removed; it has no lineage.
        """
        if job.removed is not None:
            return replace(job, request=job.request.model_copy(update={"lineage": False}))
        inputs = whole_inputs(self.storage, job.id, job.request.inputs)
        return replace(job, request=job.request.model_copy(update={"inputs": inputs}))

    def with_place(self, job: SomeJob, estimate: Estimate | None = None) -> SomeJob:
        """Return a job that says its place in the queue while it waits."""
        if job.state is not State.ACCEPTED:
            return job
        estimate = estimate or self.estimate(job)
        count, wait = estimate.ahead, estimate.wait_s
        place = f"{count} ahead in the queue" if count else "next in the queue"
        if wait:
            place += f", starts in {about(wait)}"
        return replace(job, message=f"{job.message}, {place}")

    def estimate(self, job: JobSummary) -> Estimate:
        """Return the place of a waiting job, and when it and a running one are to be expected."""
        if job.state is State.ACCEPTED:
            shares = self.store.shares(job)
            return estimate_waiting(job, shares, self._run_times, self.bounds)
        return Estimate() if job.state.is_final else estimate_started(job, self._run_times)

    @property
    def capacity(self) -> Capacity:
        """How much may wait, and be kept."""
        return Capacity(
            self.limits.queued_jobs,
            self.limits.queued_jobs_of_owner,
            self.limits.stored_bytes,
            self.limits.stored_bytes_of_owner,
        )

    @property
    def bounds(self) -> Bounds:
        """How many jobs may run at the same time."""
        return Bounds(
            self.limits.running_jobs,
            self.limits.running_jobs_of_owner,
            {name: spec.run.parallel for name, spec in self.specs.items() if spec.run.parallel},
        )

    def spec(self, job: JobSummary) -> ProcessSpec:
        """Return the process of a job as it was described when the job was accepted."""
        return self.specs.of_job(job)

    def get(self, principal: Principal, job_id: str) -> Job:
        """Return a job with its request.

        Raises
        ------
        NotFoundError
            If there is none with this id that the principal sees; so do all methods that take one.
        GoneError
            If there was one, which is purged; so do they all, too.
        """
        return self.store.get(job_id, owner=principal.scope)

    def outcome(self, principal: Principal, job_id: str) -> JobOutcome:
        """Return a job with what came of it."""
        return self.store.outcome(job_id, owner=principal.scope)

    def summary(self, principal: Principal, job_id: str) -> JobSummary:
        """Return a job without its documents."""
        return self.store.summary(job_id, owner=principal.scope)

    def wait(self, principal: Principal, job_id: str, timeout_s: float) -> Job:
        """Wait until a job has ended or the time is over; return it as it is then."""
        return self.store.wait(job_id, timeout_s, owner=principal.scope)

    def page(self, principal: Principal, query: JobQuery) -> JobPage:
        """Return a page of the jobs that match, the newest first; large results are left out."""
        return self.store.page(query, owner=principal.scope)

    def matches(self, principal: Principal, query: JobQuery) -> int:
        """Count the jobs that match, on all pages."""
        return self.store.matches(query, owner=principal.scope)

    def newest(self, principal: Principal, limit: int) -> list[JobSummary]:
        """List the jobs that were submitted last."""
        return self.store.jobs(owner=principal.scope, limit=limit)

    def count(self, principal: Principal) -> int:
        """Count jobs."""
        return self.store.count(owner=principal.scope)

    def events(self, principal: Principal, job_id: str) -> list[Event]:
        """Return what happened to a job, in order."""
        self.summary(principal, job_id)
        return self.store.events(job_id)

    def log_tail(self, principal: Principal, job_id: str) -> str:
        """Return the end of what the worker said, as users may see it."""
        self.summary(principal, job_id)
        return public_log(self.runner.logs(job_id))

    def output(self, principal: Principal, job_id: str, name: str) -> Output:
        """Return the output of a finished job that is this file, or has this name and no file.

        Raises
        ------
        GoneError
            If the result is removed.
        """
        job = self.outcome(principal, job_id)
        check_kept(job)
        made = job.result.outputs if job.result else {}
        for output in made.values():
            if isinstance(output, OutputFile) and output.file == name:
                return output
        if name in made and not isinstance(made[name], OutputFile):
            return made[name]
        raise NotFoundError(f"there is no output {name!r}")

    def consumption(
        self,
        principal: Principal,
        *,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> list[Consumption]:
        """Return what owners have used with each process, by jobs that ended in this time."""
        return self.store.consumption(since=since, until=until, owner=principal.scope)

    def usage(self, principal: Principal, job_id: str) -> JobUsage | None:
        """Return what a job has used; None while it is not finished."""
        self.summary(principal, job_id)
        return self.store.usage(job_id)

    def report(self, principal: Principal, job_id: str, percent: float, message: str) -> None:
        """Note the progress of a running job; a report that comes late is dropped."""
        self.summary(principal, job_id)
        self.store.report(job_id, percent, message)

    def ping(self) -> None:
        """Ask the database for nothing; raises ``UnavailableError`` if it does not answer."""
        self.store.ping()

    def close(self) -> None:
        """Release all connections of the database."""
        self.store.close()

    def _has(self, principal: Principal, job_id: str) -> bool:
        """Tell whether a principal sees a job with this id, and its results are kept."""
        try:
            return self.summary(principal, job_id).removed is None
        except NotFoundError:
            return False

    def dismiss(self, principal: Principal, job_id: str) -> JobOutcome:
        """End a job that is not finished; remove layers, files and result of one that is.

        A tombstone remains, which says when that was and who did it. Dismissing it again answers
        alike, and finishes what was cut short.

        Returns
        -------
        JobOutcome
            The job as it is now, in state dismissed.
        """
        job = self.outcome(principal, job_id)
        who = "user" if principal.name == job.owner else "operator"
        dismissed = self.store.dismiss(
            job_id,
            name=principal.name,
            message=f"dismissed by {'the' if who == 'user' else 'an'} {who}",
            cause=who,
        )
        if dismissed is not None:
            logger.info("Job %s is dismissed", job_id)
        self.clear(dismissed or job)
        return dismissed or self.outcome(principal, job_id)

    def clear(self, job: JobSummary) -> None:
        """Stop a job's worker, and remove its layers and files (the log is kept while it runs)."""
        backend = job.backend or self.runner.find(job.id, job.attempt)
        if backend:
            self.runner.cancel(backend)
        self.withdraw(job.id)
        self.storage.delete(job_key(job.id))

    def withdraw(self, job_id: str) -> None:
        """Show the layers of a job no longer; if the map server is away, as soon as it is back."""
        try:
            self.publisher.remove(job_id)
        except PublisherAwayError as error:
            logger.warning("The layers of job %s are removed later: %s", job_id, error)
        if self.copies:
            self.copies.remove(job_key(job_id))


def _compared(job: Job) -> ExecuteRequest:
    """Return a request as all gateways would keep it, those of earlier versions too."""
    inputs, _ = set_apart(job.request.inputs, lambda _file, _content: None)
    return job.request.model_copy(update={"inputs": inputs})
