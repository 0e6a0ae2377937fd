"""Who moves jobs on, whatever happens."""

import datetime as dt
import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from trials import until

from candela.backoff import Backoff
from candela.contract.job import (
    RESULT_STORED,
    Failure,
    OutputFile,
    OutputLiteral,
    ResultDocument,
)
from candela.errors import BusyError, InvalidValueError
from candela.jobs import dispatcher, endings, estimates
from candela.jobs.model import State, now
from candela.jobs.principal import SYSTEM, Principal
from candela.jobs.request import ExecuteRequest


def echo(engine, **inputs):
    values = {name: value if isinstance(value, list) else [value] for name, value in inputs.items()}
    return engine.service.submit(SYSTEM, "Echo", ExecuteRequest(inputs=values)).id


def go_on(engine, job_id, *, until=lambda job: job.state.is_final, timeout_s=60):
    """Move jobs until one is where it should be."""
    for _ in range(int(timeout_s / 0.02)):
        engine.dispatcher.round()
        job = engine.store.get(job_id)
        if until(job):
            return job
        time.sleep(0.02)
    raise AssertionError(f"job is {job.state}: {job.message}")


def claim(engine, job_id):
    """Do what a dispatcher does before it starts a job."""
    runner = engine.service.runner.name
    return engine.store.move(job_id, [State.ACCEPTED], State.DISPATCHING, runner=runner)


def pid_of(backend):
    """Return the process of a worker: its runner names it so."""
    return int(backend.split(":")[1])


def is_running(job):
    return job.state is State.RUNNING


def test_a_job_runs_to_its_end(engine):
    engine = engine()
    job = go_on(engine, echo(engine, numbers=[1, 2]))
    assert job.state is State.SUCCEEDED
    assert job.result.outputs["sum"].value == 3.0
    assert job.result.usage.wall_s > 0


def test_only_so_many_jobs_run_at_once(engine):
    engine = engine(running_jobs=1)
    first, second = echo(engine, pause=60), echo(engine)
    go_on(engine, first, until=is_running)
    for _ in range(5):
        engine.dispatcher.round()
    assert engine.store.get(second).state is State.ACCEPTED
    engine.service.dismiss(SYSTEM, first)
    assert go_on(engine, second).state is State.SUCCEEDED


def test_a_restart_with_lower_limits_loses_nothing(engine):
    first = engine(running_jobs=2)
    ids = [echo(first, pause=2), echo(first, pause=2), echo(first), echo(first)]
    for job_id in ids[:2]:
        go_on(first, job_id, until=is_running)
    first.service.runner.close()
    second = engine(running_jobs=1)
    limits = second.service.limits.model_copy(update={"queued_jobs": 1})
    object.__setattr__(second.service, "limits", limits)
    second.dispatcher.round()
    states = [second.store.get(job_id).state for job_id in ids]
    assert states == [State.RUNNING, State.RUNNING, State.ACCEPTED, State.ACCEPTED]
    with pytest.raises(BusyError, match="2 jobs are waiting"):
        echo(second)
    jobs = [go_on(second, job_id) for job_id in ids]
    assert [(job.state, job.attempt) for job in jobs] == [(State.SUCCEEDED, 1)] * 4


def test_a_full_queue_refuses_more(engine):
    engine = engine()
    limits = engine.service.limits.model_copy(update={"queued_jobs": 1})
    object.__setattr__(engine.service, "limits", limits)
    echo(engine)
    with pytest.raises(BusyError, match="1 jobs are waiting"):
        echo(engine)


def test_a_job_whose_time_is_over_fails_and_says_so(engine):
    engine = engine(timeout=1)
    job = go_on(engine, echo(engine, pause=60))
    assert (job.state, job.error.kind) == (State.FAILED, "LimitError")
    assert "longer than the 1 s" in job.error.message


def test_a_job_that_needs_too_much_memory_fails_and_says_so(engine):
    engine = engine(memory="16Mi")
    job = go_on(engine, echo(engine, pause=60))
    assert (job.state, job.error.kind) == (State.FAILED, "LimitError")
    assert "more memory than the 16Mi" in job.error.message


def test_a_worker_that_is_killed_does_not_leave_the_job_running(engine):
    engine = engine()
    job_id = echo(engine, pause=60)
    running = go_on(engine, job_id, until=is_running)
    os.kill(pid_of(running.backend), signal.SIGKILL)
    job = go_on(engine, job_id, until=lambda job: job.attempt == 2 or job.state.is_final)
    assert job.state in {State.ACCEPTED, State.DISPATCHING, State.RUNNING, State.FAILED}
    assert engine.service.storage.list(f"jobs/{job_id}/outputs") == ()


