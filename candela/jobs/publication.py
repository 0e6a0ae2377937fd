"""The last step of a job: its rasters and polygons become layers of the map server.

The step has threads of its own, since a file may have to come out of a bucket first, and tries
of its own: while the map server is away a job waits in ``publishing``, and no result is lost.
What the map server refuses for good fails the job, and nothing of it stays published.
"""

import errno
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from candela.contract.job import OUTPUTS_FOLDER, Failure, OutputFile, job_key
from candela.contract.layers import LayerContent
from candela.contract.names import layer_name
from candela.errors import (
    NotFoundError,
    PublicationError,
    PublisherAwayError,
    StorageError,
    UnavailableError,
)
from candela.jobs.endings import with_id
from candela.jobs.logs import without_folders
from candela.jobs.model import JobOutcome, JobSummary, Link, State
from candela.jobs.service import JobService
from candela.publish.base import Layer
from candela.publish.titles import layer_title

logger = logging.getLogger(__name__)

THREADS = 4
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
MOST_FAULTS = 5


@dataclass
class _Waiting:
    """A job whose map server was away."""

    tries: int
    again_at: float  # time.monotonic()
    faults: int = 0  # tries that an unexpected error has ended


class Publication:
    """Publishes the layers of jobs, in threads of its own.

    Parameters
    ----------
    service : JobService
        The jobs.
    first_pause_s : float
        How long a job waits after its first try in vain; each further pause is twice as long.
    """

    def __init__(self, service: JobService, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._service = service
        self._first_pause_s = first_pause_s
        self._lock = threading.Lock()
        self._at_work: set[str] = set()
        self._waiting: dict[str, _Waiting] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="publication")

    def stop(self) -> None:
        """End after the layers in hand; other jobs are published after the next start."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def offer(self, job: JobSummary) -> None:
        """Publish a job soon, unless it is in hand or its pause is not over."""
        with self._lock:
            waiting = self._waiting.get(job.id)
            if job.id in self._at_work or (waiting and time.monotonic() < waiting.again_at):
                return
            self._at_work.add(job.id)
        self._threads.submit(self._work, job)

    def _work(self, job: JobSummary) -> None:
        try:
            outcome = self._outcome(job)
            if outcome is not None:
                self.publish(outcome)
        except UnavailableError as error:  # the job stays as it is and is offered again
            logger.warning("Job %s waits to be published: %s", job.id, error)
            self._pause(job)
        except Exception as error:
            self._count_fault(job, error)
        finally:
            with self._lock:
                self._at_work.discard(job.id)

    def _outcome(self, job: JobSummary) -> JobOutcome | None:
        try:
            return self._service.store.outcome(job.id)
        except NotFoundError:  # removed in the meantime
            self._waiting.pop(job.id, None)
            return None

    def _count_fault(self, job: JobSummary, error: Exception) -> None:
        """Try again after an error that nobody has thought of, but not for ever."""
        self._pause(job)
        waiting = self._waiting[job.id]
        waiting.faults += 1
        logger.error(
            "Job %s is not published: internal error (%d of %d)",
            job.id, waiting.faults, MOST_FAULTS, exc_info=error,
        )  # fmt: skip
        try:
            if waiting.faults >= MOST_FAULTS:
                outcome = self._service.store.outcome(job.id)
                failure = Failure(kind="InternalError", message="internal error while publishing")
                self._refuse(outcome, with_id(failure, job))
            else:
                told = f"publishing was cut off by an internal error (try {waiting.faults})"
                self._tell(job, told)
        except Exception:
            logger.exception("Job %s cannot be told so; trying again", job.id)

    def publish(self, job: JobOutcome) -> None:
        """Publish the layers of a job and move it on; what was published before is no harm."""
        try:
            links = self._links(job)
        except (PublisherAwayError, StorageError, OSError) as error:
            if isinstance(error, OSError) and not _is_full(error):
                raise
            logger.warning("Job %s waits to be published: %s", job.id, error)
            tries = f"(try {self._pause(job)} to publish)"
            if isinstance(error, PublisherAwayError):
                reason = without_folders(str(error))
                self._tell(job, f"waiting for the map server {tries}: {reason}")
            else:
                self._tell(job, f"waiting for the storage {tries}")
            return
        except PublicationError as error:
            logger.exception("The layers of job %s cannot be published", job.id)
            failure = Failure(kind="PublicationError", message=without_folders(str(error)))
            self._refuse(job, failure)
            return
        self._waiting.pop(job.id, None)
        moved = self._service.store.move(
            job.id, [State.PUBLISHING], State.SUCCEEDED,
            links=links, percent=100.0, message="succeeded",
        )  # fmt: skip
        if moved:
            logger.info("Job %s of %s succeeded", job.id, job.process)
        elif self._is_over(job):  # dismissed in the meantime
            self._service.clear(job)

    def _links(self, job: JobOutcome) -> dict[str, Link]:
        if job.result is None:
            raise PublicationError(f"the result of job {job.id} in the database is not valid")
        links = {}
        for output, layer in layers_of(self._service, job).items():
            made = self._service.publisher.publish(layer)
            links[output] = Link(layer.name, made.wms, made.wcs, made.wfs)
        if self._service.copies and not self._service.publisher.reads_in_place:
            self._service.copies.remove(job_key(job.id))
        return links

    def _refuse(self, job: JobOutcome, failure: Failure) -> None:
        self._service.withdraw(job.id)
        logger.info("Job %s of %s failed: %s", job.id, job.process, failure.message)
        self._service.store.move(
            job.id, [State.PUBLISHING], State.FAILED,
            error=failure, result=job.result, message=failure.message,
        )  # fmt: skip
        self._waiting.pop(job.id, None)

    def _pause(self, job: JobSummary) -> int:
        """Let a job wait, each time longer; return how often it was tried."""
        tries = self._waiting[job.id].tries + 1 if job.id in self._waiting else 1
        pause_s = min(LONGEST_PAUSE_S, self._first_pause_s * 2 ** (tries - 1))
        faults = self._waiting[job.id].faults if job.id in self._waiting else 0
        self._waiting[job.id] = _Waiting(tries, time.monotonic() + pause_s, faults)
        return tries

    def _tell(self, job: JobSummary, message: str) -> None:
        told = self._service.store.move(
            job.id, [State.PUBLISHING], State.PUBLISHING, message=message
        )
        if told is None:
            self._waiting.pop(job.id, None)  # dismissed

    def _is_over(self, job: JobSummary) -> bool:
        """Tell whether a job was dismissed, and not moved on by another gateway."""
        try:
            return self._service.store.summary(job.id).state is State.DISMISSED
        except NotFoundError:
            return True


def _is_full(error: OSError) -> bool:
    """Tell whether an error is one of a full disk, which has room again some day."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def reconcile(service: JobService, refused: set[str] | None = None) -> None:
    """Bring jobs and layers back together, whatever was cut off or changed behind our back.

    Layers are removed whose job is no more, or came to no good end; those that a successful job of
    our runner should have and has not are published again.

    Parameters
    ----------
    service : JobService
        The jobs.
    refused : set of str, optional
        The jobs whose layers could not be published at earlier looks, which is logged once; it is
        brought up to date.
    """
    known = set() if refused is None else refused
    jobs = service.publisher.jobs()
    states = service.store.states(jobs)
    for job_id in jobs:
        if states.get(job_id) not in {State.PUBLISHING, State.SUCCEEDED}:
            logger.warning("The layers of job %s, which has none, are removed", job_id)
            service.withdraw(job_id)
    names = {layer.name for layer in service.publisher.layers()}
    published = service.store.published(service.runner.name)
    missing = [job_id for job_id, wanted in published.items() if not wanted <= names]
    known.intersection_update(missing)
    for job_id in missing:
        if job_id not in known:
            logger.warning("The layers of job %s are missing and published again", job_id)
        try:
            _publish_again(service, job_id)
        except PublisherAwayError:
            raise
        except (NotFoundError, PublicationError, StorageError):
            if job_id not in known:
                logger.exception("The layers of job %s cannot be published again", job_id)
            known.add(job_id)


