"""The local runner, on real subprocesses."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from candela.contract.job import JobDocument, ResultDocument, job_key
from candela.errors import StorageError
from candela.runners import kernel, local, records
from candela.runners.base import Cause, Limits, RunState
from candela.runners.kernel import KernelKills
from candela.runners.local import LocalRunner
from candela.runners.processes import find_members
from candela.runners.records import Records
from candela.storage import open_storage
from candela.storage.folder import FolderStorage

WORKER = (sys.executable, str(Path(__file__).with_name("trial_worker.py")))
LIMITS = Limits(cpu=1.5, memory_bytes=2**30, timeout_s=120)


@pytest.fixture
def storage(tmp_path):
    return open_storage((tmp_path / "storage").as_uri())


@pytest.fixture
def make_runner(storage, tmp_path):
    """Make runners on the same work folder, as one gateway after the other does."""
    made: list[LocalRunner] = []

    def make(**options: object) -> LocalRunner:
        options = {"command": WORKER, "grace_s": 1.0, **options}
        made.append(LocalRunner(storage, tmp_path / "work", **options))
        return made[-1]

    yield make
    for runner in made:
        for record in Records(tmp_path / "work").unended():
            runner.cancel(record.reference)
        runner.close()


@pytest.fixture
def runner(make_runner):
    return make_runner()


@pytest.fixture
def submit(runner):
    def submit(action: str, *, job_id: str = "1", attempt: int = 1, limits: Limits = LIMITS) -> str:
        return runner.submit(trial(action, job_id=job_id, attempt=attempt), limits)

    return submit


def trial(action: str, *, job_id: str = "1", attempt: int = 1) -> JobDocument:
    return JobDocument(
        id=job_id, process="Trial", version="1.0.0", attempt=attempt, inputs={"action": [action]}
    )


def until(condition: Callable[[], object], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.02)


def ended(runner: LocalRunner, reference: str) -> RunState:
    until(lambda: not runner.state(reference).is_running)
    return runner.state(reference)


@pytest.fixture
def members(tmp_path):
    """Return a function that finds the processes of the first attempt."""
    mark = str(tmp_path / "work" / "1-1")
    return lambda: find_members({mark: 0})[mark]


def paused(tmp_path: Path, name: str = "1-1") -> None:
    until((tmp_path / "work" / name / "work" / "started").exists)


def test_a_job_runs_to_its_end(runner, submit, storage, tmp_path):
    reference = submit("finish")
    assert runner.state(reference).is_running
    assert ended(runner, reference) == RunState(Cause.FINISHED, 0)
    result = ResultDocument.model_validate_json(storage.read("jobs/1/result.json"))
    assert result.outputs["word"].value == "finish"
    assert not (tmp_path / "work" / "1-1").exists()


def test_only_the_end_of_a_long_log_is_told(runner, storage):
    storage.write(job_key("1", "log.txt"), b"first\n" + b"x" * 100_000 + b"\nlast\n")
    assert len(runner.logs("1")) == 64 * 1024
    assert runner.logs("1").endswith("last\n")


def test_a_worker_gets_nothing_of_the_gateways_environment(make_runner, monkeypatch, tmp_path):
    monkeypatch.setenv("CANDELA_SECRET", "secret")
    monkeypatch.setenv("PROJ_LIB", "/nowhere")
    runner = make_runner(environment={"HTTPS_PROXY": "http://proxy.test"})
    ended(runner, runner.submit(trial("print environment"), LIMITS))
    lines = [line for line in runner.logs("1").splitlines() if line.startswith("VARIABLE ")]
    variables = dict(line.removeprefix("VARIABLE ").split("=", 1) for line in lines)
    assert variables["HOME"] == str(tmp_path / "work" / "1-1")
    assert variables["TMPDIR"] == str(tmp_path / "work" / "1-1" / "tmp")
    assert variables["GDAL_NUM_THREADS"] == variables["OMP_NUM_THREADS"] == "2"
    assert variables["HTTPS_PROXY"] == "http://proxy.test"
    assert not {"CANDELA_SECRET", "PROJ_LIB", "PROJ_DATA"} & set(variables)


def test_the_same_attempt_is_not_started_twice(runner, submit, members):
    reference = submit("pause")
    assert submit("pause") == reference
    until(lambda: len(members()) >= 1)
    until(members)
    assert len(members()) == 1
    runner.cancel(reference)
    assert submit("pause") == reference
    assert members() == []


def test_cancel_leaves_no_process(runner, submit, tmp_path, members):
    reference = submit("have children")
    paused(tmp_path)
    children = psutil.Process(members()[0].pid).children(recursive=True)
    assert len(members()) >= 3
    state = runner.cancel(reference)
    assert state.cause is Cause.CANCELLED
    assert members() == []
    assert not any(child.is_running() and child.status() != "zombie" for child in children)
    assert not (tmp_path / "work" / "1-1").exists()


def test_a_job_that_is_cancelled_while_it_starts_leaves_no_process(runner, submit):
    for attempt in range(1, 6):
        reference = submit("pause", attempt=attempt)
        time.sleep(0.002 * attempt)
        pid = int(reference.split(":")[1])
        assert runner.cancel(reference).cause is Cause.CANCELLED
        assert not psutil.pid_exists(pid)


def test_a_worker_in_the_middle_of_a_computation_ends_at_once(make_runner, tmp_path):
    runner = make_runner(grace_s=30.0)
    reference = runner.submit(trial("compute"), LIMITS)
    paused(tmp_path)
    start = time.monotonic()
    assert runner.cancel(reference) == RunState(Cause.CANCELLED, 143, "cancelled")
    assert time.monotonic() - start < 10


def test_a_worker_that_ignores_sigterm_is_killed(runner, submit, tmp_path, members):
    reference = submit("ignore SIGTERM")
    paused(tmp_path)
    start = time.monotonic()
    assert runner.cancel(reference).cause is Cause.CANCELLED
    assert 0.9 < time.monotonic() - start < 5
    assert members() == []


def test_a_worker_whose_work_folder_is_gone_is_ended_all_the_same(
    runner, submit, tmp_path, members
):
    reference = submit("pause")
    paused(tmp_path)
    shutil.rmtree(tmp_path / "work" / "1-1")
    assert runner.cancel(reference) == RunState(Cause.CANCELLED, 143, "cancelled")
    assert members() == []


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_worker_is_ended_whose_record_is_gone_with_all_folders(
    make_runner, tmp_path, members, is_restarted
):
    runner = make_runner()
    reference = runner.submit(trial("pause"), LIMITS)
    paused(tmp_path)
    if is_restarted:
        runner.close()
    shutil.rmtree(tmp_path / "work")
    runner = make_runner() if is_restarted else runner
    assert not runner.cancel(reference).is_running
    assert members() == []


def test_a_log_without_end_is_cut_and_goes_on(runner, submit, tmp_path, storage, monkeypatch):
    monkeypatch.setattr(local, "LOG_BYTES", 2**20)
    monkeypatch.setattr(local, "LOG_KEPT_BYTES", 2**16)
    reference = submit("talk")
    paused(tmp_path)
    log = storage.local_path(job_key("1", "log.txt"))
    until(lambda: log.stat().st_size < 2**20)
    assert "was cut" in log.read_text()[:100]
    assert "all is said" in runner.logs("1")
    runner.cancel(reference)
    assert "has ended: cancelled" in runner.logs("1")


@pytest.mark.parametrize("jump_s", [86_400, -86_400])
def test_a_clock_that_is_set_ends_no_worker(runner, submit, tmp_path, monkeypatch, jump_s):
    reference = submit("pause", limits=Limits(cpu=1, memory_bytes=2**30, timeout_s=100))
    paused(tmp_path)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + jump_s)
    time.sleep(3 * local.LOOK_S)
    assert runner.state(reference).is_running
    runner.cancel(reference)


def test_the_log_comes_into_a_storage_that_is_not_on_this_machine(tmp_path):
    class Bucket(FolderStorage):
        def local_path(self, *_) -> None:
            return None

    storage = Bucket(tmp_path / "storage")
    runner = LocalRunner(storage, tmp_path / "work", command=WORKER)
    try:
        reference = runner.submit(trial("finish"), LIMITS)
        until(lambda: "[Trial 1]" in runner.logs("1"))
        ended(runner, reference)
    finally:
        runner.close()
    assert b"trying finish" in storage.read("jobs/1/log.txt")


def test_a_job_beyond_its_time_is_ended(runner, submit, tmp_path, members):
    reference = submit("have children", limits=Limits(timeout_s=2.5))
    state = ended(runner, reference)
    assert state.cause is Cause.DEADLINE
    assert state.message == "ran longer than 2.5 s"
    assert members() == []
    assert "deadline" in runner.logs("1")


def test_a_job_beyond_its_memory_is_ended(runner, submit, members):
    reference = submit("eat memory", limits=Limits(memory_bytes=250 * 2**20))
    state = ended(runner, reference)
    assert state.cause is Cause.OUT_OF_MEMORY
    assert state.message.endswith("of 250 MiB")
    assert members() == []


def test_a_job_within_its_memory_is_left_alone(runner, submit, tmp_path):
    reference = submit("have children", limits=Limits(memory_bytes=250 * 2**20))
    paused(tmp_path)
    time.sleep(1.2)
    assert runner.state(reference).is_running
    runner.cancel(reference)


def test_a_worker_that_was_killed_by_others_is_lost(runner, submit):
    state = ended(runner, submit("die"))
    assert (state.cause, state.exit_code) == (Cause.LOST, -9)


def test_an_unknown_reference_is_lost(runner):
    assert runner.state("nothing:1:1").cause is Cause.LOST
    assert runner.state("").cause is Cause.LOST


GATEWAY = """
import os, signal, sys, time
from pathlib import Path
from candela.runners.base import Limits
from candela.runners.kernel import KernelKills
from candela.runners.local import LocalRunner
from candela.storage import open_storage
from candela.storage.folder import FolderStorage
from candela.contract.job import JobDocument