def test_the_next_dispatcher_takes_over_what_runs(engine):
    first = engine()
    job_id = echo(first, pause=1, numbers=[4])
    running = go_on(first, job_id, until=is_running)
    first.service.runner.close()
    second = engine()
    job = go_on(second, job_id)
    assert (job.state, job.attempt, job.backend) == (State.SUCCEEDED, 1, running.backend)
    assert job.result.outputs["sum"].value == 4.0


def test_a_dispatcher_that_died_after_its_claim_starts_the_job_only_once(engine):
    engine = engine()
    job_id = echo(engine, pause=1)
    claimed = claim(engine, job_id)
    engine.dispatcher.advance(claimed)
    started = engine.store.get(job_id).backend
    engine.dispatcher.advance(claimed)
    assert engine.store.get(job_id).backend == started
    assert go_on(engine, job_id).state is State.SUCCEEDED


def test_a_job_dismissed_before_it_starts_is_not_started(engine):
    engine = engine()
    job_id = echo(engine, pause=60)
    claimed = claim(engine, job_id)
    engine.service.dismiss(SYSTEM, job_id)
    engine.dispatcher.advance(claimed)
    assert engine.store.get(job_id).state is State.DISMISSED
    assert engine.service.runner.find(job_id, 1) is None
    assert engine.service.storage.list("jobs") == ()


def test_a_job_dismissed_while_it_starts_does_not_go_on(engine, monkeypatch):
    engine = engine()
    job_id = echo(engine, pause=60)
    claimed = claim(engine, job_id)
    start = engine.service.runner.submit

    def dismissed_meanwhile(*given):
        engine.service.dismiss(SYSTEM, job_id)
        return start(*given)

    monkeypatch.setattr(engine.service.runner, "submit", dismissed_meanwhile)
    engine.dispatcher.advance(claimed)
    assert engine.store.get(job_id).state is State.DISMISSED
    assert engine.service.runner.poll()[0].job_id == job_id
    assert engine.service.storage.list(f"jobs/{job_id}") == ()


def published(engine):
    """Bring a job to publishing, with a raster that ChangeDetect could have made."""
    image = ExecuteRequest(inputs={})
    job_id = echo(engine)
    change = OutputFile(file="change.tif", media_type="image/tiff", size=1, sha256="0")
    result = ResultDocument(job=job_id, status="succeeded", outputs={"change": change})
    engine.store.move(
        job_id,
        [State.ACCEPTED],
        State.DISPATCHING,
        process="ChangeDetect",
        description=engine.service.specs.version("ChangeDetect").digest,
        runner=engine.service.runner.name,
    )
    engine.store.move(job_id, [State.DISPATCHING], State.RUNNING, request=image)
    engine.store.move(job_id, [State.RUNNING], State.PUBLISHING, result=result)
    return job_id


def test_published_rasters_become_layers_with_links(engine):
    engine = engine()
    job_id = published(engine)
    job = go_on(engine, job_id)
    (layer,) = engine.board.layers()
    assert (layer.job_id, layer.style) == (job_id, "change")
    assert job.links["change"].wms == f"http://map/{layer.name}/wms"
    engine.service.dismiss(SYSTEM, job_id)
    assert engine.board.layers() == []


def test_a_layer_that_cannot_be_published_fails_the_job_and_says_why(engine):
    engine = engine()
    engine.board.is_broken = True
    job = go_on(engine, published(engine))
    assert (job.state, job.error.kind) == (State.FAILED, "PublicationError")
    assert "the board is broken" in job.error.message


def test_the_same_key_is_the_same_job_however_often_it_is_submitted(engine):
    engine = engine()
    request = ExecuteRequest(inputs={"literal": ["x"]})
    ids = []

    def submit():
        ids.append(engine.service.submit(SYSTEM, "Echo", request, idempotency_key="k").id)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1
    theirs = engine.service.submit(Principal("b"), "Echo", request, idempotency_key="k")
    assert theirs.id not in ids
    other = ExecuteRequest(inputs={"literal": ["y"]})
    with pytest.raises(InvalidValueError, match="was used for another request"):
        engine.service.submit(SYSTEM, "Echo", other, idempotency_key="k")


def test_a_waiting_job_says_its_place(engine):
    engine = engine()
    ids = [echo(engine) for _ in range(3)]
    said = [engine.service.with_place(engine.store.get(job_id)).message for job_id in ids]
    assert said == [
        "accepted, next in the queue",
        "accepted, 1 ahead in the queue",
        "accepted, 2 ahead in the queue",
    ]


