"""A real Kubernetes for tests, where there is one."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from buckets import CREDENTIALS

ROOT = Path(__file__).parents[2]
NETWORKS = ["127.0.0.1", "::1", "localhost", "10.0.0.0/8"]
START_S = 60


@dataclass(frozen=True)
class Cluster:
    """A cluster that the tests may do anything with."""

    kubeconfig: Path
    kubectl: str
    host: str  # the address of this machine, as pods see it

    def run(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl; fail with what it said."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            [self.kubectl, *words], input=stdin, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def json(self, *words: str) -> Any:
        """Run kubectl and read what it said as JSON."""
        return json.loads(self.run(*words, "-o", "json"))

    def apply(self, text: str, *words: str) -> None:
        """Create or change objects."""
        self.run("apply", "-f", "-", *words, stdin=text)


def is_wanted() -> bool:
    """Tell whether tests are to use a cluster: whatever they are told, not just any."""
    return bool(os.environ.get("CANDELA_TEST_CLUSTER"))


def find_cluster() -> Cluster:
    """Return the cluster of ``make test-cluster``, or skip the test and say why."""
    if not is_wanted():
        pytest.skip("tests on a cluster run with `make test-cluster`")
    cluster = given_cluster()
    if cluster is None:
        pytest.skip("no cluster: neither KUBECONFIG with kubectl, nor one beside this checkout")
    return cluster


def given_cluster() -> Cluster | None:
    """Return the cluster that KUBECONFIG names, if there is one."""
    given, kubectl = os.environ.get("KUBECONFIG"), shutil.which("kubectl")
    if not given or not kubectl:
        return None
    return Cluster(Path(given), kubectl, os.environ.get("CANDELA_TEST_HOST", "10.99.1.1"))


@contextmanager
def s3_server_for_pods(host: str, port: int) -> Iterator[str]:
    """Run an empty S3 server that pods reach, and yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://{host}:{port}"
    deadline = time.monotonic() + START_S
    try:
        while True:
            try:
                requests.get(url, timeout=5).close()
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline, "the S3 server does not answer"
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def secret(name: str, values: Mapping[str, str]) -> str:
    """Return a Secret."""
    return json.dumps(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
    )


@contextmanager
def worker_namespace(cluster: Cluster, s3_url: str) -> Iterator[str]:
    """Make a namespace for workers, in which only pods under the strictest rules may be."""
    name = f"candela-workers-{uuid.uuid4().hex[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
    try:
        for part in ("rbac", "priorities"):
            cluster.run("apply", "-n", name, "-f", str(ROOT / f"k8s/base/{part}.yaml"))
        variables = {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": s3_url}
        cluster.apply(secret("candela-s3", variables), "-n", name)
        yield name
    finally:
        cluster.run("delete", "namespace", name, "--wait=false")


def is_open(host: str, port: int) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def until(condition: Callable[[], object], *, seconds: float = 120, why: str = "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, why or "it did not come to this"
        time.sleep(0.1)
