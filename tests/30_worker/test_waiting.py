"""A worker that was started before there was a job for it."""

import json
import subprocess
import sys

import pytest

from candela.contract.job import EXIT_TERMINATED, JobDocument
from candela.worker.waiting import await_job


def test_the_job_is_what_the_gateway_says(web, answer):
    url = web.serve("/warm/a", answer(status=204), answer(b'{"job": "17"}'))
    assert await_job(url, "secret") == ("17", 1)
    assert [asked.headers["Authorization"] for asked in web.asked] == ["Bearer secret"] * 2


def test_a_gateway_that_is_busy_is_asked_later(web, answer):
    url = web.serve(
        "/warm/a", answer(status=204, headers={"Retry-After": "0.1"}), answer(b'{"job": "17"}')
    )
    assert await_job(url, "secret") == ("17", 1)


def test_the_attempt_is_what_the_gateway_says(web, answer):
    url = web.serve("/warm/a", answer(b'{"job": "17", "attempt": 3}'))
    assert await_job(url, "secret") == ("17", 3)


@pytest.mark.parametrize("broken", [{"status": 503}, {"body": b"<html>"}, {"body": b"[]"}])
def test_a_gateway_that_is_away_is_asked_again(web, answer, broken):
    url = web.serve("/warm/a", answer(**broken), answer(b'{"job": "17"}'))
    assert await_job(url, "secret") == ("17", 1)


@pytest.mark.parametrize("status", [403, 404])
def test_a_worker_that_is_not_wanted_waits_no_longer(web, answer, status):
    assert await_job(web.serve("/warm/a", answer(status=status)), "secret") is None
    assert len(web.asked) == 1


def test_a_worker_without_a_gateway_gives_up_in_the_end(unused_port):
    url = f"http://127.0.0.1:{unused_port}/warm/a"
    assert await_job(url, "secret", patience_s=0.5) is None


@pytest.fixture
def waiting(storage, tmp_path, web):
    """Run a worker that waits for a job of Echo to its end."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "candela.worker", "--storage", storage.url]
        return subprocess.run(
            [*command, "--await", f"{web.url}/warm", "--workdir", str(tmp_path / "work"), *words],
            env={"PATH": "/usr/bin:/bin", "CANDELA_WARM_POD": "a", "CANDELA_WARM_TOKEN": "secret"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_a_waiting_worker_runs_the_job_it_is_given_and_ends(waiting, storage, web, answer):
    job = JobDocument(id="17", process="Echo", version="1.0.0", inputs={"literal": ["hello"]})
    storage.write("jobs/17/job.json", job.to_json().encode())
    web.serve("/warm/a", answer(b'{"job": "17"}'))
    done = waiting("--process", "Echo")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(storage.read("jobs/17/result.json"))
    assert result["outputs"]["literalOutput"] == {"value": "hello"}
    assert all("[Echo 17]" in line for line in done.stdout.splitlines())


def test_a_waiting_worker_without_a_job_ends_as_if_ended_from_outside(waiting, web, answer):
    web.serve("/warm/a", answer(status=404))
    assert waiting("--process", "Echo").returncode == EXIT_TERMINATED


def test_a_waiting_worker_must_know_of_which_process(waiting):
    done = waiting()
    assert done.returncode == 2
    assert "--await needs --process" in done.stderr
