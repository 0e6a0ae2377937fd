"""The parts of a worker."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from webserver import Answer, Web, web_server

from candela.backoff import Backoff
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.storage import Storage, open_storage
from candela.worker import web as asking


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as served:
        yield served


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "BACKOFF", Backoff(0, 0))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage((tmp_path / "storage").as_uri())


@pytest.fixture
def make_image() -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        grid = Grid(None, Affine(10, 0, 0, 0, -10, 0), Shape(16, 16))
        with create_image(path, grid, dtype="uint8", nodata=0, bands=["B02"]) as dataset:
            dataset.write(np.ones((1, 16, 16), "uint8"))
        return path

    return make
