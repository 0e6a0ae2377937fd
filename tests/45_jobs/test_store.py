"""The job store."""

import datetime as dt
import threading
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from candela.contract.job import Box, Failure, Inline, OutputLiteral, Reference, ResultDocument
from candela.errors import InvalidValueError, NotFoundError, StorageError
from candela.jobs.database import open_engine
from candela.jobs.migrations import upgrade
from candela.jobs.model import UNFINISHED, Job, State, new_id, now
from candela.jobs.queue import Bounds, Share
from candela.jobs.request import ExecuteRequest
from candela.jobs.store import JobStore
from candela.jobs.tables import SCHEMA


@pytest.fixture
def store(database):
    store = JobStore(database)
    yield store
    store.close()


def new_job(**changes):
    time = now()
    return replace(Job(new_id(), "Echo", "1.0.0", time, time), **changes)


def test_a_job_comes_back_as_it_was_written(store):
    request = ExecuteRequest(
        inputs={
            "a": [1, 2.5, True, "x"],
            "b": [Reference(href="http://host/x.tif", headers={"k": "v"})],
            "c": [Inline(value="<a/>", media_type="text/xml"), Box(bbox=(1, 2, 3, 4))],
        }
    )
    job = new_job(request=request)
    store.add(job)
    assert store.get(job.id) == job


def test_a_pause_of_a_clock_that_was_put_back_is_over(store):
    minute, year = dt.timedelta(minutes=1), dt.timedelta(days=365)
    paused, strange = (new_job(not_before=now() + after) for after in (minute, year))
    store.add(paused)
    store.add(strange)
    assert [job.id for job in store.claim("here", Bounds(9))] == [strange.id]


def test_an_unknown_job_is_not_found(store):
    with pytest.raises(NotFoundError, match="no job 'x'"):
        store.get("x")


def test_a_job_moves_through_its_states_and_keeps_a_log(store):
    job = new_job()
    store.add(job)
    result = ResultDocument(job=job.id, status="succeeded", outputs={"n": OutputLiteral(value=1)})
    store.move(job.id, [State.ACCEPTED], State.DISPATCHING, message="starting")
    store.move(job.id, [State.DISPATCHING], State.RUNNING, message="running", backend="7")
    store.move(job.id, [State.RUNNING], State.PUBLISHING, message="publishing", result=result)
    done = store.move(job.id, [State.PUBLISHING], State.SUCCEEDED, message="done")
    assert done is not None
    assert (done.state, done.backend, done.result) == (State.SUCCEEDED, "7", result)
    assert done.finished is not None
    assert [event.message for event in store.events(job.id)] == [
        "accepted", "starting", "running", "publishing", "done",
    ]  # fmt: skip


def test_of_many_that_move_a_job_exactly_one_succeeds(store):
    job = new_job()
    store.add(job)
    won = []

    def claim():
        if store.move(job.id, [State.ACCEPTED], State.DISPATCHING):
            won.append(threading.get_ident())

    threads = [threading.Thread(target=claim) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_final_state_is_final(store):
    job = new_job()
    store.add(job)
    store.dismiss(job.id, name="", message="dismissed", cause="user")
    error = Failure(kind="InputError", message="no")
    assert store.move(job.id, list(State), State.FAILED, error=error) is None
    assert store.get(job.id).state is State.DISMISSED


def test_a_state_cannot_be_skipped(store):
    job = new_job()
    store.add(job)
    assert store.move(job.id, list(State), State.SUCCEEDED) is None


def test_progress_never_goes_back_and_ends_with_the_run(store):
    job = new_job()
    store.add(job)
    assert not store.report(job.id, 10, "too early")
    store.move(job.id, [State.ACCEPTED], State.DISPATCHING)
    store.move(job.id, [State.DISPATCHING], State.RUNNING)
    assert store.report(job.id, 40, "reading")
    assert not store.report(job.id, 30, "late")
    assert (store.get(job.id).percent, store.get(job.id).message) == (40, "reading")
    store.move(job.id, [State.RUNNING], State.FAILED, message="broken")
    assert not store.report(job.id, 50, "too late")
    assert store.get(job.id).message == "broken"


def claimed(store, slots, **bounds):
    return [job.id for job in store.claim("here", Bounds(slots, **bounds))]


def test_jobs_are_claimed_in_their_turn_and_only_once(store):
    first, second, urgent = new_job(), new_job(), new_job(priority=5)
    for job in (first, second, urgent):
        store.add(job)
    assert claimed(store, 2) == [urgent.id, first.id]
    assert claimed(store, 2) == []
    assert claimed(store, 3) == [second.id]
    job = store.get(first.id)
    assert (job.state, job.runner, job.message) == (State.DISPATCHING, "here", "starting")
    assert [event.state for event in store.events(first.id)] == ["accepted", "dispatching"]


def test_a_job_that_waits_for_another_try_is_not_claimed_before_its_time(store):
    later, past = new_job(), new_job(not_before=now())
    store.add(replace(later, not_before=now() + dt.timedelta(seconds=50)))
    store.add(past)
    assert claimed(store, 5) == [past.id]


def test_limits_hold_for_all_gateways_together(store, database):
    for _ in range(12):
        store.add(new_job())
    others = [JobStore(database) for _ in range(4)]
    found = []
    bounds = Bounds(4, of_process={"Echo": 5})
    threads = [
        threading.Thread(target=lambda each=each: found.extend(each.claim(f"{id(each)}", bounds)))
        for each in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.id for job in found}) == len(found) == 5
    for each in others:
        each.close()


