"""When a job will start and end, from its place in the queue and how long such jobs take."""

import datetime as dt
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from candela.jobs.model import JobSummary, State, now
from candela.jobs.queue import Bounds, Share, ahead, wait_s

RUN_TIMES_S = 10.0  # how long an average of run times is taken as it is


class Estimate(NamedTuple):
    """What is to be expected of a job that is not finished.

    Attributes
    ----------
    ahead : int, optional
        Of a waiting job, how many come first.
    wait_s : float, optional
        How long it still waits (s); None where it is not known, or the job has started.
    start, end : datetime, optional
        When it will start and end; None where it is not known. A start in the past is the true one.
    """

    ahead: int | None = None
    wait_s: float | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None


class RunTimes:
    """How long jobs of each process take, as it was a moment ago.

    Parameters
    ----------
    ask : callable
        Returns the average of the last jobs of a process, in seconds; None if there were none.
    """

    def __init__(self, ask: Callable[[str], float | None]) -> None:
        self._ask = ask
        self._told: dict[str, tuple[float, float | None]] = {}

    def of(self, process: str) -> float | None:
        """Return how long jobs of a process take, in seconds."""
        told, found = self._told.get(process, (-math.inf, None))
        if time.monotonic() > told + RUN_TIMES_S:
            found = self._ask(process)
            self._told[process] = (time.monotonic(), found)
        return found


def estimate_waiting(
    job: JobSummary, shares: list[Share], run_times: RunTimes, bounds: Bounds
) -> Estimate:
    """Estimate start and end of a job in the queue, from what waits and runs as it sees it."""
    count = round(sum(ahead(job.owner, shares).values()))
    times = {share.process: run_times.of(share.process) for share in shares}
    known = {process: seconds for process, seconds in times.items() if seconds is not None}
    wait = wait_s(job.owner, job.process, shares, known, bounds)
    if wait is None:
        return Estimate(count)
    start = now() + dt.timedelta(seconds=wait)
    if job.not_before is not None:
        start = max(start, job.not_before)
    return Estimate(count, wait, start, _after(start, run_times.of(job.process)))


def estimate_started(job: JobSummary, run_times: RunTimes) -> Estimate:
    """Estimate the end of a job that runs; it is not known once the usual time is over."""
    if job.state is State.PUBLISHING or job.started is None:
        return Estimate(start=job.started)
    end = _after(job.started, run_times.of(job.process))
    return Estimate(start=job.started, end=end if end and end > now() else None)


def _after(start: dt.datetime, seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else start + dt.timedelta(seconds=seconds)
