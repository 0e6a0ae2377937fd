"""Metrics, and what jobs have used."""

import re
from contextlib import closing

import pytest
from prometheus_client import generate_latest

from candela.gateway.ops.metrics import Metrics
from candela.jobs.model import Event, Job, State, new_id, now
from candela.jobs.store import JobStore

ECHO = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo&DataInputs=literal=metrics"


@pytest.fixture(scope="module")
def job(http):
    """Run an Echo to its end; return what the gateway says of it."""
    http.get(ECHO)
    (job,) = http.get("/jobs?processID=Echo&limit=1").json["jobs"]
    assert job["status"] == "successful"
    return job


def value(text: str, name: str) -> float:
    """Return the value of a metric, named with its labels."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, f"no {name} in\n{text}"
    return float(found[1])


def test_metrics_tell_what_jobs_did(http, job):
    answer = http.get("/metrics")
    assert answer.mimetype == "text/plain"
    text = answer.text
    assert value(text, 'candela_jobs{process="Echo",state="succeeded"}') >= 1
    assert value(text, 'candela_jobs_ended_total{cause="",process="Echo",state="succeeded"}') >= 1
    assert value(text, "candela_accept_seconds_count") >= 1
    assert value(text, 'candela_job_state_seconds_count{process="Echo",state="running"}') >= 1
    assert value(text, 'candela_job_cpu_seconds_total{process="Echo"}') > 0
    assert value(text, "candela_worker_start_seconds_count") >= 1
    assert value(text, "candela_queue_age_seconds") == 0


def test_requests_are_measured_by_route(http, job):
    http.get(f"/jobs/{job['jobID']}")
    name = 'candela_http_request_seconds_count{method="GET",route="/jobs/<job_id>",status="200"}'
    assert value(http.get("/metrics").text, name) >= 1


def test_a_failed_job_is_counted_by_its_cause(http):
    http.get(ECHO.replace("literal=metrics", "complex=this is no XML"))
    name = 'candela_jobs_ended_total{cause="InputError",process="Echo",state="failed"}'
    assert value(http.get("/metrics").text, name) >= 1


def test_a_job_says_what_it_used(http, job):
    used = http.get(f"/jobs/{job['jobID']}").json["usage"]
    assert used["wallSeconds"] > 0
    assert used["cpuSeconds"] > 0
    assert used["gigabyteSeconds"] > 0
    assert used["inputBytes"] == 0


def test_what_was_used_is_summed_by_owner_and_process(http, job):
    (echo,) = [each for each in http.get("/usage").json["usage"] if each["processID"] == "Echo"]
    assert echo["owner"] == ""
    assert echo["jobs"] >= 1
    assert echo["cpuSeconds"] > 0
    assert http.get("/usage?since=2100-01-01").json["usage"] == []
    assert http.get("/usage?until=2100-01-01").json["usage"] != []


def test_a_wrong_time_is_refused(http):
    answer = http.get("/usage?since=yesterday")
    assert answer.status_code == 400
    assert "yesterday" in answer.json["detail"]


def test_what_was_used_outlives_the_job(http, job):
    (before,) = [each for each in http.get("/usage").json["usage"] if each["processID"] == "Echo"]
    http.delete(f"/jobs/{job['jobID']}")
    (after,) = [each for each in http.get("/usage").json["usage"] if each["processID"] == "Echo"]
    assert after == before


def test_time_in_a_state_is_that_between_events():
    from datetime import timedelta

    from candela.gateway.ops.metrics import durations

    start = now()
    events = [
        Event(start, State.ACCEPTED, ""),
        Event(start + timedelta(seconds=2), State.RUNNING, ""),
        Event(start + timedelta(seconds=5), State.SUCCEEDED, ""),
    ]
    assert list(durations(events)) == [(State.ACCEPTED, 2.0), (State.RUNNING, 3.0)]


def test_an_attempt_that_the_machine_broke_is_counted_with_its_reason(tmp_path):
    job = Job(
        new_id(), "Echo", "1.0.0", now(), now(), attempt=2,
        message="the worker was ended from outside; waiting for try 2",
    )  # fmt: skip
    with closing(JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")) as store:
        metrics = Metrics(store)
        store.add(job)
        text = generate_latest(metrics.registry).decode()
    reason = "the worker was ended from outside"
    assert value(text, f'candela_jobs_tried_again_total{{process="Echo",reason="{reason}"}}') == 1
    assert value(text, "candela_accept_seconds_count") == 0
