"""Rows, files and layers agree in the end."""

import datetime as dt
import time
from dataclasses import replace
from pathlib import Path

import boto3

from candela.jobs import reconciler
from candela.jobs.model import UNFINISHED, State, now
from candela.jobs.principal import SYSTEM
from candela.jobs.reconciler import Reconciler
from candela.jobs.request import ExecuteRequest
from candela.publish.base import Layer
from candela.storage import open_storage


def submit(engine, **inputs):
    return engine.service.submit(SYSTEM, "Echo", ExecuteRequest(inputs=inputs)).id


def dismiss(engine, job_id):
    """Do what a gateway does first that is killed then."""
    assert engine.store.dismiss(job_id, name="", message="", cause="user")


def show(engine, job_id):
    engine.board.publish(Layer(f"layer_{job_id}", job_id, Path("x.tif"), "", "", "grey"))


def test_a_job_whose_time_is_over_goes_with_all_that_belongs_to_it(engine):
    engine = engine()
    job_id, other = submit(engine), submit(engine)
    show(engine, job_id)
    engine.service.storage.write(f"jobs/{job_id}/outputs/a.txt", b"a")
    engine.store.move(job_id, UNFINISHED, State.FAILED)
    past = now() - dt.timedelta(seconds=1)
    expired = replace(engine.store.get(job_id), expires=past)
    engine.store.purge(job_id)
    engine.store.add(expired)
    Reconciler(engine.service).look_at_jobs()
    assert engine.store.get(job_id).is_expired
    assert engine.board.layers() == []
    assert engine.service.storage.list(f"jobs/{job_id}") == ()
    assert engine.store.get(other).state is State.ACCEPTED


def test_nothing_expires_when_the_clock_was_set(engine, monkeypatch):
    engine = engine()
    job_id = submit(engine)
    engine.store.move(job_id, UNFINISHED, State.FAILED)
    expired = replace(engine.store.get(job_id), expires=now() + dt.timedelta(days=1))
    engine.store.purge(job_id)
    engine.store.add(expired)
    found = Reconciler(engine.service, litter_age_s=-1)
    engine.service.storage.write("jobs/young/outputs/a.txt", b"a")
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 2 * 86_400)
    monkeypatch.setattr(reconciler, "now", lambda: now() + dt.timedelta(days=2))
    found.look_at_jobs()
    found.remove_litter()
    assert not engine.store.get(job_id).is_expired
    assert engine.service.storage.list("jobs/young")
    Reconciler(engine.service).look_at_jobs()  # of a gateway that has known no other clock
    assert engine.store.get(job_id).is_expired


def test_a_job_that_is_not_finished_never_expires(engine):
    engine = engine()
    job = engine.store.get(submit(engine))
    assert job.expires is None
    assert engine.store.expired(now() + dt.timedelta(days=1000), 10) == []


def test_files_and_layers_without_a_job_are_removed(engine):
    engine = engine()
    engine.service.storage.write("jobs/gone/outputs/a.txt", b"a")
    show(engine, "gone")
    job_id = submit(engine)
    engine.service.storage.write(f"jobs/{job_id}/job.json", b"{}")
    Reconciler(engine.service, litter_age_s=-1).remove_litter()
    assert engine.service.storage.list("jobs/gone") == ()
    assert engine.board.layers() == []
    assert engine.service.storage.list(f"jobs/{job_id}") == (f"jobs/{job_id}/job.json",)


def test_what_is_left_of_a_dismissed_job_is_removed_whoever_ran_it(engine):
    engine = engine()
    job_id, live = submit(engine), submit(engine)
    engine.store.move(job_id, UNFINISHED, State.DISPATCHING, runner="a machine that is no more")
    dismiss(engine, job_id)
    for each in (job_id, live):
        engine.service.storage.write(f"jobs/{each}/outputs/a.txt", b"a")
    Reconciler(engine.service, litter_age_s=-1).remove_litter()
    assert engine.service.storage.folders("jobs") == (live,)


def test_unfinished_files_of_live_jobs_are_spared(bucket, engine):
    engine = engine()
    storage = open_storage(f"s3://{bucket}/below")
    object.__setattr__(engine.service, "storage", storage)
    live, over = submit(engine), submit(engine)
    engine.store.move(over, UNFINISHED, State.FAILED)
    client = boto3.client("s3")
    for job_id in (live, over, "gone"):
        key = f"below/jobs/{job_id}/outputs/a.tif"
        client.create_multipart_upload(Bucket=bucket, Key=key)
        storage.write(f"jobs/{job_id}/job.json", b"{}")
    Reconciler(engine.service, litter_age_s=-5).remove_litter()
    (left,) = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert left["Key"] == f"below/jobs/{live}/outputs/a.tif"
    assert storage.folders("jobs") == tuple(sorted((live, over)))


def test_a_dismissed_job_of_which_nothing_is_left_is_looked_for_no_more(engine, monkeypatch):
    monkeypatch.setattr(reconciler, "SURE_AFTER", dt.timedelta(seconds=-1))
    engine = engine()
    job_id = submit(engine)
    mine = engine.service.runner.name
    engine.store.move(job_id, UNFINISHED, State.DISPATCHING, runner=mine)
    dismiss(engine, job_id)
    engine.service.storage.write(f"jobs/{job_id}/outputs/a.txt", b"a")
    look = Reconciler(engine.service).look_at_jobs
    look()
    assert engine.store.get(job_id).runner == mine
    look()
    assert engine.store.get(job_id).runner == ""


def test_young_files_without_a_job_are_left_alone(engine):
    engine = engine()
    engine.service.storage.write("jobs/young/outputs/a.txt", b"a")
    Reconciler(engine.service).remove_litter()
    assert engine.service.storage.list("jobs/young") != ()


def test_a_dismissal_that_was_cut_short_is_finished(engine):
    engine = engine()
    job_id = submit(engine, pause=[60])
    engine.dispatcher.round()
    job = engine.store.get(job_id)
    assert engine.service.runner.state(job.backend).is_running
    dismiss(engine, job_id)  # and here the gateway died
    Reconciler(engine.service).look_at_jobs()
    assert not engine.service.runner.state(job.backend).is_running
    assert engine.service.storage.list(f"jobs/{job_id}") == ()


def test_a_dismissed_job_is_stopped_even_if_nobody_wrote_down_who_runs_it(engine):
    engine = engine()
    job_id = submit(engine, pause=[60])
    engine.dispatcher.round()
    job = engine.store.get(job_id)
    engine.service.clear(replace(job, backend=""))
    assert not engine.service.runner.state(job.backend).is_running


def test_the_reconciler_works_in_a_thread_until_it_is_stopped(engine):
    engine = engine()
    engine.service.storage.write("jobs/gone/outputs/a.txt", b"a")
    reconciler = Reconciler(engine.service, litter_age_s=-1)
    reconciler.start()
    for _ in range(200):
        if engine.service.storage.list("jobs/gone") == ():
            break
        time.sleep(0.02)
    reconciler.stop()
    assert engine.service.storage.list("jobs/gone") == ()


def test_a_job_that_another_gateway_dismisses_stops_here(engine):
    mine, other = engine(), engine(place="other")
    job_id = submit(mine, pause=[60])
    mine.dispatcher.round()
    job = mine.store.get(job_id)
    other.service.dismiss(SYSTEM, job_id)
    Reconciler(mine.service).look_at_jobs()
    assert not mine.service.runner.state(job.backend).is_running
    assert mine.service.storage.list(f"jobs/{job_id}") == ()
