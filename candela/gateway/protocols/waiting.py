"""Answers that are held back until a job has ended, in number and time bounded."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from candela.errors import BusyError, UnavailableError
from candela.jobs.model import Job
from candela.jobs.principal import Principal
from candela.jobs.service import JobService

WAITING_SYNC = 16  # answers held back at the same time, for synchronous requests
WAITING_GRACE = 8  # ... and for asynchronous ones, in case the job is fast


class Waiting:
    """The answers of a gateway that are held back.

    Parameters
    ----------
    sync_timeout_s : float
        How long a synchronous request waits for its job.
    grace_s : float
        How long an asynchronous request waits, in case the job is fast.
    """

    def __init__(self, jobs: JobService, sync_timeout_s: float, grace_s: float) -> None:
        self._jobs = jobs
        self.sync_timeout_s = sync_timeout_s
        self.grace_s = grace_s
        self._sync_places = threading.BoundedSemaphore(WAITING_SYNC)
        self._grace_places = threading.BoundedSemaphore(WAITING_GRACE)

    def for_the_end(self, principal: Principal, submit: Callable[[], Job], advice: str) -> Job:
        """Submit a job and return it when it has ended.

        Raises
        ------
        BusyError
            If too many requests wait already, or the job takes too long: it is dismissed then.
            The message ends with the advice.
        """
        with _place(self._sync_places) as has_place:
            if not has_place:
                raise BusyError(
                    f"{WAITING_SYNC} synchronous requests are being waited for already; {advice}"
                )
            job = submit()
            job = self._jobs.wait(principal, job.id, self.sync_timeout_s)
        if not job.state.is_final:
            self._jobs.dismiss(principal, job.id)
            raise BusyError(
                f"the job did not end within {self.sync_timeout_s:g} s and was dismissed; {advice}"
            )
        return job

    def for_a_while(self, principal: Principal, job: Job, timeout_s: float) -> Job | None:
        """Return a job when it has ended, or the time is over; None where many wait already.

        The job goes on in any case.
        """
        with _place(self._sync_places) as has_place:
            if not has_place:
                return None
            with suppress(UnavailableError):  # what is known of the job is the answer then
                job = self._jobs.wait(principal, job.id, min(timeout_s, self.sync_timeout_s))
        return job

    def for_a_moment(self, principal: Principal, job: Job, timeout_s: float | None = None) -> Job:
        """Return a job when it has ended, or after a moment; at once where many wait already."""
        timeout_s = self.grace_s if timeout_s is None else timeout_s
        with _place(self._grace_places) as has_place, suppress(UnavailableError):
            if has_place and not job.state.is_final:
                job = self._jobs.wait(principal, job.id, timeout_s)
        return job


@contextmanager
def _place(places: threading.BoundedSemaphore) -> Iterator[bool]:
    has_place = places.acquire(blocking=False)
    try:
        yield has_place
    finally:
        if has_place:
            places.release()
