"""A real gateway for the tests of the client."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from candela.client import Client
from candela.demo.gateway import LocalGateway


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder of the test's own: the client remembers uploads there."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def input_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the gateway may read inputs from."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, input_folder: Path) -> Iterator[LocalGateway]:
    """Run a gateway; when it has been stopped nothing of it is left."""
    gateway = LocalGateway(tmp_path_factory.mktemp("gateway"), input_folders=[input_folder])
    with gateway:
        assert gateway.process is not None
        process = psutil.Process(gateway.process.pid)
        yield gateway
        family = [process, *process.children(recursive=True)]
    assert [member for member in family if member.is_running()] == []


@pytest.fixture
def client(gateway: LocalGateway) -> Iterator[Client]:
    with Client(gateway.url) as client:
        yield client
