"""What the protocols ask for: submit, look, wait, dismiss."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.exc import IntegrityError

from candela.errors import BusyError, InvalidValueError, NotFoundError, PublicationError
from candela.jobs.model import UNFINISHED, Job, State, new_id, now
from candela.jobs.request import ExecuteRequest, checked
from candela.jobs.store import JobStore
from candela.publish.base import Layer, Publisher
from candela.runners.base import Runner
from candela.settings import Limits
from candela.spec import ProcessSpec, find_spec
from candela.storage.base import Storage
from candela.storage.copies import LocalCopies
from candela.worker.contract import OUTPUTS_FOLDER, job_key

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobService:
    """Jobs as the protocols see them.

    ``copies`` lets a map server read results that a storage keeps elsewhere.
    """

    specs: dict[str, ProcessSpec]
    store: JobStore
    storage: Storage
    runner: Runner
    publisher: Publisher
    limits: Limits
    copies: LocalCopies | None = None

    def submit(
        self,
        process: str,
        request: ExecuteRequest,
        *,
        mode: str = "async",
        owner: str = "",
        idempotency_key: str | None = None,
    ) -> Job:
        """Check a request and put it on disk as a job.

        Parameters
        ----------
        idempotency_key : str, optional
            The same request under the same key of an owner is the same job, however often it is
            submitted.

        Raises
        ------
        RequestError, NotFoundError
            If it cannot be accepted; then there is no job.
        """
        spec = find_spec(self.specs, process)
        request = checked(spec, request, max_input_bytes=self.limits.max_input_bytes)
        waiting = self.store.count(states=[State.ACCEPTED])
        if waiting >= self.limits.queued_jobs:
            raise BusyError(f"{waiting} jobs are waiting already; please try again later")
        time = now()
        job = Job(
            new_id(),
            spec.identifier,
            spec.version,
            request,
            time,
            time,
            mode=mode,
            owner=owner,
            idempotency_key=idempotency_key,
        )
        try:
            self.store.add(job)
        except IntegrityError:
            return self._submitted_before(job)
        logger.info("Job %s of %s is accepted", job.id, job.process)
        return job

    def _submitted_before(self, job: Job) -> Job:
        before = self.store.find_by_key(job.owner, job.idempotency_key or "")
        if before is None:
            raise BusyError("a job of the same idempotency key was just removed; please try again")
        if (before.process, before.request) != (job.process, job.request):
            raise InvalidValueError(
                f"the key {job.idempotency_key!r} was used for another request (job {before.id})",
                "Idempotency-Key",
            )
        return before

    def with_place(self, job: Job) -> Job:
        """Return a job that says its place in the queue while it waits."""
        if job.state is not State.ACCEPTED:
            return job
        ahead = self.store.count_ahead(job)
        place = f"{ahead} ahead in the queue" if ahead else "next in the queue"
        return replace(job, message=f"{job.message}, {place}")

    def spec(self, job: Job) -> ProcessSpec:
        """Return the description of a job's process."""
        return find_spec(self.specs, job.process)

    def dismiss(self, job_id: str) -> Job:
        """End a job that is not finished, or remove one that is; nothing of it remains.

        Returns
        -------
        Job
            The job as it was last, in state dismissed.
        """
        job = self.store.get(job_id)
        dismissed = self.store.move(
            job_id, UNFINISHED, State.DISMISSED, message="dismissed by the user", error=None
        )
        self.clear(dismissed or job)
        if dismissed is None:
            self.store.remove(job_id)
            return replace(job, state=State.DISMISSED, message="removed")
        logger.info("Job %s is dismissed", job_id)
        return dismissed

    def clear(self, job: Job) -> None:
        """Stop a job's worker, and remove its layers and files (the log is kept while it runs)."""
        backend = job.backend or self.runner.find(job.id, job.attempt)
        if backend:
            self.runner.cancel(backend)
        self.withdraw(job.id)
        self.storage.delete(job_key(job.id))

    def withdraw(self, job_id: str) -> None:
        """Show the layers of a job no longer."""
        self.publisher.remove(job_id)
        if self.copies:
            self.copies.remove(job_key(job_id))

    def log_tail(self, job_id: str) -> str:
        """Return the end of what the worker said."""
        return self.runner.logs(job_id)

    def layers_of(self, job: Job) -> dict[str, Layer]:
        """Return the layers that a job's result is to be shown as, by output.

        Raises
        ------
        PublicationError
            If a raster is not there.
        """
        spec = self.spec(job)
        layers = {}
        for name, output in spec.layers.items():
            made = job.result.outputs.get(name) if job.result else None
            if made is None or output.publish is None or not hasattr(made, "file"):
                continue
            layers[name] = Layer(
                name=f"{spec.identifier}_{job.id}_{name}".replace("-", "_"),
                job_id=job.id,
                path=self._local_path(job_key(job.id, OUTPUTS_FOLDER, made.file)),
                title=f"{output.title}: {Path(made.file).stem}",
                abstract=f"{spec.title}. Job {job.id}.",
                style=output.publish.style,
            )
        return layers

    def _local_path(self, key: str) -> Path:
        path = self.storage.local_path(key)
        if path is None and self.copies:
            try:
                path = self.copies.path(key)
            except NotFoundError as error:
                raise PublicationError(f"{key} is not in the storage") from error
        if path is None:
            raise PublicationError(f"{key} is not on this machine")
        return path
