"""Brings rows, files and layers back to the same truth: the job store's.

Finished jobs whose time is over leave a tombstone, and later no more than their id. Files and
layers without a job are litter, of a gateway that was killed between two steps; what is younger
than an hour is left alone, since its job may be under way.
"""

import datetime as dt
import logging
import threading
import time
from collections.abc import Collection

from candela.contract.job import job_key
from candela.errors import (
    NotFoundError,
    PublisherAwayError,
    StorageError,
    UnavailableError,
)
from candela.jobs.model import State, now
from candela.jobs.publication import reconcile as reconcile_layers
from candela.jobs.service import JobService

logger = logging.getLogger(__name__)

PERIOD_S = 10.0
LITTER_PERIOD_S = 3600.0  # looks at every file of every job
LAYER_PERIOD_S = 300.0
BATCH = 200
CLOCK_JUMP_S = 3600.0  # more than what keeps clocks right ever sets them by
LITTER_AGE_S = 3600.0
SURE_AFTER = dt.timedelta(minutes=1)  # a dispatcher may still be starting what was dismissed


class Reconciler:
    """Looks at jobs every ten seconds, at layers every five minutes, at all files once an hour.

    Parameters
    ----------
    service : JobService
        The jobs.
    litter_age_s : float
        How old files without a job must be before they are removed.
    """

    def __init__(self, service: JobService, *, litter_age_s: float = LITTER_AGE_S) -> None:
        self._service = service
        self._litter_age_s = litter_age_s
        self._refused: set[str] = set()  # jobs whose layers cannot be published again
        self._clock_s = _clock_s()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reconciler", daemon=True)

    def start(self) -> None:
        """Begin to work, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current look."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        litter_is_due = layers_are_due = 0.0
        while not self._stopping.is_set():
            try:
                self.look_at_jobs()
                if time.monotonic() >= litter_is_due:
                    self.remove_litter()
                    litter_is_due = time.monotonic() + LITTER_PERIOD_S
                elif time.monotonic() >= layers_are_due:
                    self.look_at_layers()
                    layers_are_due = time.monotonic() + LAYER_PERIOD_S
            except (UnavailableError, StorageError) as error:  # the next look finds the same
                logger.warning("The reconciler is paused: %s", error)
            except Exception:
                logger.exception("A cycle of the reconciler failed; retrying")
            self._stopping.wait(PERIOD_S)

    def look_at_jobs(self) -> None:
        """Remove what has expired, and what was removed by halves."""
        self._remove_expired()
        self._finish_removals()

    def _remove_expired(self) -> None:
        if self._clock_was_set():
            return
        store, moment = self._service.store, now()
        for job in store.expired(moment, BATCH):
            if job.removed is None:
                logger.info("Job %s has expired", job.id)
                if store.expire(job.id, moment):
                    self._service.clear(job)
                continue
            if job.runner:  # of a gateway that is no more
                self._service.clear(job)
            store.purge(job.id)

    def _clock_was_set(self) -> bool:
        """Tell whether nobody can say how old anything is; restarts of the gateway end this."""
        jump_s = _clock_s() - self._clock_s
        if abs(jump_s) > CLOCK_JUMP_S:
            logger.warning(
                "The clock changed by %.0f s: no expiry until it is corrected or a restart", jump_s
            )
        return abs(jump_s) > CLOCK_JUMP_S

    def _finish_removals(self) -> None:
        """Clear our jobs that another gateway, or one that died meanwhile, made tombstones."""
        runner = self._service.runner
        for job in self._service.store.removed(runner.name, BATCH):
            is_running = bool(job.backend) and runner.state(job.backend).is_running
            if is_running or self._service.storage.list(job_key(job.id)):
                logger.info("Removed the remaining files of job %s", job.id)
                self._service.clear(job)
            elif job.updated < now() - SURE_AFTER:
                self._service.store.note_cleared(job.id)

    def look_at_layers(self) -> None:
        """Bring layers and jobs back together, if the map server is there."""
        try:
            reconcile_layers(self._service, self._refused)
        except PublisherAwayError as error:
            logger.warning("Layers are not reconciled: %s", error)

    def remove_litter(self) -> None:
        """Remove files and layers that belong to no job, and publish layers that are missing."""
        self.look_at_layers()
        if self._clock_was_set():
            return
        storage, store = self._service.storage, self._service.store
        stored = storage.folders("jobs")
        states = store.states(stored)
        for job_id in stored:
            if states.get(job_id, State.DISMISSED) is State.DISMISSED:
                self._remove_files(job_id)
        if self._service.uploads:
            self._service.uploads.remove_expired(self._is_one_alive)
        for name in storage.sweep(time.time() - self._litter_age_s, self._is_alive):
            logger.warning("Removing an unfinished file: %s", name)

    def _remove_files(self, job_id: str) -> None:
        storage = self._service.storage
        try:
            if time.time() - storage.changed(job_key(job_id)) > self._litter_age_s:
                logger.warning("Removing files of job %s, which no longer exists", job_id)
                storage.delete(job_key(job_id))
        except (NotFoundError, StorageError) as error:  # it is being removed by somebody else
            logger.warning("The files of job %s cannot be removed: %s", job_id, error)

    def _is_one_alive(self, job_ids: Collection[str]) -> bool:
        """Tell whether one of some jobs goes on."""
        return any(not state.is_final for state in self._service.store.states(job_ids).values())

    def _is_alive(self, key: str) -> bool:
        """Tell whether a file belongs to a job that goes on."""
        job_id = key.split("/")[1] if key.startswith("jobs/") else ""
        state = self._service.store.states([job_id]).get(job_id)
        return state is not None and not state.is_final


def _clock_s() -> float:
    """Return the time of day at which this machine was started; it changes when a clock is set."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
