"""The queue has an end, for all and for each owner, and nobody gets past it."""

import subprocess
import sys

import pytest

from candela.errors import BusyError
from candela.jobs.admission import Capacity
from candela.jobs.model import Job, new_id, now
from candela.jobs.principal import SYSTEM, Principal
from candela.jobs.request import ExecuteRequest
from candela.jobs.store import JobStore

CROWD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from candela.errors import BusyError
from candela.jobs.admission import Capacity
from candela.jobs.model import Job, new_id, now
from candela.jobs.store import JobStore

store = JobStore(sys.argv[1])
capacity = Capacity(int(sys.argv[2]), int(sys.argv[3]))

def add(number):
    owner = f"owner{number % 6}"
    try:
        store.add(Job(new_id(), "Echo", "1.0.0", now(), now(), owner=owner), capacity)
    except BusyError:
        return 0
    return 1

with ThreadPoolExecutor(8) as threads:
    print(sum(threads.map(add, range(60))))
"""


def submit(engine, owner=""):
    return engine.service.submit(Principal(owner), "Echo", ExecuteRequest())


def limit(engine, **limits):
    limits = engine.service.limits.model_copy(update=limits)
    object.__setattr__(engine.service, "limits", limits)


@pytest.mark.parametrize(("waiting", "of_owner", "accepted"), [(20, 0, 20), (1000, 5, 30)])
def test_gateways_that_accept_at_the_same_time_never_overshoot(
    database, waiting, of_owner, accepted
):
    store = JobStore(database)
    command = [sys.executable, "-c", CROWD, database, str(waiting), str(of_owner)]
    crowd = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [int(process.communicate(timeout=120)[0]) for process in crowd]
    owners = [job.owner for job in store.jobs(limit=1000)]
    store.close()
    assert sum(told) == len(owners) == accepted
    if of_owner:
        assert {owners.count(owner) for owner in owners} == {of_owner}


def test_one_owner_cannot_fill_the_queue(engine):
    engine = engine()
    limit(engine, queued_jobs_of_owner=2)
    submit(engine, "a"), submit(engine, "a")
    with pytest.raises(BusyError, match="2 of your jobs are waiting already"):
        submit(engine, "a")
    assert submit(engine, "b").owner == "b"
    assert [submit(engine).owner for _ in range(3)] == [""] * 3  # of nobody in particular


def test_a_queue_that_has_moved_on_takes_more(engine):
    engine = engine()
    limit(engine, queued_jobs_of_owner=1)
    first = submit(engine, "a")
    engine.service.dismiss(SYSTEM, first.id)
    assert submit(engine, "a").id != first.id


def test_a_refused_job_is_not_in_the_store(database):
    store = JobStore(database)
    store.add(Job(new_id(), "Echo", "1.0.0", now(), now()), Capacity(1))
    with pytest.raises(BusyError, match="1 jobs are waiting already"):
        store.add(Job(new_id(), "Echo", "1.0.0", now(), now()), Capacity(1))
    assert (store.count(), len(store.tally())) == (1, 1)
    store.close()
