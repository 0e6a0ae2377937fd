"""What is left of removed jobs, whatever was killed in between, and who is told."""

import datetime as dt
import time
from pathlib import Path

import pytest

from candela.contract.job import Box, OutputFile, ResultDocument, Usage
from candela.errors import JobDismissedError, JobExpiredError, NoSuchJobError, StorageError
from candela.jobs import reconciler, tombstones
from candela.jobs.listing import JobQuery
from candela.jobs.model import UNFINISHED, State, now
from candela.jobs.principal import SYSTEM, Principal, Role
from candela.jobs.reconciler import Reconciler
from candela.jobs.request import ExecuteRequest
from candela.jobs.store import JobStore
from candela.publish.base import Layer

ANN, BOB = Principal("ann"), Principal("bob")
OPERATOR = Principal("root", Role.OPERATOR)
DAY = dt.timedelta(days=1)


def submit(engine, **options):
    return engine.service.submit(ANN, "Echo", ExecuteRequest(), **options).id


def finish(engine, **options):
    """Return a job of Ann that has succeeded, with a file, a layer and a place."""
    job_id, move = submit(engine, **options), engine.store.move
    made = OutputFile(file="a.xml", media_type="text/xml", size=1, sha256="0")
    result = ResultDocument(
        job=job_id, status="succeeded",
        outputs={"complexOutput": made, "boundingboxOutput": Box(bbox=(9, 45, 10, 46))},
        usage=Usage(wall_s=2, cpu_s=1.5, max_rss_bytes=10**8, input_bytes=5, output_bytes=1),
    )  # fmt: skip
    move(job_id, [State.ACCEPTED], State.DISPATCHING, runner=engine.service.runner.name)
    move(job_id, [State.DISPATCHING], State.RUNNING, started=now())
    move(job_id, [State.RUNNING], State.PUBLISHING, result=result)
    move(job_id, [State.PUBLISHING], State.SUCCEEDED)
    engine.service.storage.write(f"jobs/{job_id}/outputs/a.xml", b"a")
    engine.board.publish(Layer(f"layer_{job_id}", job_id, Path("x.tif"), "", "", "grey"))
    return job_id


def expire(engine, job_id):
    """Do what the reconciler does first when the time of a job is over."""
    set_expiry(engine, job_id)
    assert engine.store.expire(job_id, now())


def set_expiry(engine, job_id):
    with engine.store.database.write() as connection:
        past = now() - dt.timedelta(seconds=1)
        query = tombstones.JOBS.update().where(tombstones.JOBS.c.id == job_id)
        connection.execute(query.values(expires=past))


def left_of(engine, job_id):
    layers = [layer.job_id for layer in engine.board.layers()]
    return engine.service.storage.list(f"jobs/{job_id}"), layers.count(job_id)


def test_a_dismissed_job_is_listed_with_when_and_by_whom(engine):
    engine = engine()
    finished, waiting = finish(engine), submit(engine)
    for who, job_id, told in (
        (ANN, finished, ("ann", "dismissed by the user", "user")),
        (OPERATOR, waiting, ("root", "dismissed by an operator", "operator")),
    ):
        before = engine.store.get(job_id)
        job = engine.service.dismiss(who, job_id)
        (listed,) = (job for job in engine.service.page(ANN, JobQuery()).jobs if job.id == job_id)
        assert job == listed
        assert (job.removed_by, job.message, engine.store.events(job_id)[-1].cause) == told
        assert job.removed - now() < dt.timedelta(seconds=5)
        assert (job.state, job.result, job.links) == (State.DISMISSED, None, None)
        assert before.finished in {None, job.finished}  # when its work ended
        assert left_of(engine, job_id) == ((), 0)


def test_a_second_dismissal_answers_alike_and_finishes_the_first(engine, monkeypatch):
    engine = engine()
    job_id = finish(engine)
    with monkeypatch.context() as patch:
        patch.setattr(type(engine.service.storage), "delete", _away)
        with pytest.raises(StorageError):
            engine.service.dismiss(ANN, job_id)
    first = engine.store.outcome(job_id)
    assert left_of(engine, job_id)[0] != ()
    assert engine.service.dismiss(OPERATOR, job_id) == first
    assert left_of(engine, job_id) == ((), 0)
    assert [event.state for event in engine.store.events(job_id)].count(State.DISMISSED) == 1


def _away(_storage, _key):
    raise StorageError("away")


def test_what_a_job_has_used_is_counted_once_and_outlives_its_result(engine):
    engine = engine()
    job_id = finish(engine)
    assert engine.service.usage(ANN, submit(engine)) is None
    used = engine.service.usage(ANN, job_id)
    assert used == (2, 1.5, 10**8, 5, 1)
    engine.service.dismiss(ANN, job_id)
    assert engine.service.usage(ANN, job_id) == used
    assert [each.jobs for each in engine.service.consumption(ANN)] == [1]
    with pytest.raises(NoSuchJobError):
        engine.service.usage(BOB, job_id)


