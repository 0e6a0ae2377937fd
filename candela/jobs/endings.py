"""What an attempt that ended without a result means: another try, or why the job failed.

The machine's faults are tried again, each time after a longer pause; the job's own are not.
"""

import datetime as dt
from typing import NamedTuple

from candela.backoff import Backoff
from candela.contract.job import EXIT_UNAVAILABLE, Failure
from candela.jobs.model import JobSummary
from candela.runners.base import Cause, RunState
from candela.spec import RunSpec

NOT_RUN = frozenset({Cause.IMAGE, Cause.UNSCHEDULABLE, Cause.DISRUPTED})
BACKOFF = Backoff(1.0, 60.0)
MOST_FAULTS = 5  # unexpected errors of one job in a row, before it fails


class Fault(NamedTuple):
    """A fault of the machine."""

    reason: str
    tries: int  # how often a job is tried in all, if this goes on
    kind: str = "InternalError"


KILLED = Fault("the worker was ended from outside", 10)
NO_MEMORY = Fault("the machine ran out of memory", 3, "LimitError")
NO_STORAGE = Fault("the storage did not work", 10)


def fault_of(run: RunState) -> Fault | None:
    """Return the machine's fault at the end of an attempt; None if it was the job's own."""
    if run.cause is Cause.FINISHED and run.exit_code == EXIT_UNAVAILABLE:
        return NO_STORAGE
    return {Cause.LOST: KILLED, Cause.MACHINE_MEMORY: NO_MEMORY}.get(run.cause or Cause.FINISHED)


def pause_before(attempt: int) -> dt.timedelta:
    """Return how long a job waits before an attempt; the first one comes at once."""
    return dt.timedelta(seconds=BACKOFF.pause_s(attempt - 1))


def failure_of_error(job: JobSummary, error: Exception) -> Failure:
    """Say that a job failed by an unexpected error of the gateway, in the state it was in."""
    message = f"internal error while {job.state}: {type(error).__name__}"
    return with_id(Failure(kind="InternalError", message=message), job)


def with_id(failure: Failure, job: JobSummary) -> Failure:
    """Return an internal error by which an operator finds the log; others as they are."""
    if failure.kind != "InternalError":
        return failure
    return failure.model_copy(update={"message": f"{failure.message}, job {job.id}"})


def failure_of(job: JobSummary, limits: RunSpec, run: RunState) -> Failure:
    """Say why a job failed whose last attempt has no result."""
    if run.cause is Cause.DEADLINE:
        message = f"the job ran longer than the {limits.timeout} s that {job.process} may"
        return Failure(kind="LimitError", message=message)
    if run.cause is Cause.OUT_OF_MEMORY:
        message = f"the job needed more memory than the {limits.memory} that it may have"
        return Failure(kind="LimitError", message=message)
    if run.cause in NOT_RUN:
        message = f"the job could not be run: {run.message}"
        return Failure(kind="UnavailableError", message=message)
    if run.cause is Cause.EVICTED:
        message = f"the job used more disk than it may: {run.message}"
        return Failure(kind="LimitError", message=message)
    fault = fault_of(run)
    if fault is not None:
        message = f"{fault.reason}, at the last of {job.attempt} tries of job {job.id}"
        return Failure(kind=fault.kind, message=message)
    code = f" (exit code {run.exit_code})" if run.exit_code is not None else ""
    message = f"internal error, job {job.id}: the worker ended without a result{code}"
    return Failure(kind="InternalError", message=message)
