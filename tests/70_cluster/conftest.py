"""CANDELA in a cluster, as `kubectl apply -k k8s/overlays/test` makes it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clusters import (
    DATABASE_PORT,
    NAMESPACE,
    NETWORKS,
    OVERLAY,
    S3_PORT,
    URL,
    Cluster,
    Deployment,
    find_cluster,
    s3_client,
    s3_server_for_pods,
    until,
)
from databases import find_binaries, postgres_server

from candela.client import Client
from candela.client.errors import ClientError

MAPS = Path("/var/tmp/candela-maps")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of this folder reach the cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.allow_hosts(NETWORKS))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return find_cluster()


@contextmanager
def _servers(cluster: Cluster, folder: Path) -> Iterator[None]:
    """Run the S3 server and the PostgreSQL of the overlay, with two buckets."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine (Debian package postgresql)")
    with (
        s3_server_for_pods(cluster.host, S3_PORT) as url,
        postgres_server(folder, binaries, host=cluster.host, port=DATABASE_PORT),
    ):
        for name in ("candela", "products"):
            s3_client(url).create_bucket(
                Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
        yield


@contextmanager
def _applied(cluster: Cluster) -> Iterator[None]:
    """Apply the overlay, and wait until all gateways are ready."""
    shutil.rmtree(MAPS, ignore_errors=True)
    MAPS.mkdir()
    MAPS.chmod(0o777)
    try:
        cluster.run("apply", "-k", str(OVERLAY))
        rollout = ("rollout", "status", "deployment/candela-gateway", "--timeout=150s")
        try:
            cluster.run("-n", NAMESPACE, *rollout)
        except AssertionError as error:
            said = cluster.run("-n", NAMESPACE, "logs", "deployment/candela-gateway", "--tail=50")
            raise AssertionError(f"{error}\n{said}") from error
        yield
    finally:
        cluster.run("delete", "-k", str(OVERLAY), "--timeout=60s")
        shutil.rmtree(MAPS, ignore_errors=True)


@pytest.fixture(scope="session")
def deployment(cluster, tmp_path_factory) -> Iterator[Deployment]:
    """Deploy the overlay, unless CANDELA_TEST_DEPLOYED says that somebody has."""
    deployed = Deployment(cluster, URL, f"http://{cluster.host}:{S3_PORT}")
    if os.environ.get("CANDELA_TEST_DEPLOYED"):
        yield deployed
        return
    with _servers(cluster, tmp_path_factory.mktemp("postgres")), _applied(cluster):
        until(lambda: _answers(URL), why="the gateway does not answer")
        yield deployed


def _answers(url: str) -> bool:
    try:
        with Client(url, timeout_s=5) as client:
            return bool(client.processes())
    except ClientError:
        return False


@pytest.fixture(scope="session")
def client(deployment) -> Iterator[Client]:
    with Client(deployment.url) as client:
        yield client
