"""Whose word on who asks counts, and what a name means."""

import pytest
from flask import Flask, request

from candela.gateway.access.identity import TrustedProxy, identify, principal_of
from candela.gateway.app import Gateway
from candela.gateway.front.request import PORT
from candela.jobs.principal import ANONYMOUS, SOLE_USER, SYSTEM, Principal, Role
from candela.settings import ConfigurationError, Settings

SECRET = "0123456789abcdef-é"
EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true"
)


@pytest.fixture
def owner(tmp_path):
    """Return a function that tells whose job it is that a request makes."""
    made = []

    def owner(headers, *, peer="10.1.2.3", **settings):
        gateway = Gateway.assemble(
            Settings(data=tmp_path, grace_s=0, owner_header="X-User", **settings)
        )
        made.append(gateway)
        http = gateway.application().test_client()
        answer = http.get(EXECUTE, headers=headers, environ_overrides={"REMOTE_ADDR": peer})
        assert answer.status_code == 200
        return gateway.jobs.store.jobs()[0].owner

    yield owner
    for gateway in made:
        gateway.stop()


@pytest.mark.parametrize(
    ("peer", "proof", "secret", "expected"),
    [
        ("127.0.0.1", None, "", "ann"),
        ("::1", None, "", "ann"),
        ("10.1.2.3", None, "", ""),
        ("", None, "", ""),
        ("10.1.2.3", SECRET, SECRET, "ann"),
        ("10.1.2.3", SECRET[:-1], SECRET, ""),
        ("127.0.0.1", None, SECRET, ""),
        ("127.0.0.1", "", SECRET, ""),
    ],
)
def test_who_asks_is_only_the_proxys_to_say(owner, peer, proof, secret, expected):
    headers = {"X-User": "ann"} | (
        {} if proof is None else {"X-Candela-Proxy": proof.encode().decode("latin-1")}
    )
    settings = {"proxy_secret": secret} if secret else {}
    assert owner(headers, peer=peer, **settings) == expected


def test_the_secret_is_read_from_a_file(owner, tmp_path):
    (tmp_path / "proof").write_text("0123456789abcdef\n")
    headers = {"X-User": "ann", "X-Candela-Proxy": "0123456789abcdef"}
    assert owner(headers, proxy_secret_file=tmp_path / "proof") == "ann"


@pytest.mark.parametrize("content", [None, "", "short"])
def test_a_secret_that_is_missing_or_short_is_refused_at_start(owner, tmp_path, content):
    path = tmp_path / "proof"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match="proxy"):
        owner({}, proxy_secret_file=path)


def test_a_gateway_in_a_cluster_believes_nobody_without_a_secret():
    with pytest.raises(ConfigurationError, match="needs a proxy_secret"):
        Settings.from_environment(
            runner="kubernetes", job_template="job.yaml", owner_header="X-User"
        )


def asked(headers, *, header="X-User", peer="127.0.0.1", port=None):
    """Return what a route finds out: who asks, and whether the header is still there."""
    app, found = Flask("identity"), []
    identify(app, TrustedProxy(header, operators=frozenset({"root"})))

    @app.get("/")
    def note():
        found.append((principal_of(request), "X-User" in request.headers))
        return ""

    answer = app.test_client().get(
        "/", headers=headers, environ_overrides={"REMOTE_ADDR": peer, PORT: port}
    )
    assert answer.status_code == 200
    return found[0]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-User": "ann"}, Principal("ann")),
        ({"X-User": "root"}, Principal("root", Role.OPERATOR)),
        ({"X-User": "Root"}, Principal("Root")),
        ({"X-User": ""}, ANONYMOUS),
        ({}, ANONYMOUS),
    ],
)
def test_a_name_is_an_owner_or_an_operator(headers, expected):
    assert asked(headers) == (expected, False)


def test_an_operator_may_have_any_letters(tmp_path):
    settings = Settings(data=tmp_path, owner_header="X-User", operators=("rené",))
    gateway = Gateway.assemble(settings)
    http = gateway.application().test_client()
    for name, status in (("rené", 200), ("ren", 404)):
        headers = {"X-User": name.encode().decode("latin-1")}
        assert http.get("/metrics", headers=headers).status_code == status
    gateway.stop()


def test_an_operator_elsewhere_than_at_the_proxy_is_anonymous():
    assert asked({"X-User": "root"}, peer="10.1.2.3") == (ANONYMOUS, False)


def test_where_no_header_names_anybody_there_is_one_user_who_sees_all():
    assert asked({"X-User": "ann"}, header="") == (SOLE_USER, True)
    assert SOLE_USER.sees("ann")
    assert SOLE_USER.scope is None


def test_the_internal_port_is_the_systems():
    assert asked({"X-User": "ann"}, port="internal") == (SYSTEM, False)


def test_a_name_that_is_too_long_is_refused_at_every_route(tmp_path):
    gateway = Gateway.assemble(Settings(data=tmp_path, owner_header="X-User"))
    http = gateway.application().test_client()
    for path in ("/jobs", "/wps?service=WPS&request=GetCapabilities", "/patches", "/layers.json"):
        answer = http.get(path, headers={"X-User": 201 * "a"})
        assert answer.status_code == 400
        assert "X-User has 201 characters" in answer.text
    gateway.stop()


@pytest.mark.parametrize("settings", [{"operators": ["ann"]}, {"operators": [""]}])
def test_operators_need_a_name_and_somebody_who_says_it(settings):
    header = {} if settings["operators"][0] else {"owner_header": "X-User"}
    with pytest.raises(ConfigurationError, match="operators"):
        Settings.from_environment(**settings, **header)


@pytest.mark.parametrize("folder", ["", "data", "data/storage", "data/storage/jobs"])
def test_inputs_are_not_read_from_where_jobs_of_owners_are_kept(tmp_path, folder):
    told = {"data": tmp_path / "data", "input_folders": [tmp_path / folder]}
    with pytest.raises(ConfigurationError, match="inputs may not be read from"):
        Gateway.assemble(Settings(**told, owner_header="X-User"))
    Gateway.assemble(Settings(**told)).stop()
    beside = {**told, "input_folders": [tmp_path / "data-of-all"]}
    Gateway.assemble(Settings(**beside, owner_header="X-User")).stop()
