"""An S3 server that goes and comes back in the middle of jobs."""

import time
from urllib.parse import urlsplit

import pytest
from gates import Gate

from candela.jobs.model import State
from candela.jobs.principal import SYSTEM

from .conftest import until


@pytest.fixture
def gate(s3_url):
    gate = Gate(urlsplit(s3_url).port)
    yield gate
    gate.shut()


def test_jobs_outlive_a_storage_that_is_away(bucket, gate, drill):
    drill = drill(storage=f"s3://{bucket}/jobs", s3_endpoint=f"http://127.0.0.1:{gate.port}")
    running = drill.submit("complex=<a/>;pause=4")
    until(lambda: "Inputs are staged" in drill.gateway.jobs.log_tail(SYSTEM, running))
    gate.shut()
    waiting = drill.submit("literal=accepted while the storage is away")
    assert drill.away() == ["storage"]
    drill.until(waiting, lambda job: job.message == "waiting for the storage")
    time.sleep(2)  # the first one wants to store its result now
    assert drill.store.get(running).state is State.RUNNING
    gate.open()
    until(lambda: drill.away() == [])
    jobs = [drill.finished(job_id) for job_id in (running, waiting)]
    assert [job.state for job in jobs] == [State.SUCCEEDED] * 2, [job.message for job in jobs]
    gate.shut()
    answer = drill.http.get(f"/outputs/{running}/complexOutput.xml")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert answer.json["detail"] == "the storage does not answer; please try again later"
    gate.open()
    assert drill.http.get(f"/outputs/{running}/complexOutput.xml").data == b"<a/>"
