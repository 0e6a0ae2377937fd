"""A gateway, two products with a known truth, and what the pipeline makes of them."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from candela.client import ChangeSeries, Client, detect_changes
from candela.demo.gateway import LocalGateway
from candela.synthetic.sentinel2 import DemoProducts, make_products

SIZE = 306  # pixels: enough for the area of docs/client.md
SEED = 7  # its clouds hide less than half of each quarter


@pytest.fixture(scope="session")
def products(tmp_path_factory: pytest.TempPathFactory) -> DemoProducts:
    """Make two products of one place."""
    return make_products(tmp_path_factory.mktemp("products"), seed=SEED, size=SIZE)


@pytest.fixture(scope="session")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, products: DemoProducts
) -> Iterator[LocalGateway]:
    """Run a gateway; when it has been stopped nothing of it is left."""
    folders = [Path(products.before).parent]
    with LocalGateway(tmp_path_factory.mktemp("gateway"), input_folders=folders) as gateway:
        assert gateway.process is not None
        process = psutil.Process(gateway.process.pid)
        yield gateway
        family = [process, *process.children(recursive=True)]
    assert [member for member in family if member.is_running()] == []


@pytest.fixture(scope="session")
def client(gateway: LocalGateway) -> Iterator[Client]:
    with Client(gateway.url) as client:
        yield client


@pytest.fixture(scope="session")
def series(client: Client, products: DemoProducts) -> ChangeSeries:
    """Run the pipeline, with a product that is none among the products."""
    broken = products.before.parent / "S2A_broken.zip"
    broken.write_bytes(b"this is no zip file")
    return detect_changes(client, [products.after, broken, products.before])
