"""The last step of a job: its rasters and polygons become layers of the map server.

The step has threads of its own, since a file may have to come out of a bucket first, and tries
of its own. A job waits in ``publishing`` while the map server is away, for so long and no longer.
What the map server refuses for good, and what goes wrong again and again, fails the job with its
reason; its outputs stay, and nothing of it stays published.
"""

import errno
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from candela.backoff import Backoff
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
from candela.jobs.endings import MOST_FAULTS, failure_of_error
from candela.jobs.logs import without_folders
from candela.jobs.model import JobOutcome, JobSummary, Link, State
from candela.jobs.service import JobService
from candela.publish.base import Layer
from candela.publish.titles import layer_title

logger = logging.getLogger(__name__)

THREADS = 4
BACKOFF = Backoff(0.5, 60.0)
TIMEOUT_S = 86_400.0


@dataclass
class _Retries:
    """How often a job was tried in vain, by this gateway."""

    tries: int = 0
    faults: int = 0  # tries that an unexpected error has ended
    next_try: float = 0.0  # time.monotonic()
    away_since: float | None = None  # time.monotonic(), of map server or storage


class Publication:
    """Publishes the layers of jobs, in threads of its own.

    Parameters
    ----------
    service : JobService
        The jobs.
    timeout_s : float, optional
        How long a job waits for a map server or a storage that is away before it fails; the time
        begins again where the gateway does.
    backoff : Backoff, optional
        The pauses between tries of one job.
    """

    def __init__(
        self, service: JobService, *, timeout_s: float = TIMEOUT_S, backoff: Backoff = BACKOFF
    ) -> None:
        self._service = service
        self._timeout_s = timeout_s
        self._backoff = backoff
        self._lock = threading.Lock()
        self._at_work: set[str] = set()
        self._retries: dict[str, _Retries] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="publication")

    def stop(self) -> None:
        """End after the layers in hand; other jobs are published after the next start."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def offer(self, job: JobSummary) -> bool:
        """Publish a job soon, unless it is in hand or its pause is not over; tell whether."""
        with self._lock:
            retries = self._retries.get(job.id)
            if job.id in self._at_work or (retries and time.monotonic() < retries.next_try):
                return False
            self._at_work.add(job.id)
        self._threads.submit(self._work, job)
        return True

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
        """Return a job as it is now; None if it was moved on, or removed, since it was offered."""
        try:
            outcome = self._service.store.outcome(job.id)
        except NotFoundError:
            outcome = None
        if outcome is not None and outcome.state is State.PUBLISHING:
            return outcome
        self._retries.pop(job.id, None)
        return None

    def _count_fault(self, job: JobSummary, error: Exception) -> None:
        """Try again after an error that nobody has thought of, but not for ever."""
        retries = self._pause(job)
        retries.faults += 1
        logger.error(
            "Job %s is not published: internal error (%d of %d)",
            job.id, retries.faults, MOST_FAULTS, exc_info=error,
        )  # fmt: skip
        try:
            if retries.faults < MOST_FAULTS:
                name = type(error).__name__
                self._tell(job, f"internal error while publishing: {name} (try {retries.faults})")
                return
            self._fail(self._service.store.outcome(job.id), failure_of_error(job, error))
        except (NotFoundError, UnavailableError):
            logger.exception("The fault of job %s cannot be written down; trying again", job.id)

    def publish(self, job: JobOutcome) -> None:
        """Publish the layers of a job and move it on; what was published before is no harm."""
        try:
            links = self._links(job)
        except PublisherAwayError as error:
            self._wait(job, error, "map server", without_folders(str(error)))
            return
        except StorageError as error:
            self._wait(job, error, "storage")
            return
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:  # has room again some day
                raise
            self._wait(job, error, "storage", "its disk is full")
            return
        except PublicationError as error:
            logger.exception("The layers of job %s cannot be published", job.id)
            failure = Failure(kind="PublicationError", message=without_folders(str(error)))
            self._fail(job, failure)
            return
        self._retries.pop(job.id, None)
        moved = self._service.store.move(
            job.id, [State.PUBLISHING], State.SUCCEEDED,
            links=links, percent=100.0, message="succeeded",
        )  # fmt: skip
        if moved:
            logger.info("Job %s of %s succeeded", job.id, job.process)
        elif self._is_dismissed(job):
            self._service.clear(job)

    def _wait(self, job: JobOutcome, error: Exception, part: str, reason: str = "") -> None:
        """Let a job wait for a part that is away; fail it if that takes too long."""
        logger.warning("Job %s waits to be published: %s", job.id, error)
        retries, now_s = self._pause(job), time.monotonic()
        if retries.away_since is None:
            retries.away_since = now_s
        told = f": {reason}" if reason else ""
        if now_s - retries.away_since < self._timeout_s:
            self._tell(job, f"waiting for the {part} (try {retries.tries} to publish){told}")
            return
        message = f"not published: the {part} was away for {self._timeout_s:g} s{told}"
        self._fail(job, Failure(kind="UnavailableError", message=message))

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

    def _fail(self, job: JobOutcome, failure: Failure) -> None:
        """End a job whose layers cannot be published; its outputs stay where they are."""
        failed = self._service.store.move(
            job.id, [State.PUBLISHING], State.FAILED,
            error=failure, result=job.result, message=failure.message,
        )  # fmt: skip
        self._retries.pop(job.id, None)
        if failed:
            logger.info("Job %s of %s failed: %s", job.id, job.process, failure.message)
            self._withdraw(job)

    def _withdraw(self, job: JobOutcome) -> None:
        try:
            self._service.withdraw(job.id)
        except Exception:  # of what has failed to publish already
            logger.exception("The layers of job %s are left to the reconciler", job.id)

    def _pause(self, job: JobSummary) -> _Retries:
        """Let a job wait, each time longer."""
        retries = self._retries.setdefault(job.id, _Retries())
        retries.tries += 1
        retries.next_try = time.monotonic() + self._backoff.pause_s(retries.tries)
        return retries

    def _tell(self, job: JobSummary, message: str) -> None:
        told = self._service.store.move(
            job.id, [State.PUBLISHING], State.PUBLISHING, message=message
        )
        if told is None:
            self._retries.pop(job.id, None)  # dismissed

    def _is_dismissed(self, job: JobSummary) -> bool:
        """Tell whether a job was dismissed, and not moved on by another gateway."""
        try:
            return self._service.store.summary(job.id).state is State.DISMISSED
        except NotFoundError:
            return True


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
        if output.publish is None or not isinstance(made, OutputFile) or made.unplaced:
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
