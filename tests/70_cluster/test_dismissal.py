"""Dismissing a job at each step of its way through a cluster; nothing of it is left."""

import time
from collections.abc import Callable

import pytest
from clusters import until
from webserver import Answer, web_server

from candela.contract.job import Reference, job_key
from candela.gateway.app import Gateway
from candela.jobs.model import Job, State
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest

PATIENCE_S = 180


@pytest.fixture
def dismissed(deployment) -> Callable[[Gateway, Job], None]:
    """Return a function that dismisses a job, and sees that nothing of it is left."""

    def dismiss(gateway: Gateway, job: Job) -> None:
        assert gateway.jobs.dismiss(SYSTEM, job.id).message == "dismissed by the user"
        until(lambda: not running_pods(job), seconds=30)
        assert gateway.jobs.storage.list(job_key(job.id)) == ()
        gateway.dispatcher.round()
        assert gateway.jobs.store.get(job.id).state is State.DISMISSED

    def running_pods(job: Job) -> list[str]:
        phases = [pod["status"]["phase"] for pod in deployment.pods_of(job.id)]
        return [phase for phase in phases if phase in {"Pending", "Running"}]

    return dismiss


def follow(gateway: Gateway, job: Job, is_there: Callable[[Job], bool]) -> Job:
    """Move a job on until it is where it should be."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_there(found := gateway.jobs.store.get(job.id)):
        assert not found.state.is_final, found.message
        assert time.monotonic() < deadline, (
            f"{found.message}\n{gateway.jobs.log_tail(SYSTEM, job.id)}"
        )
        gateway.dispatcher.round()
        time.sleep(0.05)
    return found


def test_before_a_machine_has_room(make_gateway, dismissed):
    gateway = make_gateway(run={"cpu": 10_000}, unschedulable_timeout_s=3600)
    job = gateway.jobs.submit(SYSTEM, "Echo", ExecuteRequest())
    dismissed(gateway, follow(gateway, job, lambda job: "Insufficient cpu" in job.message))


def test_while_inputs_are_fetched(make_gateway, dismissed, deployment):
    with web_server(deployment.cluster.host) as web:
        gateway = make_gateway(allowed_hosts=(web.url.removeprefix("http://"),))
        href = web.serve("/slow.xml", Answer(b"<a/>", hold_s=PATIENCE_S))
        job = gateway.jobs.submit(
            SYSTEM, "Echo", ExecuteRequest(inputs={"complex": [Reference(href=href)]})
        )
        dismissed(gateway, follow(gateway, job, lambda _: bool(web.asked)))


def test_while_the_algorithm_runs(make_gateway, dismissed):
    gateway = make_gateway()
    job = gateway.jobs.submit(SYSTEM, "Echo", ExecuteRequest(inputs={"pause": [PATIENCE_S]}))
    dismissed(
        gateway,
        follow(gateway, job, lambda job: "running" in gateway.jobs.log_tail(SYSTEM, job.id)),
    )


def test_while_the_map_server_is_away(make_gateway, dismissed, products, tmp_path):
    (tmp_path / "password").write_text("secret")
    gateway = make_gateway(
        input_buckets=("products",),
        publisher="geoserver",
        geoserver_url="http://127.0.0.1:1/geoserver",
        geoserver_user="publisher",
        geoserver_password_file=tmp_path / "password",
        geoserver_mode="http",
    )
    product = Reference(href=f"s3://products/{products.before.name}")
    job = gateway.jobs.submit(SYSTEM, "Jpeg2Tiff", ExecuteRequest(inputs={"product": [product]}))
    waiting = follow(gateway, job, lambda job: "waiting for the map server" in job.message)
    assert waiting.state is State.PUBLISHING
    dismissed(gateway, waiting)
