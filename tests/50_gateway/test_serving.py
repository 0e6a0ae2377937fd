"""``candela serve``: options and variables become settings."""

import json

import pytest

from candela.cli import main
from candela.commands import serving
from candela.gateway.app import Gateway
from candela.settings import ConfigurationError, Settings


@pytest.fixture
def served(monkeypatch):
    """Return the settings that gateways are asked to serve with."""
    settings = []
    monkeypatch.setattr(serving, "serve", lambda given, _bind: settings.append(given))
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


@pytest.mark.parametrize("host", ["http://data.internal", "10.0.0.1/8", "a b"])
def test_what_is_no_host_is_refused_at_start(host):
    with pytest.raises(ConfigurationError, match="allowed_hosts"):
        Settings.from_environment(allowed_hosts=(host,))


def test_workers_are_told_where_inputs_may_be_read_from(tmp_path):
    settings = Settings(data=tmp_path, allowed_hosts=("data.internal",), input_folders=(tmp_path,))
    gateway = Gateway.assemble(settings)
    try:
        staging = gateway.dispatcher._staging
        assert staging.allowed_hosts == ("data.internal",)
        assert str(tmp_path) in staging.allowed_folders
    finally:
        gateway.stop()
