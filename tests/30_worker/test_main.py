"""The worker as a program, as the container starts it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from candela.contract.job import (
    EXIT_UNAVAILABLE,
    JobDocument,
    ProgressTarget,
    Reference,
    Staging,
)


@pytest.fixture
def worker(storage, tmp_path):
    """Start the worker for a job of Echo."""
    started = []

    def start(*, process: str = "Echo", **fields: object) -> subprocess.Popen[str]:
        job = JobDocument(id="1", process=process, version="1.0.0", **fields)
        storage.write("jobs/1/job.json", job.to_json().encode())
        command = [sys.executable, "-m", "candela.worker", "--storage", storage.url]
        child = subprocess.Popen(
            [*command, "--job", "1", "--workdir", str(tmp_path / "workdir")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def result_of(storage) -> dict[str, object]:
    return json.loads(storage.read("jobs/1/result.json"))


def test_echo_returns_its_inputs(worker, storage, tmp_path, web, answer):
    web.serve("/progress", answer(status=204))
    child = worker(
        inputs={
            "literal": ["hello"],
            "complex": [Reference(href=web.serve("/a.xml", answer(b"<a/>")))],
            "numbers": [1, 2.5],
            "pause": [0.1],
        },
        staging=Staging(allowed_hosts=("127.0.0.1",)),
        progress=ProgressTarget(url=f"{web.url}/progress", token="secret"),
    )
    log, _ = child.communicate(timeout=60)
    assert child.returncode == 0, log
    outputs = result_of(storage)["outputs"]
    assert outputs["literalOutput"] == {"value": "hello"}
    assert outputs["sum"] == {"value": 3.5}
    assert storage.read("jobs/1/outputs/complexOutput.xml") == b"<a/>"
    assert list((tmp_path / "workdir").iterdir()) == []
    assert any(asked.path == "/progress" for asked in web.asked)
    assert all("[Echo 1]" in line for line in log.splitlines())
    assert "secret" not in log


def test_a_refused_input_has_its_own_exit_code(worker, storage):
    child = worker(inputs={"complex": ["<a><b></a>"]})
    child.communicate(timeout=60)
    assert child.returncode == 3
    error = result_of(storage)["error"]
    assert (error["kind"], error["locator"]) == ("InputError", "complex")


def test_a_process_that_is_not_there_ends_without_a_result(worker, storage):
    child = worker(process="Nothing")
    log, _ = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "there is no process 'Nothing'" in log
    assert "Traceback" not in log
    assert not storage.exists("jobs/1/result.json")


def test_an_attempt_that_has_its_result_is_not_run_again(worker, storage):
    worker(inputs={"literal": ["hello"]}).communicate(timeout=60)
    before = storage.etag("jobs/1/result.json")
    child = worker(inputs={"literal": ["hello"]})
    log, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "already has its result" in log
    assert storage.etag("jobs/1/result.json") == before


def test_sigterm_ends_a_job_at_once_and_empties_its_folder(worker, storage, tmp_path):
    child = worker(inputs={"pause": [60], "complex": ["<a/>"]})
    staged = tmp_path / "workdir" / "inputs" / "complex" / "1" / "complex.xml"
    _wait_for(staged)
    time.sleep(0.2)
    start = time.monotonic()
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=10) == 143
    assert time.monotonic() - start < 2
    assert list((tmp_path / "workdir").iterdir()) == []
    assert not storage.exists("jobs/1/result.json")


def test_an_attempt_that_is_superseded_does_not_begin(worker, storage):
    storage.write("jobs/1/job-2.json", b"{}")
    child = worker(inputs={"literal": ["hello"]})
    log, _ = child.communicate(timeout=60)
    assert child.returncode == EXIT_UNAVAILABLE
    assert "superseded by attempt 2" in log
    assert storage.list("jobs/1") == ("jobs/1/job-2.json", "jobs/1/job.json")


def test_sigterm_ends_a_job_whose_folder_is_gone(worker, tmp_path):
    child = worker(inputs={"pause": [60], "complex": ["<a/>"]})
    _wait_for(tmp_path / "workdir" / "inputs" / "complex" / "1" / "complex.xml")
    shutil.rmtree(tmp_path / "workdir")
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=10) == 143


def test_help_tells_the_exit_codes():
    help_text = subprocess.run(
        [sys.executable, "-m", "candela.worker", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Exit code" in help_text
    assert "--workdir DIR" in help_text


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.02)