def test_a_waiting_job_sees_what_waits_and_runs(store):
    running, mine, urgent = new_job(), new_job(), new_job(priority=1)
    theirs = new_job(owner="b", process="Other")
    store.add(running)
    store.claim("here", Bounds(1))
    for job in (mine, urgent, theirs):
        store.add(job)
    assert sorted(store.shares(mine)) == [Share("", "Echo", 2, 1, 1), Share("b", "Other", 1, 0, 0)]
    assert sorted(store.shares(theirs))[0] == Share("", "Echo", 2, 2, 1)


def test_the_run_time_of_a_process_is_the_average_of_its_last_jobs(store):
    assert store.run_time_s("Echo") is None
    for seconds in (10, 20):
        start = now() - dt.timedelta(seconds=seconds)
        store.add(new_job(state=State.SUCCEEDED, started=start, finished=now()))
    store.add(new_job(state=State.FAILED, started=now(), finished=now()))
    assert store.run_time_s("Echo") == pytest.approx(15, abs=0.5)
    assert store.run_time_s("Other") is None


def test_a_message_that_no_database_can_hold_is_kept_without_that(store):
    job = new_job()
    store.add(job)
    store.move(job.id, [State.ACCEPTED], State.DISPATCHING, message="a\0b")
    assert store.get(job.id).message == "ab"
    store.report(job.id, 1, "half \ud83d a character\0")
    assert store.get(job.id).message == "half ? a character"


def test_an_id_that_cannot_be_one_is_not_found_or_refused(store):
    with pytest.raises((NotFoundError, InvalidValueError)):
        store.get("a\0b")


def test_jobs_are_listed_newest_first_and_filtered(store):
    jobs = [new_job(), new_job(process="Other"), new_job()]
    for job in jobs:
        store.add(job)
    store.move(jobs[0].id, [State.ACCEPTED], State.FAILED)
    assert [job.id for job in store.jobs()] == [job.id for job in reversed(jobs)]
    assert [job.id for job in store.jobs(process="Other")] == [jobs[1].id]
    assert [job.id for job in store.jobs(states=[State.FAILED])] == [jobs[0].id]
    assert [job.id for job in store.jobs(limit=1, offset=1)] == [jobs[1].id]
    assert store.count(states=[State.ACCEPTED]) == 2


def test_only_a_finished_job_can_be_forgotten(store):
    job = new_job()
    store.add(job)
    store.purge(job.id)
    assert store.get(job.id)
    store.move(job.id, UNFINISHED, State.FAILED)
    store.purge(job.id)
    with pytest.raises(NotFoundError):
        store.get(job.id)
    assert store.events(job.id) == []


def test_a_waiter_sees_the_end_made_by_another_connection(store, database):
    job = new_job()
    store.add(job)
    other = JobStore(database)
    timer = threading.Timer(0.1, other.move, [job.id, UNFINISHED, State.FAILED])
    timer.start()
    assert store.wait(job.id, 10).state is State.FAILED
    timer.join()
    other.close()


def test_waiting_ends_with_its_time(store):
    job = new_job()
    store.add(job)
    assert store.wait(job.id, 0.05).state is State.ACCEPTED


def test_jobs_are_there_when_the_store_is_opened_again(store, database):
    job = new_job()
    store.add(job)
    again = JobStore(database)
    assert again.get(job.id) == job
    again.close()


def test_several_gateways_may_meet_an_empty_database(database):
    stores = []
    threads = [threading.Thread(target=lambda: stores.append(JobStore(database))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.count() for store in stores] == [0] * 4
    for store in stores:
        store.close()


def test_the_migrations_make_the_schema_that_the_code_uses(database):
    engine = open_engine(database)
    upgrade(engine)
    upgrade(engine)  # nothing left to do
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SCHEMA) == []
    engine.dispose()


def test_finished_jobs_are_kept_for_as_long_as_the_operator_wants(database):
    store = JobStore(database, keep_days=2)
    job = new_job()
    store.add(job)
    done = store.move(job.id, UNFINISHED, State.FAILED)
    assert done.expires - done.finished == dt.timedelta(days=2)
    assert store.expired(done.finished, 10) == []
    later = done.expires + dt.timedelta(seconds=1)
    assert [found.id for found in store.expired(later, 10)] == [job.id]
    store.close()


def test_a_database_that_is_not_ours_is_left_alone_and_named(database):
    engine = open_engine(database)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE job (id INTEGER)")
    with pytest.raises(StorageError, match=r"job database .* cannot be used: .*already exists"):
        JobStore(database)
    engine.dispose()
