"""CANDELA in a cluster, as `kubectl apply -k k8s/overlays/test` makes it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import NETWORKS, Cluster, find_cluster
from databases import find_binaries
from deployments import Deployment, deployed

from candela.client import Client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of this folder reach the cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.allow_hosts(NETWORKS))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return find_cluster()


@pytest.fixture(scope="session")
def deployment(cluster, tmp_path_factory) -> Iterator[Deployment]:
    """Deploy the overlay, unless CANDELA_TEST_DEPLOYED says that somebody has."""
    if os.environ.get("CANDELA_TEST_DEPLOYED"):
        yield Deployment(cluster)
        return
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine (Debian package postgresql)")
    with deployed(cluster, tmp_path_factory.mktemp("postgres"), binaries) as made:
        yield made


@pytest.fixture(scope="session")
def client(deployment) -> Iterator[Client]:
    with Client(deployment.url) as client:
        yield client
