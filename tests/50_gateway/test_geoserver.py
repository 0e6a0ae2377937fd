"""A gateway whose layers are shown by a GeoServer."""

import pytest
from geoserver_double import PASSWORD, USER, GeoServerDouble

from candela.gateway.app import Gateway
from candela.publish.geoserver.publisher import GeoServerPublisher
from candela.settings import ConfigurationError, Settings

BASE = "http://candela.test"


@pytest.fixture
def double():
    with GeoServerDouble() as double:
        yield double


@pytest.fixture
def settings(tmp_path, double):
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    return {
        "url": BASE, "data": tmp_path / "data", "publisher": "geoserver",
        "geoserver_url": double.url, "geoserver_public_url": "https://maps.example/geoserver",
        "geoserver_user": USER, "geoserver_password_file": password,
        "geoserver_folder": tmp_path / "published",
    }  # fmt: skip


@pytest.fixture
def gateway(settings):
    gateway = Gateway.assemble(Settings(**settings))
    yield gateway
    gateway.stop()


def test_the_settings_make_a_publisher_that_geoserver_lets_in(gateway, double) -> None:
    publisher = gateway.jobs.publisher
    assert isinstance(publisher, GeoServerPublisher)
    publisher.start()
    assert publisher.layers() == []
    assert double.violations == []


def test_pages_work_while_geoserver_is_away(gateway, double) -> None:
    http = gateway.application().test_client()
    assert http.get("/layers.json").get_json() == {"layers": [], "series": []}
    assert http.get("/readyz").get_json() == {"status": "ready"}
    double.break_all("before")
    assert http.get("/layers.json").status_code == 503
    answer = http.get("/readyz")
    assert answer.status_code == 200  # jobs go on without a map
    assert answer.get_json() == {"status": "ready", "degraded": ["map server"]}
    assert http.get("/").status_code == 200


def test_the_address_of_all_layers_leads_to_geoserver(gateway) -> None:
    answer = gateway.application().test_client().get("/ows?service=WMS&request=GetCapabilities")
    assert answer.status_code == 302
    expected = "https://maps.example/geoserver/ows?service=WMS&request=GetCapabilities"
    assert answer.headers["Location"] == expected


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("geoserver_url", "geoserver_url"),
        ("geoserver_user", "geoserver_user"),
        ("geoserver_password_file", "geoserver_password_file"),
        ("geoserver_folder", "geoserver_folder"),
    ],
)
def test_nothing_is_guessed_that_geoserver_needs(settings, without, message) -> None:
    del settings[without]
    with pytest.raises(ConfigurationError, match=f"publisher geoserver needs {message}"):
        Settings.from_environment(**settings)


def test_a_password_file_that_is_not_there_is_named(settings, tmp_path) -> None:
    settings["geoserver_password_file"] = tmp_path / "none"
    with pytest.raises(ConfigurationError, match="none: No such file"):
        Gateway.assemble(Settings(**settings))


def test_private_layers_need_somebody_who_says_who_asks() -> None:
    with pytest.raises(ConfigurationError, match="private_layers needs an owner_header"):
        Settings.from_environment(private_layers=True)
