"""A gateway in this process, its documents checked against the schemas of the OGC."""

import pytest
from flask.testing import FlaskClient
from schemas import assert_valid

from candela.gateway.app import Gateway
from candela.settings import Settings

BASE = "http://candela.test"
WPS = f"{BASE}/wps"


class Checked(FlaskClient):
    """A client that lets no XML document pass that is not valid."""

    def open(self, *args, **kwargs):
        response = super().open(*args, buffered=True, **kwargs)
        if response.mimetype == "text/xml" and response.data.startswith(b"<?xml version="):
            response.root = assert_valid(response.data)
        return response


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """Return a gateway whose jobs run."""
    folder = tmp_path_factory.mktemp("gateway")
    gateway = Gateway.assemble(Settings(url=BASE, data=folder, grace_s=30, sync_timeout_s=60))
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture(scope="session")
def http(gateway):
    """Return an HTTP client of the gateway."""
    app = gateway.application()
    app.test_client_class = Checked
    return app.test_client()


@pytest.fixture
def idle_gateway(tmp_path):
    """Return a gateway that accepts jobs and starts none."""
    gateway = Gateway.assemble(Settings(url=BASE, data=tmp_path, grace_s=0, sync_timeout_s=0.01))
    yield gateway
    gateway.stop()


@pytest.fixture
def idle(idle_gateway):
    """Return an HTTP client of the gateway that starts no jobs."""
    app = idle_gateway.application()
    app.test_client_class = Checked
    return app.test_client()
