"""``candela serve``: options and variables become settings."""

import json

import pytest

from candela.cli import main
from candela.commands import serving
from candela.gateway.app import Gateway
from candela.gateway.front.request import PORT
from candela.gateway.staging import staging_of
from candela.settings import ConfigurationError, Limits, Settings


@pytest.fixture
def served(monkeypatch):
    """Return the settings that gateways are asked to serve with."""
    settings = []

    def serve(given, _bind, *, announce):
        settings.append(given)
        announce()

    monkeypatch.setattr(serving, "serve", serve)
    return settings


def test_what_inputs_may_be_read_from_is_told(served, tmp_path, capsys):
    options = ["--allow-host", "data.internal:8080", "--allow-host", "10.0.0.0/8"]
    assert main(["serve", "--input-folder", str(tmp_path), *options]) == 0
    (settings,) = served
    assert settings.input_folders == (tmp_path,)
    assert settings.allowed_hosts == ("data.internal:8080", "10.0.0.0/8")
    assert "data.internal:8080" in capsys.readouterr().err


def test_variables_say_the_same(served, monkeypatch):
    monkeypatch.setenv("CANDELA_ALLOWED_HOSTS", json.dumps(["data.internal"]))
    monkeypatch.setenv("CANDELA_INPUT_BUCKETS", json.dumps(["open"]))
    monkeypatch.setenv("CANDELA_S3_ENDPOINT", "http://127.0.0.1:9")
    assert main(["serve"]) == 0
    (settings,) = served
    assert settings.allowed_hosts == ("data.internal",)
    assert settings.input_buckets == ("open",)
    assert settings.s3_endpoint == "http://127.0.0.1:9"


def test_the_address_of_maps_is_that_of_the_map_server(served, monkeypatch, capsys):
    assert main(["serve"]) == 0
    assert "http://127.0.0.1:8080/ows" in capsys.readouterr().err
    for name, value in {
        "PUBLISHER": "geoserver", "GEOSERVER_URL": "http://geoserver:8080/geoserver",
        "GEOSERVER_PUBLIC_URL": "https://maps.example/geoserver/", "GEOSERVER_USER": "u",
        "GEOSERVER_PASSWORD_FILE": "/p", "GEOSERVER_FOLDER": "/f",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"CANDELA_{name}", value)
    assert main(["serve"]) == 0
    told = capsys.readouterr().err
    assert "https://maps.example/geoserver/ows" in told
    assert "8080/ows" not in told


@pytest.mark.parametrize("host", ["http://data.internal", "10.0.0.1/8", "a b"])
def test_what_is_no_host_is_refused_at_start(host):
    with pytest.raises(ConfigurationError, match="allowed_hosts"):
        Settings.from_environment(allowed_hosts=(host,))


def test_workers_are_told_where_inputs_may_be_read_from(tmp_path):
    settings = Settings(data=tmp_path, allowed_hosts=("data.internal",), input_folders=(tmp_path,))
    staging = staging_of(settings, Limits.load(settings.config))
    assert staging.allowed_hosts == ("data.internal",)
    assert str(tmp_path) in staging.allowed_folders


INTERNAL = ["/metrics", "/usage", "/jobs/none/progress"]  # /warm is in clusters only
PUBLIC = ["/", "/jobs", "/jobs/none", "/wps?service=WPS&request=GetCapabilities", "/map"]
MADE_UP = {"/jobs/none": 404, "/jobs/none/progress": 403}  # without a token, whatever the job


@pytest.fixture
def ask(tmp_path):
    """Return a function that asks one of two ports for the route of a path."""
    gateway = Gateway.assemble(Settings(data=tmp_path, internal_bind="127.0.0.1:8081"))
    app = gateway.application()

    def ask(port, path):
        method = "POST" if path.endswith("progress") else "GET"
        return app.test_client().open(path, method=method, environ_overrides={PORT: port})

    yield ask
    gateway.stop()


@pytest.mark.parametrize("path", [*INTERNAL, *PUBLIC])
def test_each_port_answers_what_is_its_own(ask, path):
    internal, public = ask("internal", path), ask("public", path)
    own, other = (internal, public) if path in INTERNAL else (public, internal)
    assert other.status_code == 404
    assert own.status_code == MADE_UP.get(path, 200)
    assert own.data != other.data  # of the route, not of the port


@pytest.mark.parametrize("path", ["/metrics/", "//metrics", "/jobs/a/progress/"])
def test_an_odd_spelling_reaches_no_internal_route(ask, path):
    assert ask("public", path).status_code in {404, 308}


@pytest.mark.parametrize("port", ["internal", "public"])
def test_probes_are_answered_at_both_ports(ask, port):
    answer = ask(port, "/readyz")  # of a gateway that was not started
    assert answer.status_code == 503
    assert answer.json["away"] == ["map server"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"internal_bind": "0.0.0.0:8081"}, "http://127.0.0.1:8081"),
        ({"internal_bind": "10.0.0.7:8081"}, "http://10.0.0.7:8081"),
        ({"internal_bind": "[::]:8081"}, "http://[::1]:8081"),
        ({"internal_bind": "0.0.0.0:8081", "worker_url": "http://gateway/"}, "http://gateway"),
    ],
)
def test_workers_report_to_the_internal_port(given, expected):
    assert Settings(**given).progress_url == expected
