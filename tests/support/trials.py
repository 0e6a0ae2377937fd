"""Words that the tests of runners share."""

import time
from collections.abc import Callable

from candela.contract.job import JobDocument
from candela.runners.base import Limits, Runner, RunState

LIMITS = Limits(cpu=0.2, memory_bytes=2**29, timeout_s=120)


def trial(action: str, *, job_id: str, attempt: int = 1) -> JobDocument:
    return JobDocument(
        id=job_id, process="Trial", version="1.0.0", attempt=attempt, inputs={"action": [action]}
    )


def until(condition: Callable[[], object], *, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.05)


def ended(runner: Runner, reference: str, *, seconds: float = 90) -> RunState:
    until(lambda: not runner.state(reference).is_running, seconds=seconds)
    return runner.state(reference)