def test_gateways_on_one_store_leave_each_others_jobs_alone(engine):
    first, second = engine(), engine(place="there")
    job_id = echo(first, pause=1, numbers=[4])
    running = go_on(first, job_id, until=is_running)
    for _ in range(5):
        second.dispatcher.round()
    assert first.store.get(job_id).state is State.RUNNING
    job = go_on(first, job_id)
    assert (job.state, job.attempt, job.backend) == (State.SUCCEEDED, 1, running.backend)


def test_gateways_on_one_store_share_the_work(engine):
    engines = [engine(running_jobs=1), engine(place="there", running_jobs=1)]
    ids = [echo(engines[0], pause=1) for _ in range(2)]
    for each in engines:
        each.dispatcher.round()
    jobs = [engines[0].store.get(job_id) for job_id in ids]
    assert len({job.runner for job in jobs}) == 2
    for each, job in zip(engines, jobs, strict=True):
        assert go_on(each, job.id).state is State.SUCCEEDED


def test_a_process_runs_no_more_jobs_at_once_than_it_may(engine):
    engine = engine(running_jobs=3)
    limited = engine.service.specs["Echo"].run.model_copy(update={"parallel": 1})
    limited_echo = engine.service.specs["Echo"].model_copy(update={"run": limited})
    engine.service.specs.install(limited_echo)
    first, second = echo(engine, pause=60), echo(engine)
    go_on(engine, first, until=is_running)
    for _ in range(5):
        engine.dispatcher.round()
    assert engine.store.get(second).state is State.ACCEPTED
    engine.service.dismiss(SYSTEM, first)
    assert go_on(engine, second).state is State.SUCCEEDED


def test_a_waiting_job_says_when_it_may_start_if_that_is_known(engine, monkeypatch):
    engine = engine(running_jobs=1)
    done = engine.store.get(echo(engine))
    engine.store.move(done.id, [State.ACCEPTED], State.FAILED)
    for _ in range(3):
        echo(engine)
    last = engine.store.get(echo(engine))
    assert engine.service.with_place(last).message == "accepted, 3 ahead in the queue"
    start = now() - dt.timedelta(seconds=100)
    engine.store.add(replace(done, id="past", state=State.SUCCEEDED, started=start, finished=now()))
    monkeypatch.setattr(estimates, "RUN_TIMES_S", -1.0)
    said = engine.service.with_place(last).message
    assert said == "accepted, 3 ahead in the queue, starts in about 5 min"


def test_an_internal_error_names_the_job_and_nothing_inside(engine, tmp_path):
    engine = engine()
    ghost = engine.service.specs["Echo"].model_copy(update={"identifier": "Ghost"})
    engine.service.specs.install(ghost)  # the worker knows of no such process
    job_id = engine.service.submit(SYSTEM, "Ghost", ExecuteRequest(inputs={})).id
    job = go_on(engine, job_id)
    assert (job.state, job.attempt, job.error.kind) == (State.FAILED, 1, "InternalError")
    said = f"internal error, job {job_id}: the worker ended without a result (exit code 1)"
    assert job.message == said
    assert "(for the operator)" in job.error.log
    assert str(tmp_path) not in job.error.log
    assert "there is no process" in engine.service.runner.logs(job_id)


def test_a_job_without_description_whose_process_is_no_more_fails(engine):
    engine = engine()
    accepted = engine.store.get(echo(engine))
    job_id = "of-an-earlier-version"
    engine.store.add(replace(accepted, id=job_id, description=""))
    engine.service.specs.uninstall("Echo")
    job = go_on(engine, job_id)
    assert (job.state, job.error.kind) == (State.FAILED, "NotFoundError")
    assert "there is no process 'Echo'" in job.message


def test_a_job_that_is_killed_again_and_again_comes_to_its_end_all_the_same(engine, monkeypatch):
    monkeypatch.setattr(endings, "BACKOFF", Backoff(0.01, 60.0))
    engine = engine()
    job_id = echo(engine, pause=1)
    for attempt in (1, 2, 3, 4):
        job = go_on(
            engine, job_id, until=lambda job, n=attempt: is_running(job) and job.attempt == n
        )
        os.kill(pid_of(job.backend), signal.SIGKILL if attempt % 2 else signal.SIGTERM)
    job = go_on(engine, job_id)
    assert (job.state, job.attempt) == (State.SUCCEEDED, 5)
    waits = [event.message for event in engine.store.events(job_id) if event.state == "accepted"]
    assert waits[1:] == [
        f"the worker was ended from outside; waiting for try {number}" for number in (2, 3, 4, 5)
    ]