def _publish_again(service: JobService, job_id: str) -> None:
    for layer in layers_of(service, service.store.outcome(job_id)).values():
        service.publisher.publish(layer)


def layers_of(service: JobService, job: JobOutcome) -> dict[str, Layer]:
    """Return the layers that a job's result is to be shown as, by output.

    Raises
    ------
    PublicationError
        If a file is not there.
    StorageError
        If it cannot be brought to this machine now.
    """
    spec = service.spec(job)
    layers = {}
    for name, output in spec.layers.items():
        made = job.result.outputs.get(name) if job.result else None
        if output.publish is None or not isinstance(made, OutputFile):
            continue
        if output.type != "raster" and not service.publisher.shows_polygons:
            continue
        key = job_key(job.id, OUTPUTS_FOLDER, made.file)
        layers[name] = Layer(
            name=layer_name(spec.identifier, job.id, name),
            job_id=job.id,
            path=_local_path(service, key),
            title=layer_title(output.title, Path(made.file).stem),
            abstract=f"{spec.title}. Job {job.id}.",
            style=output.publish.style,
            process=spec.identifier,
            output=name,
            owner=job.owner,
            lineage=f"{service.base_url}/jobs/{job.id}" if service.base_url else "",
            href=f"{service.storage.url.rstrip('/')}/{key}",
            header=made.layer.header if made.layer else None,
            features=_features_path(service, job.id, made.layer),
        )
    return layers


def _features_path(service: JobService, job_id: str, content: LayerContent | None) -> Path | None:
    if content is None or not content.features:
        return None
    return _local_path(service, job_key(job_id, OUTPUTS_FOLDER, content.features))


def _local_path(service: JobService, key: str) -> Path:
    path = service.storage.local_path(key)
    if path is None and service.copies:
        try:
            path = service.copies.path(key)
        except NotFoundError as error:
            raise PublicationError(f"{key} is not in the storage") from error
    if path is None:
        raise PublicationError(f"{key} is not on this machine")
    return path
