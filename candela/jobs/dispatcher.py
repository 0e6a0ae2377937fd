"""The engine: gives accepted jobs to the runner and brings them to an end.

Each round looks at the store alone, and there only at what its own runner has in hand, so several
gateways share a store without looking at each other's workers. A dispatcher may die at any moment
and the next one goes on where it stopped: what it does twice is harmless, and every move is a
compare-and-set.
"""

import logging
import math
import threading
import time
from dataclasses import replace

from candela.contract.documents import read_result
from candela.contract.job import (
    RESULT_STORED,
    Failure,
    JobDocument,
    ProgressTarget,
    ResultDocument,
    Staging,
)
from candela.errors import NotFoundError, RunnerError, StorageError, UnavailableError
from candela.jobs.added_processes import content_of
from candela.jobs.endings import (
    MOST_FAULTS,
    failure_of,
    failure_of_error,
    fault_of,
    pause_before,
    with_id,
)
from candela.jobs.logs import tail, without_folders
from candela.jobs.model import ACTIVE, JobSummary, State, now
from candela.jobs.principal import SYSTEM
from candela.jobs.publication import TIMEOUT_S, Publication
from candela.jobs.request import UnreadableRequest
from candela.jobs.service import JobService
from candela.jobs.tokens import token_for
from candela.runners.base import Cause, Limits, RunState

logger = logging.getLogger(__name__)

WAITING = "waiting for the storage"
MOST_ACTIVE = 10_000
BUSY_ROUND_S = 0.02
IDLE_ROUND_S = 0.5
AWAY_ROUND_S = 2.0  # while the database or the storage is away


