"""A gateway that is killed costs no job."""

import time
from pathlib import Path

import requests

from candela.client import Client, Job, Status
from candela.demo.gateway import LocalGateway

PATIENCE_S = 30


def wait_until_running(job: Job) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while job.status is not Status.RUNNING:
        assert time.monotonic() < deadline, f"still {job.info}"
        time.sleep(0.05)


def events(gateway: LocalGateway, job: Job) -> list[str]:
    answer = requests.get(f"{gateway.url}/jobs/{job.id}/events", timeout=10).json()
    return [event["state"] for event in answer["events"]]


def test_a_job_outlives_a_killed_gateway_and_runs_once(tmp_path: Path) -> None:
    gateway = LocalGateway(tmp_path)
    gateway.start()
    try:
        with Client(gateway.url) as client:
            job = client.execute("Echo", literal="still here", pause=12)
            waiting = [client.execute("Echo", literal=f"job {number}") for number in range(4)]
            wait_until_running(job)
            gateway.kill()
            gateway.start()
            assert job.wait(timeout_s=60).outputs["literalOutput"].value == "still here"
            assert events(gateway, job).count("running") == 1
            for number, other in enumerate(waiting):
                assert other.wait(timeout_s=60).outputs["literalOutput"].value == f"job {number}"
    finally:
        gateway.stop()