def test_a_job_keeps_its_place_and_its_duration(engine):
    engine = engine()
    job_id = finish(engine)
    job = engine.service.dismiss(ANN, job_id)
    assert job.footprint == (9, 45, 10, 46)
    assert 0 <= job.run_s < 60


@pytest.mark.parametrize("remove", ["dismiss", "expire"])
def test_who_is_killed_after_the_row_was_written_leaves_nothing(engine, monkeypatch, remove):
    monkeypatch.setattr(reconciler, "SURE_AFTER", dt.timedelta(seconds=-1))
    engine = engine()
    job_id, kept = finish(engine), finish(engine)
    if remove == "dismiss":
        engine.store.dismiss(job_id, name="ann", message="dismissed", cause="user")
    else:
        expire(engine, job_id)
    look = Reconciler(engine.service).look_at_jobs
    look()
    assert left_of(engine, job_id) == ((), 0)
    look()
    assert engine.store.get(job_id).runner == ""  # nothing is looked for any more
    assert left_of(engine, kept) == ((f"jobs/{kept}/outputs/a.xml",), 1)


def test_litter_of_expired_jobs_is_removed_whoever_ran_them(engine):
    engine = engine()
    job_id, kept = finish(engine), finish(engine)
    expire(engine, job_id)
    engine.store.note_cleared(job_id)
    Reconciler(engine.service, litter_age_s=-1).remove_litter()
    assert left_of(engine, job_id) == ((), 0)
    assert left_of(engine, kept) == ((f"jobs/{kept}/outputs/a.xml",), 1)


def test_an_expired_job_keeps_its_state_and_frees_its_key(engine):
    engine = engine()
    job_id = finish(engine, idempotency_key="k")
    expire(engine, job_id)
    job = engine.store.get(job_id)
    assert (job.state, job.is_expired, job.result) == (State.SUCCEEDED, True, None)
    assert engine.store.events(job_id)[-1].cause == "retention"
    with pytest.raises(JobExpiredError, match="have expired"):
        engine.service.output(ANN, job_id, "a.xml")
    assert submit(engine, idempotency_key="k") != job_id
    assert not engine.store.expire(job_id, now() + 1000 * DAY)  # once
    assert engine.service.dismiss(ANN, job_id).state is State.DISMISSED


@pytest.mark.parametrize(
    ("remove", "error"), [("dismiss", JobDismissedError), ("expire", JobExpiredError)]
)
def test_a_purged_job_is_gone_for_its_owner_and_was_never_there_for_others(engine, remove, error):
    engine = engine()
    job_id = finish(engine)
    if remove == "dismiss":
        engine.service.dismiss(ANN, job_id)
    else:
        expire(engine, job_id)
    set_expiry(engine, job_id)
    Reconciler(engine.service).look_at_jobs()
    assert engine.store.count() == 0
    assert left_of(engine, job_id) == ((), 0)
    doors = (engine.service.get, engine.service.dismiss, engine.service.events)
    for door in doors:
        for who in (ANN, OPERATOR, SYSTEM):
            with pytest.raises(error):
                door(who, job_id)
        with pytest.raises(NoSuchJobError):
            door(BOB, job_id)


def test_tombstones_are_kept_for_as_long_as_the_operator_wants(engine, database):
    job_id = finish(engine())
    store = JobStore(database, keep_tombstone_days=5)
    tombstone = store.dismiss(job_id, name="", message="", cause="user")
    assert tombstone.expires - tombstone.removed == dt.timedelta(days=5)
    assert store.expired(tombstone.removed, 9) == []
    assert [job.id for job in store.expired(tombstone.expires + DAY, 9)] == [job_id]
    store.close()


def test_only_so_many_ids_are_remembered(engine, monkeypatch):
    monkeypatch.setattr(tombstones, "MOST_PURGED", 2)
    engine = engine()
    ids = [submit(engine) for _ in range(4)]
    for job_id in ids:
        engine.store.move(job_id, UNFINISHED, State.FAILED)
        engine.store.purge(job_id)
    told = []
    for job_id in ids:
        try:
            engine.store.get(job_id)
        except JobExpiredError:
            told.append("gone")
        except NoSuchJobError:
            told.append("unknown")
    assert told == ["unknown", "unknown", "gone", "gone"]


def test_a_running_job_that_is_dismissed_stops_and_leaves_no_files(engine):
    engine = engine()
    request = ExecuteRequest(inputs={"pause": [60]})
    job_id = engine.service.submit(ANN, "Echo", request).id
    engine.dispatcher.round()
    backend = engine.store.get(job_id).backend
    engine.service.dismiss(ANN, job_id)
    end = time.monotonic() + 10
    while engine.service.runner.state(backend).is_running and time.monotonic() < end:
        time.sleep(0.02)
    assert not engine.service.runner.state(backend).is_running
    engine.dispatcher.round()
    assert engine.store.get(job_id).state is State.DISMISSED
    assert left_of(engine, job_id) == ((), 0)
