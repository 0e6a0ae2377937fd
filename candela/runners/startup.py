"""How long the pods of an attempt may fail to start."""

import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from candela.runners.base import Cause
from candela.runners.verdict import Document, StartFailure, is_finished, start_failure


class StartTimeouts(NamedTuple):
    """How long a pod may fail to start before its attempt is ended, in seconds."""

    image_pull_s: float = 300
    unschedulable_s: float = 86_400

    def of(self, cause: Cause) -> float:
        """Return the timeout of a cause."""
        return self.image_pull_s if cause is Cause.IMAGE else self.unschedulable_s


START_TIMEOUTS = StartTimeouts()


class StartupWatch:
    """Since when attempts fail to start, as one gateway has seen it."""

    def __init__(self, timeouts: StartTimeouts) -> None:
        self._timeouts = timeouts
        self._since: dict[str, dict[Cause, float]] = {}  # time.monotonic(), by Job

    def timed_out(self, name: str, job: Document, pods: Sequence[Document]) -> StartFailure | None:
        """Return why the pods of a Job have not started, if that goes on for too long."""
        failure = start_failure(pods)
        if failure is None or is_finished(job):
            return None
        now_s = time.monotonic()
        since_s = self._since.setdefault(name, {}).setdefault(failure.cause, now_s)
        return failure if now_s - since_s > self._timeouts.of(failure.cause) else None

    def forget(self, *, all_but: Collection[str]) -> None:
        """Forget the Jobs that the cluster has forgotten."""
        for name in self._since.keys() - set(all_but):
            del self._since[name]
