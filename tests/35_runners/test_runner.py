"""What every runner does, on this machine and in a cluster."""

import threading
import uuid

import pytest
from trials import LIMITS, ended, trial, until

from candela.contract.job import EXIT_UNAVAILABLE, ResultDocument, job_file, job_key
from candela.errors import StorageError
from candela.runners.base import Cause, Ended, Limits, RunState

OUTSIDE = {-9, -15, 137, 143}


@pytest.fixture
def runner(place):
    return place.make()


@pytest.fixture
def job_id():
    return str(uuid.uuid4())


@pytest.fixture
def paused(place, runner, job_id):
    """Start a job that sleeps; return its reference when it does."""

    def start(action: str = "pause", *, limits: Limits = LIMITS) -> str:
        reference = runner.submit(trial(action, job_id=job_id), limits)
        until(lambda: f"trying {action}" in runner.logs(job_id))
        return reference

    return start


def test_a_job_runs_to_its_end(runner, place, job_id):
    reference = runner.submit(trial("finish", job_id=job_id), LIMITS)
    assert runner.state(reference).is_running
    assert ended(runner, reference) == RunState(Cause.FINISHED, 0)
    stored = place.storage.read(job_key(job_id, "result.json"))
    assert ResultDocument.model_validate_json(stored).outputs["word"].value == "finish"


def test_a_refusal_is_an_end_too(runner, job_id):
    reference = runner.submit(trial("refuse", job_id=job_id), LIMITS)
    assert ended(runner, reference) == RunState(Cause.FINISHED, 3)


def test_the_log_is_kept(runner, place, job_id):
    ended(runner, runner.submit(trial("finish", job_id=job_id), LIMITS))
    assert f"[Trial {job_id}]" in runner.logs(job_id)
    assert b"trying finish" in place.storage.read(job_key(job_id, "log.txt"))
    assert runner.logs("unknown") == ""


def test_the_log_is_there_while_the_job_runs(runner, paused, job_id):
    reference = paused()
    assert "trying pause" in runner.logs(job_id)
    assert runner.state(reference).is_running


def test_a_worker_gets_nothing_of_the_gateways_environment(place, job_id, monkeypatch):
    monkeypatch.setenv("CANDELA_SECRET", "secret")
    runner = place.make()
    limits = Limits(cpu=1.5, memory_bytes=2**29)
    ended(runner, runner.submit(trial("print environment", job_id=job_id), limits))
    lines = [line for line in runner.logs(job_id).splitlines() if line.startswith("VARIABLE ")]
    variables = dict(line.removeprefix("VARIABLE ").split("=", 1) for line in lines)
    assert variables["GDAL_NUM_THREADS"] == variables["OMP_NUM_THREADS"] == "2"
    assert variables["TMPDIR"] == f"{variables['HOME']}/tmp"
    assert not {"CANDELA_SECRET", "PROJ_LIB", "PROJ_DATA"} & set(variables)


def test_the_same_attempt_is_not_started_twice(runner, place, paused, job_id):
    reference = paused()
    assert runner.submit(trial("pause", job_id=job_id), LIMITS) == reference
    assert place.processes(job_id, 1) == 1
    runner.cancel(reference)
    assert runner.submit(trial("pause", job_id=job_id), LIMITS) == reference
    assert place.processes(job_id, 1) == 0
    assert runner.state(reference).cause is Cause.CANCELLED