@pytest.mark.parametrize("step", ["submit", "state"])
def test_an_unexpected_error_of_the_runner_ends_the_job_and_holds_up_no_other(
    engine, monkeypatch, step
):
    monkeypatch.setattr(dispatcher, "AWAY_ROUND_S", 0.01)
    engine = engine()
    job_id, other = echo(engine, pause=60), echo(engine)
    runner = engine.service.runner
    call, errors = getattr(runner, step), []
    backend = go_on(engine, job_id, until=is_running).backend if step == "state" else ""

    def break_down(asked, *rest):
        is_its = asked.id == job_id if step == "submit" else asked == backend
        is_dispatcher = threading.current_thread() is threading.main_thread()
        if is_its and is_dispatcher and len(errors) < endings.MOST_FAULTS:
            errors.append(LookupError("nobody has foreseen this"))
            raise errors[-1]
        return call(asked, *rest)

    monkeypatch.setattr(runner, step, break_down)
    job = go_on(engine, job_id)
    assert (job.state, job.error.kind, job.attempt) == (State.FAILED, "InternalError", 1)
    doing = "dispatching" if step == "submit" else "running"
    assert job.message == f"internal error while {doing}: LookupError, job {job_id}"
    assert go_on(engine, other).state is State.SUCCEEDED
    if backend:
        until(lambda: not runner.state(backend).is_running)


def stored_result(engine, job_id, **changes):
    """Store a result in the place of a worker that is still at work, and report it."""
    result = ResultDocument(**{"job": job_id, "status": "succeeded", **changes})
    engine.service.storage.write(f"jobs/{job_id}/result.json", result.to_json().encode())
    assert engine.store.report(job_id, 100.0, RESULT_STORED)


def test_a_result_document_beyond_all_measure_is_not_read(engine, caplog):
    engine = engine()
    job_id = echo(engine, pause=30)
    job = go_on(engine, job_id, until=is_running)
    literal = OutputLiteral(value="x" * 5 * 2**20)
    stored_result(engine, job_id, outputs={"literalOutput": literal})
    engine.dispatcher.round()
    assert engine.store.get(job_id).state is State.RUNNING
    engine.service.runner.cancel(job.backend)
    assert "bytes, at most 4194304 are read" in caplog.text


def test_a_result_that_is_reported_is_taken_before_the_worker_has_ended(engine):
    engine = engine()
    job_id = echo(engine, pause=30)
    job = go_on(engine, job_id, until=is_running)
    stored_result(engine, job_id)
    assert go_on(engine, job_id, timeout_s=10).state is State.SUCCEEDED
    assert engine.service.runner.state(job.backend).is_running
    engine.service.runner.cancel(job.backend)


def test_a_result_that_is_reported_before_the_start_is_noted_is_taken_too(engine):
    engine = engine()
    job_id = echo(engine, pause=30)
    claimed = claim(engine, job_id)
    stored_result(engine, job_id)
    engine.dispatcher.advance(claimed)
    job = go_on(engine, job_id, timeout_s=10)
    assert job.state is State.SUCCEEDED
    assert engine.service.runner.state(job.backend).is_running
    engine.service.runner.cancel(job.backend)


def test_a_refusal_is_told_before_the_worker_has_ended(engine):
    engine = engine()
    job_id = echo(engine, pause=30)
    job = go_on(engine, job_id, until=is_running)
    refusal = Failure(kind="InputError", message="no", locator="literal")
    stored_result(engine, job_id, status="failed", error=refusal)
    done = go_on(engine, job_id, timeout_s=10)
    assert (done.state, done.error.locator) == (State.FAILED, "literal")
    assert engine.service.runner.state(job.backend).is_running
    engine.service.runner.cancel(job.backend)


def test_a_failure_waits_for_the_end_of_the_worker_which_may_tell_a_better_cause(engine):
    engine = engine()
    job_id = echo(engine, pause=30)
    job = go_on(engine, job_id, until=is_running)
    stored_result(engine, job_id, status="failed", error=Failure(kind="InternalError", message="?"))
    engine.dispatcher.round()
    assert engine.store.get(job_id).state is State.RUNNING
    engine.service.runner.cancel(job.backend)
    assert go_on(engine, job_id, timeout_s=10).state is State.FAILED