class Dispatcher:
    """Runs jobs, at most ``limits.running_jobs`` at the same time.

    Parameters
    ----------
    service : JobService
        The jobs.
    base_url : str
        The gateway's address, to which workers report.
    key : bytes
        Signs the workers' tokens.
    staging : Staging
        Where workers may take inputs from.
    """

    def __init__(
        self,
        service: JobService,
        *,
        base_url: str,
        key: bytes,
        staging: Staging,
        publish_timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._service = service
        self._store = service.store
        self._runner = service.runner
        self._base_url = base_url
        self._key = key
        self._staging = staging
        self._publication = Publication(service, timeout_s=publish_timeout_s)
        self._pauses: dict[str, float] = {}  # until when (monotonic) a job waits for the storage
        self._faults: dict[str, int] = {}  # unexpected errors in a row
        self._looked = -math.inf  # into the queue
        self._seen = -1  # changes of the store, then
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to work, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current round; running jobs go on and are adopted at the next start."""
        self._stopping.set()
        self._store.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._publication.stop()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                active = self.round()
            except UnavailableError as error:  # jobs wait in the store until it is back
                logger.warning("The dispatcher is paused: %s", error)
                self._stopping.wait(AWAY_ROUND_S)
            except Exception:
                logger.exception("A cycle of the dispatcher failed; retrying")
                self._stopping.wait(AWAY_ROUND_S)
            else:
                if active:
                    self._stopping.wait(BUSY_ROUND_S)
                else:
                    self._store.wait_for_change(IDLE_ROUND_S)

    def round(self) -> int:
        """Move every job on that can be moved; return how many are in hand."""
        mine = self._runner.name
        jobs = self._store.jobs(states=ACTIVE, runner=mine, limit=MOST_ACTIVE, oldest_first=True)
        for job in jobs:
            self.advance(job)
        ids = {job.id for job in jobs}
        self._pauses = {key: until for key, until in self._pauses.items() if key in ids}
        self._faults = {key: count for key, count in self._faults.items() if key in ids}
        running = self._store.count(states=[State.DISPATCHING, State.RUNNING], runner=mine)
        if running < self._service.bounds.slots and self._may_find_jobs():
            claimed = self._store.claim(mine, self._service.bounds)
            for job in claimed:
                self.advance(job)
            running += len(claimed)
            self._looked, self._seen = time.monotonic(), self._store.changes
        return running

    def _may_find_jobs(self) -> bool:
        """Tell whether the queue may be another one than at the last look."""
        return self._seen != self._store.changes or time.monotonic() > self._looked + IDLE_ROUND_S

    def advance(self, job: JobSummary) -> None:
        """Move one job on; what is wrong with it, or with its files, does not hold up others."""
        if time.monotonic() < self._pauses.get(job.id, -math.inf):
            return
        try:
            self._follow(job)
            self._faults.pop(job.id, None)
        except NotFoundError as error:
            self._fail(job, Failure(kind="NotFoundError", message=error.message))
        except RunnerError as error:
            message = f"the job could not be started: {error}"
            self._fail(job, Failure(kind="InternalError", message=message))
        except StorageError as error:
            logger.warning("Job %s waits for the storage: %s", job.id, error)
            self._pauses[job.id] = time.monotonic() + AWAY_ROUND_S
            if job.message != WAITING:
                self._store.report(job.id, job.percent, WAITING)
        except UnavailableError:
            raise
        except Exception as error:
            self._count_fault(job, error)

    def _count_fault(self, job: JobSummary, error: Exception) -> None:
        """Retry after an unexpected error; after several in a row fail the job and cancel it."""
        self._pauses[job.id] = time.monotonic() + AWAY_ROUND_S
        self._faults[job.id] = faults = self._faults.get(job.id, 0) + 1
        logger.error(
            "The state transition of job %s failed (%d of %d)",
            job.id, faults, MOST_FAULTS, exc_info=error,
        )  # fmt: skip
        if faults < MOST_FAULTS or job.state is State.PUBLISHING:  # publication counts its own
            return
        try:
            self._fail(job, failure_of_error(job, error))
            if backend := job.backend or self._runner.find(job.id, job.attempt):
                self._runner.cancel(backend)
        except Exception:
            logger.exception("The worker of job %s may still be running", job.id)

    def _follow(self, job: JobSummary) -> None:
        if job.state is State.DISPATCHING:
            self._submit(job)
        elif job.state is State.RUNNING:
            run = self._runner.state(job.backend)
            if not run.is_running:
                self._settle(job, run)
            elif job.message == RESULT_STORED:
                self._settle_early(job)
            elif run.message and run.message != job.message:  # why it does not start
                self._store.report(job.id, job.percent, run.message)
        elif job.state is State.PUBLISHING:
            self._publication.offer(job)

    def _submit(self, seen: JobSummary) -> None:
        job = self._store.get(seen.id)
        if job.state is not State.DISPATCHING or job.attempt != seen.attempt:
            return  # somebody else has moved it on
        if isinstance(job.request, UnreadableRequest):
            raise RunnerError("its request in the database is not valid")
        spec = self._service.spec(job)
        document = JobDocument(
            id=job.id,
            process=job.process,
            version=job.version,
            attempt=job.attempt,
            owner=job.owner,
            inputs=job.request.inputs,
            cpu=spec.run.cpu,
            staging=self._staging,
            progress=ProgressTarget(
                url=f"{self._base_url}/jobs/{job.id}/progress",
                token=token_for(self._key, job.id, job.attempt),
            ),
            description=content_of(spec) if spec.is_external else None,
        )
        backend = self._runner.submit(document, Limits.of(spec.run))
        moved = self._store.move(
            job.id,
            [State.DISPATCHING],
            State.RUNNING,
            of_attempt=job.attempt,
            backend=backend,
            message="running",
            started=now(),
        )
        if moved is not None and moved.percent >= 100:  # a warm worker was faster than we are
            self._settle_early(moved)
        elif moved is None and self._is_over(job):  # dismissed in the meantime
            self._service.clear(replace(job, backend=backend))

    def _settle(self, job: JobSummary, run: RunState) -> None:
        result = self._result(job)
        if result is None or (run.cause is Cause.OUT_OF_MEMORY and _is_internal(result.error)):
            self._settle_without_result(job, run)
        elif result.error is not None:
            self._fail(job, with_id(result.error, job), result)
        else:
            publishing = self._store.move(
                job.id,
                [State.RUNNING],
                State.PUBLISHING,
                of_attempt=job.attempt,
                result=result,
                message="publishing",
            )
            if publishing:
                self._publication.offer(publishing)

    def _settle_early(self, job: JobSummary) -> None:
        """Take a result when the worker says that it is there.

        A cluster tells up to a second later that the pod has ended. Of internal errors it may still
        tell a better cause.
        """
        result = self._result(job)
        if result is not None and not _is_internal(result.error):
            self._settle(job, RunState(Cause.FINISHED))

    def _result(self, job: JobSummary) -> ResultDocument | None:
        """Return the outcome of the attempt, if it has one."""
        result = read_result(self._service.storage, job.id)
        return result if result is not None and result.attempt == job.attempt else None

    def _settle_without_result(self, job: JobSummary, run: RunState) -> None:
        fault = fault_of(run)
        if fault is None or job.attempt >= fault.tries:
            self._fail(job, failure_of(job, self._service.spec(job).run, run))
            return
        logger.warning("Job %s: %s; retrying", job.id, fault.reason)
        self._store.move(
            job.id,
            [State.RUNNING],
            State.ACCEPTED,
            of_attempt=job.attempt,
            attempt=job.attempt + 1,
            runner="",
            backend="",
            percent=0.0,
            not_before=now() + pause_before(job.attempt + 1),
            message=f"{fault.reason}; waiting for try {job.attempt + 1}",
        )

    def _is_over(self, job: JobSummary) -> bool:
        """Tell whether a job was dismissed, and not moved on by another dispatcher."""
        try:
            return self._store.summary(job.id).state is State.DISMISSED
        except NotFoundError:
            return True

    def _last_words(self, job: JobSummary) -> str | None:
        try:
            return tail(self._service.log_tail(SYSTEM, job.id)) or None
        except (NotFoundError, StorageError, OSError) as error:
            logger.warning("The log of job %s cannot be read: %s", job.id, error)
            return None

    def _fail(self, job: JobSummary, error: Failure, result: ResultDocument | None = None) -> None:
        logger.info("Job %s of %s failed: %s", job.id, job.process, error.message)
        told = {"message": without_folders(error.message), "log": self._last_words(job)}
        error = error.model_copy(update=told)
        self._store.move(
            job.id,
            [job.state],
            State.FAILED,
            of_attempt=job.attempt,
            error=error,
            result=result,
            message=error.message,
        )


def _is_internal(error: Failure | None) -> bool:
    return error is not None and error.kind == "InternalError"
