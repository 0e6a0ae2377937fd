"""What a user is told of jobs that a cluster cannot run, or ends."""

import re
import time

from candela.gateway.app import Gateway
from candela.jobs.model import Job
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest

PATIENCE_S = 120


def ended(gateway: Gateway, **inputs: object) -> Job:
    """Run an Echo to its end."""
    request = ExecuteRequest(inputs={name: [value] for name, value in inputs.items()})
    job = gateway.jobs.submit(SYSTEM, "Echo", request)
    deadline = time.monotonic() + PATIENCE_S
    while not gateway.jobs.store.get(job.id).state.is_final:
        assert time.monotonic() < deadline, gateway.jobs.log_tail(SYSTEM, job.id)
        gateway.dispatcher.round()
        time.sleep(0.1)
    return gateway.jobs.store.get(job.id)


def test_too_little_memory(make_gateway):
    gateway = make_gateway(run={"memory": "40Mi"})
    job = ended(gateway, literal="a")
    assert job.error.kind == "LimitError"
    assert job.message == "the job needed more memory than the 40Mi that it may have"
    assert "OOMKilled: the container reached its memory limit" in gateway.jobs.log_tail(
        SYSTEM, job.id
    )


def test_too_little_time(make_gateway):
    gateway = make_gateway(run={"timeout": 6})
    job = ended(gateway, pause=60)
    assert job.error.kind == "LimitError"
    assert job.message == "the job ran longer than the 6 s that Echo may"
    assert "Attempt 1 of Echo" in gateway.jobs.log_tail(SYSTEM, job.id)


def test_an_image_that_is_missing(make_gateway):
    job = ended(make_gateway(image_tag="nowhere"), literal="a")
    assert job.error.kind == "UnavailableError"
    reason = r"the job could not be run: (ErrImagePull|ImagePullBackOff): .*candela-python:nowhere"
    assert re.match(reason, job.message)


def test_no_machine_that_is_large_enough(make_gateway):
    job = ended(make_gateway(run={"cpu": 10_000}), literal="a")
    assert job.error.kind == "UnavailableError"
    assert "Unschedulable: " in job.message
    assert "Insufficient cpu" in job.message


def test_a_refused_input(make_gateway):
    job = ended(make_gateway(), complex="this is no XML")
    assert job.error.kind == "InputError"
    assert job.error.locator == "complex"


def test_why_a_job_does_not_start_is_told_while_it_waits(make_gateway):
    gateway = make_gateway(image_tag="nowhere", image_pull_timeout_s=3600)
    job = gateway.jobs.submit(SYSTEM, "Echo", ExecuteRequest())
    deadline = time.monotonic() + PATIENCE_S
    while "candela-python:nowhere" not in gateway.jobs.store.get(job.id).message:
        assert time.monotonic() < deadline
        gateway.dispatcher.round()
        time.sleep(0.1)
    gateway.jobs.dismiss(SYSTEM, job.id)
    assert not gateway.jobs.runner.state(gateway.jobs.store.get(job.id).backend).is_running
