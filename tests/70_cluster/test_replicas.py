"""Several gateways on one job store, while they are replaced and killed."""

import time
import uuid
from collections.abc import Callable

import pytest
import requests
from clusters import until
from deployments import NAMESPACE, Deployment

JOBS = 12
EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs=literal={};pause=1"
)

TAKEN = ("Accepted", "Started", "Succeeded")


def submit(url: str, key: str) -> None:
    """Submit a job under a key, again and again until a gateway says that it has it."""
    deadline = time.monotonic() + 120
    while True:
        try:
            answer = requests.get(
                url + EXECUTE.format(key),
                headers={"Idempotency-Key": key, "Connection": "close"},
                timeout=20,
            )
            if any(f"<wps:Process{word}" in answer.text for word in TAKEN):
                return
        except requests.ConnectionError:
            pass
        assert time.monotonic() < deadline, "no gateway takes jobs"
        time.sleep(0.2)


def jobs_since(deployment: Deployment, known: set[str]) -> list[dict]:
    answer = requests.get(f"{deployment.url}/jobs?processID=Echo&limit=1000", timeout=30)
    return [job for job in answer.json()["jobs"] if job["jobID"] not in known]


@pytest.fixture
def storm(deployment) -> Callable[[Callable[[], None]], list[dict]]:
    """Return a function that submits jobs around a disturbance, and waits for their ends."""

    def run(disturb: Callable[[], None]) -> list[dict]:
        known = {job["jobID"] for job in jobs_since(deployment, set())}
        keys = [uuid.uuid4().hex for _ in range(JOBS)]
        for number, key in enumerate(keys):
            if number == JOBS // 3:
                disturb()
            submit(deployment.url, key)
            time.sleep(0.3)
        until(
            lambda: all(
                job["status"] in {"successful", "failed"} for job in jobs_since(deployment, known)
            ),
            seconds=180,
        )
        return jobs_since(deployment, known)

    return run


def assert_each_ran_once(deployment: Deployment, jobs: list[dict]) -> None:
    assert len(jobs) == JOBS
    assert [job["status"] for job in jobs] == ["successful"] * JOBS
    for job in jobs:
        made = deployment.objects("jobs", f"candela/job={job['jobID']}")
        assert [each["metadata"]["labels"]["candela/attempt"] for each in made] == ["1"]
        assert len(deployment.pods_of(job["jobID"])) == 1


def test_gateways_that_are_replaced_one_by_one_lose_nothing(deployment, storm):
    jobs = storm(lambda: deployment.kubectl("rollout", "restart", "deployment/candela-gateway"))
    deployment.kubectl("rollout", "status", "deployment/candela-gateway", "--timeout=180s")
    assert_each_ran_once(deployment, jobs)


def test_a_gateway_that_is_killed_loses_nothing(deployment, storm):
    def kill() -> None:
        gateways = deployment.objects("pods", "app.kubernetes.io/component=gateway")
        name = gateways[0]["metadata"]["name"]
        deployment.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")

    assert_each_ran_once(deployment, storm(kill))
    deployment.kubectl("rollout", "status", "deployment/candela-gateway", "--timeout=180s")


def test_both_gateways_tell_of_the_same_jobs(deployment):
    gateways = deployment.objects("pods", "app.kubernetes.io/component=gateway")
    running = [pod for pod in gateways if pod["status"]["phase"] == "Running"]
    assert len(running) >= 2
    seen = set()
    for pod in running:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8081/proxy/metrics"
        text = deployment.cluster.run("get", "--raw", path)
        seen.add(frozenset(line for line in text.splitlines() if line.startswith("candela_jobs{")))
    assert len(seen) == 1
