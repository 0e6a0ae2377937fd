"""Requests that are run by pods which wait for them, over HTTP, with gateways that come and go."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from buckets import CREDENTIALS
from clusters import ROOT, Cluster, s3_server_for_pods, until, worker_namespace
from deployments import s3_client
from werkzeug.serving import make_server

from candela.contract.job import JobDocument
from candela.gateway.app import Gateway
from candela.jobs.model import Job, State
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest
from candela.runners.base import Limits
from candela.settings import Settings

S3_PORT = 9502


class Service:
    """An address behind which the newest gateway answers."""

    def __init__(self, host: str):
        self.applications: list[Callable] = []
        self._server = make_server(host, 0, self._answer, threaded=True)
        self.url = f"http://{host}:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, environment, start):
        return self.applications[-1](environment, start)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def s3_url(cluster) -> Iterator[str]:
    with s3_server_for_pods(cluster.host, S3_PORT) as url:
        s3_client(url).create_bucket(
            Bucket="warm", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield url


@pytest.fixture(scope="module")
def namespace(cluster, s3_url) -> Iterator[str]:
    with worker_namespace(cluster, s3_url) as name:
        yield name


@pytest.fixture
def service(cluster):
    service = Service(cluster.host)
    yield service
    service.close()


@pytest.fixture
def make_gateway(cluster: Cluster, namespace, s3_url, service, monkeypatch, tmp_path: Path):
    """Return a function that makes gateways on one job store; one pod waits for an Echo."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    settings = Settings(
        url=service.url,
        data=tmp_path,
        storage=f"s3://warm/{uuid.uuid4().hex}",
        s3_endpoint=s3_url,
        runner="kubernetes",
        namespace=namespace,
        job_template=ROOT / "k8s/base/job-template.yaml",
        cpu_share=0.2,
        warm={"Echo": 1},
    )
    made = []

    def make() -> Gateway:
        gateway = Gateway.assemble(settings)
        service.applications.append(gateway.application())
        made.append(gateway)
        until(lambda: gateway.jobs.runner.warm_pods()["Echo", "idle"] == 1)
        return gateway

    yield make
    for gateway in made:
        gateway.dispatcher.stop()
        gateway.jobs.runner.close()
        gateway.jobs.store.close()
    cluster.run("delete", "jobs,pods", "-n", namespace, "--all", "--wait=false")


@pytest.fixture
def pods_of(cluster, namespace):
    """Return a function that returns the names of the pods that a job has, or had."""

    def pods_of(job: Job) -> list[str]:
        selector = f"candela/job={job.id}"
        found = cluster.json("get", "pods", "-n", namespace, "-l", selector)["items"]
        return [pod["metadata"]["name"] for pod in found]

    return pods_of


def submit(gateway: Gateway, **inputs: object) -> Job:
    request = ExecuteRequest(inputs={name: [value] for name, value in inputs.items()})
    return gateway.jobs.submit(SYSTEM, "Echo", request)


def ended(gateway: Gateway, job: Job) -> Job:
    return gateway.jobs.store.wait(job.id, 120)


def is_at_work(gateway: Gateway, job: Job) -> bool:
    return "pausing" in gateway.jobs.store.get(job.id).message


def running_pods(cluster: Cluster, namespace: str, names: list[str]) -> list[str]:
    pods = cluster.json("get", "pods", "-n", namespace)["items"]
    return [
        pod["metadata"]["name"]
        for pod in pods
        if pod["metadata"]["name"] in names and pod["status"]["phase"] == "Running"
    ]


def test_a_request_is_run_by_the_pod_that_waits(make_gateway, pods_of):
    gateway = make_gateway()
    gateway.dispatcher.start()
    job = ended(gateway, submit(gateway, literal="a"))
    assert job.state is State.SUCCEEDED
    assert job.result.outputs["literalOutput"].value == "a"
    assert job.result.usage.wall_s < 60  # its own, without the time that the pod has waited
    until(lambda: pods_of(job))
    (name,) = pods_of(job)
    assert name.startswith("warm-echo-")
    assert "Attempt 1 succeeded" in gateway.jobs.log_tail(SYSTEM, job.id)
    until(lambda: gateway.jobs.runner.warm_pods()["Echo", "idle"] == 1)


def test_a_gateway_that_dies_after_it_gave_a_pod_its_job_loses_nothing(make_gateway, pods_of):
    dying = make_gateway()
    job = submit(dying, literal="a")
    dying.jobs.store.claim(dying.jobs.runner.name, dying.jobs.bounds)
    document = JobDocument(
        id=job.id, process=job.process, version=job.version, inputs=job.request.inputs
    )
    dying.jobs.runner.submit(document, Limits.of(dying.jobs.specs["Echo"].run))
    dying.jobs.runner.close()  # before the job store knows
    gateway = make_gateway()
    gateway.dispatcher.start()
    done = ended(gateway, job)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 1)
    until(lambda: pods_of(job))
    assert len(pods_of(job)) == 1


def test_a_job_in_a_warm_pod_is_dismissed(make_gateway, pods_of, cluster, namespace):
    gateway = make_gateway()
    gateway.dispatcher.start()
    job = submit(gateway, pause=120)
    until(lambda: is_at_work(gateway, job))
    gateway.jobs.dismiss(SYSTEM, job.id)
    assert gateway.jobs.storage.list(f"jobs/{job.id}") == ()
    until(lambda: not running_pods(cluster, namespace, pods_of(job)), seconds=30)


def test_a_job_whose_warm_pod_is_killed_is_tried_again(make_gateway, pods_of, cluster, namespace):
    gateway = make_gateway()
    gateway.dispatcher.start()
    job = submit(gateway, pause=8)
    until(lambda: is_at_work(gateway, job) and pods_of(job))
    (name,) = pods_of(job)
    assert name.startswith("warm-echo-")
    cluster.run("delete", "pod", "-n", namespace, name, "--wait=false")
    done = ended(gateway, job)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
