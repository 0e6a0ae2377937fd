"""What the end of an attempt means."""

import pytest

from candela.jobs.endings import failure_of, fault_of, pause_before
from candela.jobs.model import Job, now
from candela.runners.base import Cause, RunState
from candela.spec import RunSpec

LIMITS = RunSpec(memory="2Gi", timeout=60)


def job(attempt=1):
    return Job("7", "Echo", "1.0.0", now(), now(), attempt=attempt)


@pytest.mark.parametrize(
    ("run", "tries"),
    [
        (RunState(Cause.LOST, -9), 10),
        (RunState(Cause.LOST), 10),
        (RunState(Cause.MACHINE_MEMORY, -9), 3),
        (RunState(Cause.FINISHED, 4), 10),
    ],
)
def test_faults_of_the_machine_are_tried_again(run, tries):
    assert fault_of(run).tries == tries


@pytest.mark.parametrize(
    "run",
    [
        RunState(Cause.FINISHED, 1),
        RunState(Cause.FINISHED, -11),
        RunState(Cause.DEADLINE, 143),
        RunState(Cause.OUT_OF_MEMORY, -9),
    ],
)
def test_what_the_job_did_itself_is_not_tried_again(run):
    assert fault_of(run) is None


def test_each_pause_is_twice_as_long_up_to_a_minute():
    pauses = [pause_before(attempt).total_seconds() for attempt in range(1, 11)]
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("run", "attempt", "kind", "message"),
    [
        (RunState(Cause.DEADLINE), 1, "LimitError", "longer than the 60 s that Echo may"),
        (RunState(Cause.OUT_OF_MEMORY), 1, "LimitError", "more memory than the 2Gi"),
        (RunState(Cause.MACHINE_MEMORY), 3, "LimitError", "the machine ran out of memory, at the"),
        (RunState(Cause.LOST), 10, "InternalError", "from outside, at the last of 10 tries"),
        (RunState(Cause.FINISHED, 4), 10, "InternalError", "the storage did not work, at the last"),
        (
            RunState(Cause.FINISHED, -11),
            1,
            "InternalError",
            "job 7: the worker ended without a result (exit code -11)",
        ),
    ],
)
def test_a_failure_says_the_true_reason(run, attempt, kind, message):
    failure = failure_of(job(attempt), LIMITS, run)
    assert failure.kind == kind
    assert message in failure.message
