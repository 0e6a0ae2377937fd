"""A group of jobs side by side: a failure stops no other job, and nothing runs twice."""

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

from candela.client.client import Client
from candela.client.errors import ClientError
from candela.client.job import Job
from candela.client.progress import Bar, Bars
from candela.client.status import JobInfo, Status

LABEL_WIDTH = 32  # letters
CLOCK_SKEW_S = 5.0  # between the server's clock and ours, at most


class Task(NamedTuple):
    """A process with its inputs, and a label for progress bars and failures."""

    label: str
    process: str
    inputs: dict[str, object]


class Failure(NamedTuple):
    """A task that failed, by its label, and why."""

    label: str
    error: ClientError


class _InterruptedError(ClientError):
    """The wait for a job was interrupted; the job goes on."""


class JobGroup:
    """Runs tasks as jobs, a bounded number at a time.

    A task whose job is there already, running or done, takes that job up. A job that failed before
    this group began is tried again.

    Parameters
    ----------
    client : Client
    bars : Bars
        The display.
    parallel : int
        The number of jobs on the server at the same time.
    """

    def __init__(self, client: Client, bars: Bars, parallel: int) -> None:
        self._client = client
        self._bars = bars
        self._parallel = parallel
        self._interrupted = Event()
        self._begin = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=CLOCK_SKEW_S)

    def run(self, tasks: Sequence[Task]) -> tuple[list[tuple[Task, Job]], list[Failure]]:
        """Run tasks; return those that succeeded with their jobs, and the failures."""
        succeeded, failures = [], []
        with ThreadPoolExecutor(self._parallel) as pool:
            futures = [pool.submit(self.run_one, task) for task in tasks]
            try:
                for task, future in zip(tasks, futures, strict=True):
                    try:
                        succeeded.append((task, future.result()))
                    except ClientError as error:
                        failures.append(Failure(task.label, error))
            except BaseException:
                # NOTE: Ctrl-C in a notebook: the threads must not go on asking. Jobs go on.
                self._interrupted.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return succeeded, failures

    def run_one(self, task: Task) -> Job:
        """Run one task; raise as ``Job.wait``."""
        bar = self._bars.add(f"{task.process} {_short(task.label)}".rstrip())
        try:
            return self._job(task, bar).wait(on_status=self._interruptible(bar.show))
        except ClientError as error:
            bar.note(f"failed: {error}")
            raise

    def _job(self, task: Task, bar: Bar) -> Job:
        """Start a job, or take up the one there is; one that failed before is tried again."""
        attempt = 1
        while True:
            job = self._client.submit(task.process, task.inputs, attempt=attempt, progress=bar.move)
            if not self._failed_before(job.info):
                return job
            attempt += 1

    def _failed_before(self, info: JobInfo) -> bool:
        failed = info.status in {Status.FAILED, Status.DISMISSED}
        return failed and info.created is not None and info.created < self._begin

    def _interruptible(self, show: Callable[[JobInfo], None]) -> Callable[[JobInfo], None]:
        """Return a callback that ends the wait when the group was interrupted."""

        def on_status(info: JobInfo) -> None:
            if self._interrupted.is_set():
                raise _InterruptedError("interrupted")
            show(info)

        return on_status


def _short(label: str) -> str:
    return label if len(label) <= LABEL_WIDTH else f"{label[: LABEL_WIDTH - 3]}..."
