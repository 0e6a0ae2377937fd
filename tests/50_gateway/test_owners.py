"""Whose word on who asks counts."""

import pytest

from candela.gateway.app import Gateway
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
