"""What is said of the start and the end of a job, and when nothing is said."""

import datetime as dt

import pytest

from candela.jobs.estimates import RunTimes, estimate_started, estimate_waiting
from candela.jobs.model import Job, State, now
from candela.jobs.queue import Bounds, Share

MINUTE = dt.timedelta(minutes=1)
SHARES = [Share("ann", "Echo", waiting=3, before=2, running=2)]


def job(**changes):
    return Job("1", "Echo", "1.0.0", now(), now(), owner="ann", **changes)


def times(**seconds):
    return RunTimes(seconds.get)


def near(moment, seconds):
    return abs((moment - now()).total_seconds() - seconds) < 5


def test_a_waiting_job_starts_after_the_work_ahead_and_ends_a_run_later():
    found = estimate_waiting(job(), SHARES, times(Echo=60.0), Bounds(2))
    assert (found.ahead, found.wait_s) == (2, (2 + 2 / 2) * 60 / 2)
    assert near(found.start, 90)
    assert found.end - found.start == MINUTE


def test_a_limit_of_the_process_delays_the_start():
    bounds = Bounds(2, of_process={"Echo": 1})
    assert estimate_waiting(job(), SHARES, times(Echo=60.0), bounds).wait_s == 180


def test_a_job_that_is_tried_again_starts_after_its_pause():
    later = now() + 10 * MINUTE
    found = estimate_waiting(job(not_before=later), SHARES, times(Echo=60.0), Bounds(2))
    assert found.start == later


def test_of_a_process_that_never_ran_the_place_alone_is_known():
    found = estimate_waiting(job(), SHARES, times(), Bounds(2))
    assert found == (2, None, None, None)


def test_a_running_job_ends_a_usual_run_after_its_start():
    started = now() - MINUTE / 2
    found = estimate_started(job(state=State.RUNNING, started=started), times(Echo=60.0))
    assert (found.ahead, found.start, found.end) == (None, started, started + MINUTE)


@pytest.mark.parametrize(
    ("state", "seconds"), [(State.RUNNING, 10.0), (State.RUNNING, None), (State.PUBLISHING, 90.0)]
)
def test_no_end_is_told_that_is_over_or_unknown(state, seconds):
    started = now() - MINUTE
    assert estimate_started(job(state=state, started=started), times(Echo=seconds)).end is None
