"""Places to run jobs in: this machine, and a cluster where there is one."""

import os
import sys
import uuid
from pathlib import Path
from threading import Thread

import boto3
import pytest
from buckets import CREDENTIALS
from clusters import (
    NETWORKS,
    Cluster,
    find_cluster,
    is_wanted,
    s3_server_for_pods,
    worker_namespace,
)
from flask import Flask
from trials import LIMITS, until
from werkzeug.serving import make_server

from candela.contract.job import Assignment
from candela.gateway.ops.warm_pods import blueprint
from candela.jobs.tokens import NO_ATTEMPT, token_for
from candela.runners.base import Limits, Runner
from candela.runners.kubernetes import KubernetesRunner
from candela.runners.local import LocalRunner
from candela.runners.manifest import Images, load_template
from candela.runners.processes import find_members
from candela.runners.records import Records
from candela.runners.startup import StartTimeouts
from candela.runners.warm import WarmSettings
from candela.storage import Storage, open_storage

ROOT = Path(__file__).parents[2]
TRIAL = Path(__file__).with_name("trial_worker.py")
PODS_S3_PORT = 9501


class Here:
    """Subprocesses of this machine."""

    memory = 250 * 2**20  # enough for a worker that does nothing much
    lead_s = 0.0  # what a worker may take to start, of its time

    def __init__(self, folder: Path):
        self.work = folder / "work"
        self.storage: Storage = open_storage((folder / "storage").as_uri())
        self.made: list[LocalRunner] = []

    def make(self, **options: object) -> Runner:
        options = {"command": (sys.executable, str(TRIAL)), "grace_s": 1.0, **options}
        self.made.append(LocalRunner(self.storage, self.work, **options))
        return self.made[-1]

    def processes(self, job_id: str, attempt: int) -> int:
        mark = str(self.work / f"{job_id}-{attempt}")
        return len(find_members({mark: 0})[mark])

    def close(self) -> None:
        for runner in self.made:
            for record in Records(self.work).unended():
                runner.cancel(record.reference)
            runner.close()


class InCluster:
    """Pods of a cluster, files in a bucket."""

    memory = 250 * 2**20
    lead_s = 2.0

    def __init__(self, cluster: Cluster, namespace: str, bucket: str, endpoint: str):
        self.cluster = cluster
        self.namespace = namespace
        self.storage: Storage = open_storage(f"s3://{bucket}", endpoint=endpoint)
        self.made: list[KubernetesRunner] = []

    def make(self, **options: object) -> Runner:
        images = Images(
            os.environ.get("CANDELA_IMAGE_PREFIX", "localhost/candela-"),
            os.environ.get("CANDELA_IMAGE_TAG", "dev"),
        )
        timeouts = StartTimeouts(image_pull_s=3, unschedulable_s=3)
        options = {"timeouts": timeouts, "images": images, "template": self.template(), **options}
        runner = KubernetesRunner(self.storage, namespace=self.namespace, **options)
        self.made.append(runner)
        return runner

    def template(self) -> dict:
        """Return the project's template with the worker that misbehaves on demand."""
        template = load_template(ROOT / "k8s/base/job-template.yaml")
        pod = template["spec"]["template"]["spec"]
        (worker,) = pod["containers"]
        worker |= {"command": ["python3"], "args": ["/trial/trial_worker.py"]}
        worker["volumeMounts"].append({"name": "trial", "mountPath": "/trial"})
        pod["volumes"].append({"name": "trial", "configMap": {"name": "trial"}})
        pod["terminationGracePeriodSeconds"] = 1
        return template

    def processes(self, job_id: str, attempt: int) -> int:
        selector = f"candela/job={job_id},candela/attempt={attempt}"
        pods = self.cluster.json("get", "pods", "-n", self.namespace, "-l", selector)["items"]
        return sum(pod["status"]["phase"] in {"Pending", "Running"} for pod in pods)

    def close(self) -> None:
        for runner in self.made:
            runner.close()
        self.cluster.run("delete", "jobs", "-n", self.namespace, "--all", "--wait=false")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return find_cluster()


@pytest.fixture(scope="session")
def pods_s3(cluster):
    with s3_server_for_pods(cluster.host, PODS_S3_PORT) as url:
        yield url


@pytest.fixture(scope="session")
def namespace(cluster, pods_s3):
    with worker_namespace(cluster, pods_s3) as name:
        cluster.run("create", "configmap", "trial", "-n", name, f"--from-file={TRIAL}")
        yield name


CLUSTERS = [
    pytest.param("in a cluster", marks=[pytest.mark.cluster, pytest.mark.allow_hosts(NETWORKS)])
]


@pytest.fixture(params=["here", *(CLUSTERS if is_wanted() else ())])
def place(request, tmp_path, monkeypatch):
    """Return where jobs run: every test of a runner runs in all places."""
    if request.param == "here":
        place: Here | InCluster = Here(tmp_path)
    else:
        place = _in_cluster(request, monkeypatch)
    yield place
    place.close()


@pytest.fixture
def in_cluster(request, monkeypatch):
    place = _in_cluster(request, monkeypatch)
    yield place
    place.close()


class WarmPlace:
    """A cluster in which a pod waits for trials; runners share the address where it asks."""

    key = b"for tests only"

    def __init__(self, place: InCluster):
        self.place = place
        self.made: list[KubernetesRunner] = []
        app = Flask("warm")
        app.register_blueprint(blueprint(self, self.key))
        self.server = make_server(place.cluster.host, 0, app, threaded=True)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def assignment(self, pod: str, timeout_s: float) -> Assignment | None:
        return self.made[-1].assignment(pod, min(timeout_s, 1.0))

    def make(self, limits: Limits = LIMITS, *, count: int = 1) -> KubernetesRunner:
        """Return a runner when its pods are idle."""
        settings = WarmSettings(
            {"Trial": (count, limits)},
            f"http://{self.place.cluster.host}:{self.server.server_port}/warm",
            lambda name: token_for(self.key, name, NO_ATTEMPT),
        )
        self.made.append(self.place.make(warm=settings))
        until(lambda: self.made[-1].warm_pods()["Trial", "idle"] == count)
        return self.made[-1]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def warm(in_cluster):
    place = WarmPlace(in_cluster)
    yield place
    place.close()


def _in_cluster(request, monkeypatch) -> InCluster:
    cluster = request.getfixturevalue("cluster")
    namespace = request.getfixturevalue("namespace")
    url = request.getfixturevalue("pods_s3")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": url}.items():
        monkeypatch.setenv(name, value)
    bucket = f"test-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    return InCluster(cluster, namespace, bucket, url)
