"""What breaks under jobs in a cluster costs none of them: the node, and everything at random."""

import pytest
import requests
from _storm_cluster import InCluster
from buckets import CREDENTIALS
from clusters import until
from kill_storm import Storm
from nodes import containers, program, restart_node


@pytest.fixture
def breakable(deployment):
    """Return the deployment, if what it stands on is ours to break."""
    if deployment.postgres is None or not program(deployment.cluster, "kubelet"):
        pytest.skip("the cluster, its database or its bucket are not ours to break")
    return deployment


@pytest.mark.timeout(600)
def test_a_job_outlives_a_restart_of_its_node(breakable, client):
    job = client.execute("Echo", literal="a", pause=20)
    until(lambda: "running" in job.log())
    restart_node(breakable.cluster)
    until(lambda: containers("candela.cli"), why="no gateway was started again")
    until(lambda: _is_ready(breakable.url), seconds=240, why="no gateway is ready again")
    job.wait(timeout_s=240, progress=False)
    assert job.outputs["literalOutput"].value == "a"
    events = requests.get(f"{breakable.url}/jobs/{job.id}/events", timeout=30).json()["events"]
    said = [event["message"] for event in events]
    assert "the worker was ended from outside; waiting for try 2" in said
    assert said.count("running") == 2


@pytest.mark.timeout(900)
def test_a_storm_of_kills_costs_no_job(breakable, monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    report = Storm(InCluster(breakable), jobs=10, seed=5).run()
    assert report.is_clean, report
    assert report.states["succeeded"] == 8
    assert report.states["failed"] == 1  # as it should
    assert sum(report.kills.values()) >= 3


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=5).ok
    except requests.RequestException:
        return False
