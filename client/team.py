"""Many jobs side by side: what fails does not stop the others, and nothing is done twice."""

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
CLOCKS_DIFFER_S = 5.0  # that of the server and ours


class Task(NamedTuple):
    """A job to be run, and what people call it."""

    label: str
    process: str
    inputs: dict[str, object]


class Failed(NamedTuple):
    """A part that could not be done; the others were."""

    what: str
    error: ClientError


class _StoppedError(ClientError):
    """Nobody waits for the job any more."""


class Team:
    """Runs tasks side by side.

    A task that ran before, or runs still, is taken up again instead of being run twice; one that
    failed before is tried again.

    Parameters
    ----------
    client : Client
    bars : Bars
        The display.
    parallel : int
        How many jobs to have on the server at the same time.
    """

    def __init__(self, client: Client, bars: Bars, parallel: int) -> None:
        self._client = client
        self._bars = bars
        self._parallel = parallel
        self._stopping = Event()
        self._begin = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=CLOCKS_DIFFER_S)

    def run(self, tasks: Sequence[Task]) -> tuple[list[tuple[Task, Job]], list[Failed]]:
        """Run tasks; return those that were done with their jobs, and the others."""
        done, failed = [], []
        with ThreadPoolExecutor(self._parallel) as pool:
            futures = [pool.submit(self.run_one, task) for task in tasks]
            try:
                for task, future in zip(tasks, futures, strict=True):
                    try:
                        done.append((task, future.result()))
                    except ClientError as error:
                        failed.append(Failed(task.label, error))
            except BaseException:
                # NOTE: Ctrl-C in a notebook: the threads must not go on asking. Jobs go on.
                self._stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return done, failed

    def run_one(self, task: Task) -> Job:
        """Run one task; raise as ``Job.wait``."""
        bar = self._bars.add(f"{task.process} {_short(task.label)}".rstrip())
        try:
            return self._job(task, bar).wait(tell=self._told(bar.show))
        except ClientError as error:
            bar.say(f"failed: {error}")
            raise

    def _job(self, task: Task, bar: Bar) -> Job:
        """Start a job, or take up the one there is; one that failed before gets another chance."""
        attempt = 1
        while True:
            job = self._client.submit(task.process, task.inputs, attempt=attempt, told=bar.move)
            if not self._failed_before(job.info):
                return job
            attempt += 1

    def _failed_before(self, info: JobInfo) -> bool:
        failed = info.status in {Status.FAILED, Status.DISMISSED}
        return failed and info.created is not None and info.created < self._begin

    def _told(self, show: Callable[[JobInfo], None]) -> Callable[[JobInfo], None]:
        def tell(info: JobInfo) -> None:
            if self._stopping.is_set():
                raise _StoppedError("interrupted")
            show(info)

        return tell


def _short(label: str) -> str:
    return label if len(label) <= LABEL_WIDTH else f"{label[: LABEL_WIDTH - 3]}..."
