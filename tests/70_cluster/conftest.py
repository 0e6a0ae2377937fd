"""CANDELA in a cluster, as `kubectl apply -k k8s/overlays/test` makes it."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from buckets import CREDENTIALS
from clusters import NETWORKS, ROOT, Cluster, find_cluster
from databases import NO_POSTGRES, find_binaries
from deployments import NAMESPACE, Deployment, deployed, s3_client

from candela.client import Client
from candela.gateway.app import Gateway
from candela.settings import Settings
from candela.synthetic.sentinel2 import DemoProducts, make_products

SIZE = 402  # pixels of a product


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and let them reach the cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.allow_hosts(NETWORKS))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return find_cluster()


@pytest.fixture(scope="session")
def deployment(cluster) -> Iterator[Deployment]:
    """Deploy the overlay, unless CANDELA_TEST_DEPLOYED says that somebody has."""
    if os.environ.get("CANDELA_TEST_DEPLOYED"):
        yield Deployment(cluster)
        return
    if find_binaries() is None:
        pytest.skip(NO_POSTGRES)
    with deployed(cluster) as made:
        yield made


@pytest.fixture(scope="session")
def client(deployment) -> Iterator[Client]:
    with Client(deployment.url) as client:
        yield client


@pytest.fixture(scope="session")
def products(tmp_path_factory, deployment) -> DemoProducts:
    """Make two products of one place, and put them into the bucket."""
    made = make_products(tmp_path_factory.mktemp("products"), seed=3, size=SIZE)
    for product in (made.before, made.after):
        s3_client(deployment.s3_url).upload_file(str(product), "products", product.name)
    return made


@pytest.fixture
def make_gateway(deployment, monkeypatch, tmp_path: Path):
    """Return a function that makes gateways on this machine, whose jobs run in the cluster."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KUBECONFIG", str(deployment.cluster.kubeconfig))
    made = []

    def make(*, run: dict | None = None, **settings) -> Gateway:
        gateway = Gateway.assemble(
            Settings(
                **{
                    "url": "http://candela.test",
                    "data": tmp_path / uuid.uuid4().hex,
                    "storage": "s3://candela/others",
                    "s3_endpoint": deployment.s3_url,
                    "runner": "kubernetes",
                    "namespace": NAMESPACE,
                    "job_template": ROOT / "k8s/base/job-template.yaml",
                    "cpu_share": 0.2,
                    "image_pull_timeout_s": 2,
                    "unschedulable_timeout_s": 2,
                    **settings,
                }
            )
        )
        echo = gateway.jobs.specs["Echo"]
        needs = echo.run.model_copy(update=run or {})
        gateway.jobs.specs.install(echo.model_copy(update={"run": needs}))
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.jobs.runner.close()
        gateway.jobs.store.close()