storage, work, worker, action = sys.argv[1:]
runner = LocalRunner(open_storage(storage), Path(work), command=(sys.executable, worker))
job = JobDocument(id="1", process="Trial", version="1.0.0", inputs={"action": [action]})
print(runner.submit(job, Limits()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def submit_and_die(storage, tmp_path):
    """Submit in another process that is killed right after it."""

    def submit(action: str) -> str:
        arguments = [storage.url, str(tmp_path / "work"), WORKER[1], action]
        gateway = subprocess.run(
            [sys.executable, "-c", GATEWAY, *arguments], stdout=subprocess.PIPE, text=True
        )
        assert gateway.returncode == -9
        return gateway.stdout.strip()

    return submit


def test_a_job_outlives_a_gateway_that_is_killed(submit_and_die, make_runner, storage):
    reference = submit_and_die("finish")
    until(lambda: storage.exists("jobs/1/result.json"))
    assert ended(make_runner(), reference) == RunState(Cause.FINISHED)


def test_the_worker_of_a_killed_gateway_is_cancelled(
    submit_and_die, make_runner, tmp_path, members
):
    reference = submit_and_die("have children")
    paused(tmp_path)
    runner = make_runner()
    assert runner.state(reference).is_running
    assert runner.cancel(reference).cause is Cause.CANCELLED
    assert members() == []


def test_a_worker_that_died_with_its_gateway_is_lost(submit_and_die, make_runner):
    reference = submit_and_die("die")
    assert ended(make_runner(), reference).cause is Cause.LOST


def test_what_ended_long_ago_is_forgotten(runner, submit, monkeypatch, tmp_path):
    reference = submit("finish")
    ended(runner, reference)
    monkeypatch.setattr(records, "KEEP_S", -1.0)
    Records(tmp_path / "work").forget_old()
    assert runner.state(reference).cause is Cause.LOST


def test_a_new_gateway_keeps_the_deadline(make_runner, tmp_path):
    first = make_runner()
    reference = first.submit(trial("pause"), Limits(timeout_s=2.5))
    paused(tmp_path)
    first.close()
    second = make_runner()
    assert ended(second, reference).cause is Cause.DEADLINE


def test_a_new_gateway_ends_what_the_last_one_was_about_to_end(make_runner, tmp_path):
    first = make_runner()
    reference = first.submit(trial("pause"), LIMITS)
    paused(tmp_path)
    first.close()
    kept = Records(tmp_path / "work")
    record = kept.find(reference)
    kept.write(record.model_copy(update={"cause": Cause.DEADLINE, "message": "late"}))
    second = make_runner()
    assert ended(second, reference).cause is Cause.DEADLINE


def test_a_worker_started_by_a_gateway_that_died_before_it_said_so_is_found(
    make_runner, tmp_path, members
):
    first = make_runner()
    reference = first.submit(trial("pause"), LIMITS)
    paused(tmp_path)
    first.close()
    (tmp_path / "work" / "1-1.json").unlink()
    second = make_runner()
    again = second.submit(trial("pause"), LIMITS)
    assert again.split(":")[:2] == reference.split(":")[:2]
    until(members)
    assert len(members()) == 1
    second.cancel(again)


def test_a_process_that_got_the_pid_of_a_worker_is_left_alone(make_runner, monkeypatch, tmp_path):
    monkeypatch.setattr(local, "REAP_S", 0.1)
    first = make_runner()
    reference = first.submit(trial("finish"), LIMITS)
    ended(first, reference)
    first.close()
    kept = Records(tmp_path / "work")
    record = kept.find(reference)
    bystander = psutil.Popen(["/bin/sleep", "60"], start_new_session=True)
    try:
        stolen = record.model_copy(update={"pid": bystander.pid, "ended": False, "cause": None})
        kept.write(stolen)
        second = make_runner()
        assert not second.state(stolen.reference).is_running
        second.cancel(stolen.reference)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_worker_that_cannot_be_started_is_reported(make_runner, tmp_path):
    runner = make_runner(command=("/nowhere/python",))
    with pytest.raises(StorageError, match="cannot be started here"):
        runner.submit(trial("finish"), LIMITS)


def test_a_worker_that_the_kernel_ended_for_want_of_memory_is_told_apart(make_runner, tmp_path):
    counters = tmp_path / "vmstat"
    counters.write_text("nr_free_pages 7\noom_kill 3\n")
    runner = make_runner(kernel_kills=KernelKills(counters))
    reference = runner.submit(trial("pause"), LIMITS)
    paused(tmp_path)
    counters.write_text("nr_free_pages 7\noom_kill 4\n")
    os.kill(int(reference.split(":")[1]), signal.SIGKILL)
    state = ended(runner, reference)
    assert (state.cause, state.exit_code) == (Cause.MACHINE_MEMORY, -9)


def test_a_kill_by_the_kernel_is_not_remembered_for_long(tmp_path, monkeypatch):
    counters = tmp_path / "vmstat"
    counters.write_text("oom_kill 3\n")
    kills = KernelKills(counters)
    assert not kills.are_recent()
    counters.write_text("oom_kill 4\n")
    assert kills.are_recent()
    monkeypatch.setattr(kernel, "RECENT_S", 0.0)
    assert not kills.are_recent()
    assert not KernelKills(tmp_path / "none").are_recent()


def test_how_a_worker_ended_is_not_forgotten_while_the_storage_is_away(
    make_runner, storage, monkeypatch, tmp_path
):
    def away(key):
        raise StorageError(f"{key} is away")

    runner = make_runner()
    reference = runner.submit(trial("pause"), LIMITS)
    paused(tmp_path)
    with monkeypatch.context() as outage:
        outage.setattr(storage, "read", away)
        outage.setattr(storage, "size", away)
        os.kill(int(reference.split(":")[1]), signal.SIGKILL)
        until(lambda: is_away(runner, reference))
    state = runner.state(reference)
    assert (state.cause, state.exit_code) == (Cause.LOST, -9)


def is_away(runner, reference):
    try:
        runner.state(reference)
    except StorageError as error:
        return "is away" in str(error)
    return False