def test_many_gateways_that_submit_the_same_start_it_once(place, job_id):
    runners = [place.make() for _ in range(4)]
    references: list[str] = []

    def submit(runner) -> None:
        references.append(runner.submit(trial("pause", job_id=job_id), LIMITS))

    threads = [threading.Thread(target=submit, args=(runner,)) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(references) == 4
    assert len(set(references)) == 1
    until(lambda: "trying pause" in runners[0].logs(job_id))
    assert place.processes(job_id, 1) == 1
    runners[0].cancel(references[0])


def test_the_next_attempt_is_another_one(runner, job_id):
    first = runner.submit(trial("finish", job_id=job_id), LIMITS)
    ended(runner, first)
    second = runner.submit(trial("finish", job_id=job_id, attempt=2), LIMITS)
    assert second != first
    assert runner.find(job_id, 2) == second
    assert ended(runner, second) == RunState(Cause.FINISHED, 0)
    assert runner.state(first) == RunState(Cause.FINISHED, 0)


def test_a_submit_that_comes_late_leaves_the_next_attempt_alone(runner, place, job_id):
    second = runner.submit(trial("pause", job_id=job_id, attempt=2), LIMITS)
    until(lambda: "trying pause" in runner.logs(job_id))
    document = place.storage.read(job_key(job_id, job_file(2)))
    place.storage.write(job_key(job_id, "outputs", "half.tif"), b"half")
    first = runner.submit(trial("finish", job_id=job_id), LIMITS)  # by a gateway that was frozen
    assert ended(runner, first) == RunState(Cause.FINISHED, EXIT_UNAVAILABLE)
    assert place.storage.read(job_key(job_id, job_file(2))) == document
    assert place.storage.exists(job_key(job_id, "outputs", "half.tif"))
    assert not place.storage.exists(job_key(job_id, "result.json"))
    assert runner.state(second).is_running
    runner.cancel(second)


def test_an_attempt_is_found_by_its_job(runner, job_id):
    assert runner.find(job_id, 1) is None
    reference = runner.submit(trial("finish", job_id=job_id), LIMITS)
    assert runner.find(job_id, 1) == reference
    ended(runner, reference)


def test_cancel_leaves_no_process(runner, place, paused, job_id):
    reference = paused("have children")
    assert place.processes(job_id, 1) >= 1
    assert runner.cancel(reference).cause is Cause.CANCELLED
    assert place.processes(job_id, 1) == 0


def test_cancel_may_be_repeated(runner, paused):
    reference = paused()
    assert runner.cancel(reference) == runner.cancel(reference)
    assert runner.cancel("nothing").cause is Cause.LOST


def test_a_job_is_cancelled_before_it_has_started(runner, place, job_id):
    reference = runner.submit(trial("pause", job_id=job_id), LIMITS)
    assert runner.cancel(reference).cause is Cause.CANCELLED
    assert place.processes(job_id, 1) == 0
    assert not place.storage.exists(job_key(job_id, "result.json"))


def test_cancelling_a_finished_job_does_not_change_how_it_ended(runner, job_id):
    reference = runner.submit(trial("finish", job_id=job_id), LIMITS)
    ended(runner, reference)
    assert runner.cancel(reference) == RunState(Cause.FINISHED, 0)


def test_a_worker_that_ignores_sigterm_is_killed(runner, place, paused, job_id):
    reference = paused("ignore SIGTERM")
    assert runner.cancel(reference).cause is Cause.CANCELLED
    assert place.processes(job_id, 1) == 0


def test_an_attempt_that_was_ended_leaves_no_outputs(runner, place, paused, job_id):
    reference = paused()
    place.storage.write(job_key(job_id, "outputs", "half.tif"), b"half")
    runner.cancel(reference)
    assert place.storage.list("jobs") == (f"jobs/{job_id}/job.json", f"jobs/{job_id}/log.txt")


def test_a_daemon_does_not_outlive_its_job(runner, place, job_id):
    reference = runner.submit(trial("leave a daemon", job_id=job_id), LIMITS)
    assert ended(runner, reference) == RunState(Cause.FINISHED, 0)
    until(lambda: place.processes(job_id, 1) == 0)


def test_a_job_beyond_its_time_is_ended(runner, place, job_id):
    limits = Limits(cpu=0.2, memory_bytes=2**29, timeout_s=4)
    reference = runner.submit(trial("have children", job_id=job_id), limits)
    assert ended(runner, reference).cause is Cause.DEADLINE
    assert "has ended: deadline" in runner.logs(job_id)
    until(lambda: place.processes(job_id, 1) == 0)


def test_a_job_beyond_its_memory_is_ended(runner, place, job_id):
    limits = Limits(cpu=0.2, memory_bytes=place.memory)
    reference = runner.submit(trial("eat memory", job_id=job_id), limits)
    assert ended(runner, reference).cause is Cause.OUT_OF_MEMORY
    assert "has ended: out_of_memory" in runner.logs(job_id)
    until(lambda: place.processes(job_id, 1) == 0)


def test_a_crash_of_the_process_is_its_own_end(runner, job_id):
    state = ended(runner, runner.submit(trial("crash", job_id=job_id), LIMITS))
    assert state.cause is Cause.FINISHED
    assert state.exit_code in {-11, 139}


def test_a_worker_that_was_killed_is_lost(runner, job_id):
    state = ended(runner, runner.submit(trial("die", job_id=job_id), LIMITS))
    assert state.cause is Cause.LOST
    assert state.exit_code in OUTSIDE


def test_each_end_is_told_once(runner, job_id):
    reference = runner.submit(trial("finish", job_id=job_id), LIMITS)
    told: list[Ended] = []
    until(lambda: told.extend(runner.poll()) or any(end.job_id == job_id for end in told))
    ours = [end for end in told if end.job_id == job_id]
    assert ours == [Ended(reference, job_id, 1, RunState(Cause.FINISHED, 0))]
    assert job_id not in {end.job_id for end in runner.poll()}


def test_an_unknown_reference_is_lost(runner):
    assert runner.state("nothing-1").cause is Cause.LOST
    assert runner.state("").cause is Cause.LOST


def test_a_new_gateway_adopts_running_jobs(place, job_id):
    first = place.make()
    reference = first.submit(trial("pause", job_id=job_id), LIMITS)
    until(lambda: "trying pause" in first.logs(job_id))
    first.close()
    second = place.make()
    assert second.state(reference).is_running
    assert second.submit(trial("pause", job_id=job_id), LIMITS) == reference
    assert second.cancel(reference).cause is Cause.CANCELLED
    assert place.processes(job_id, 1) == 0


def test_a_new_gateway_learns_of_what_ended_meanwhile(place, job_id):
    first = place.make()
    reference = first.submit(trial("finish", job_id=job_id), LIMITS)
    first.close()
    until(lambda: place.storage.exists(job_key(job_id, "result.json")))
    second = place.make()
    assert ended(second, reference).cause is Cause.FINISHED
    assert reference in [end.reference for end in second.poll()]


def test_a_job_id_that_leads_elsewhere_is_refused(runner):
    for job_id in ("../1", "a/b", ""):
        with pytest.raises(StorageError):
            runner.submit(trial("finish", job_id=job_id), LIMITS)
