"""Which gateway a command asks, and as whom."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from webserver import Answer, Web, web_server

from candela.cli import main
from candela.commands.connection import connect
from candela.demo.gateway import LocalGateway

SECRET = "correct-horse-battery-staple"
JOBS = "/jobs?limit=20"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CANDELA_URL", "CANDELA_TOKEN", "CANDELA_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def own() -> Iterator[Web]:
    with web_server() as web:
        web.serve(JOBS, Answer(b'{"jobs": []}'))
        yield web


def sent(web: Web) -> list[str | None]:
    return [asked.headers.get("Authorization") for asked in web.asked]


@pytest.mark.parametrize("place", range(3))
def test_a_token_comes_from_a_file(own: Web, tmp_path: Path, place: int) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    words = ["jobs", "--url", own.url]
    words[place:place] = ["--token-file", str(tmp_path / "token")]
    if place == 2:  # not between an option and its value
        words = ["jobs", "--token-file", str(tmp_path / "token"), "--url", own.url]
    assert main(words) == 0
    assert sent(own) == [f"Bearer {SECRET}"]


def test_a_token_comes_from_the_environment(
    own: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("CANDELA_URL", own.url)
    monkeypatch.setenv("CANDELA_TOKEN_FILE", str(tmp_path / "token"))
    assert main(["jobs"]) == 0
    monkeypatch.setenv("CANDELA_TOKEN", SECRET)
    assert main(["jobs"]) == 0
    (tmp_path / "other").write_text("other")
    assert main(["jobs", "--token-file", str(tmp_path / "other")]) == 0
    assert sent(own) == ["Bearer from-file", f"Bearer {SECRET}", "Bearer other"]


def test_the_token_of_the_environment_is_for_its_gateway_alone(
    own: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDELA_TOKEN", SECRET)
    monkeypatch.setenv("CANDELA_URL", "https://eo.example.org")
    assert main(["jobs", "--url", own.url]) == 0
    monkeypatch.setenv("CANDELA_URL", f"{own.url}/elsewhere")
    assert main(["jobs", "--url", own.url]) == 0
    monkeypatch.delenv("CANDELA_URL")
    assert main(["jobs", "--url", own.url]) == 0
    assert sent(own) == [None, f"Bearer {SECRET}", f"Bearer {SECRET}"]


@pytest.mark.parametrize(
    ("content", "code", "sentence"), [(None, 1, "No such file"), ("", 2, "the token is empty")]
)
def test_a_token_file_without_a_token_is_one_sentence(
    own: Web,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    code: int,
    sentence: str,
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    assert main(["jobs", "--url", own.url, "--token-file", str(tmp_path / "token")]) == code
    assert sentence in capsys.readouterr().err
    assert own.asked == []


def test_a_hint_names_the_file_of_the_token_and_no_token(
    gateway: LocalGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(SECRET)
    options = ["--url", gateway.url, "--token-file", str(tmp_path / "token")]
    assert main(["execute", "Echo", "literal=hi", *options]) == 0
    said = "".join(capsys.readouterr()).replace("\n", " ")
    assert f"--url {gateway.url} --token-file {tmp_path / 'token'}" in said
    assert SECRET not in said


def test_no_representation_has_the_token_or_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDELA_TOKEN", SECRET)
    connection = connect(f"http://eve:{SECRET}@127.0.0.1:9", None)
    assert SECRET not in repr(connection) + connection.hint


@pytest.mark.parametrize("address", ["http://127.0.0.1:x", "http://[::1:8080", "http://a:b@[::1"])
def test_an_address_that_cannot_be_read_is_one_sentence(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "--url", address]) == 2
    said = capsys.readouterr().err
    assert "an address cannot be read" in said
    assert said.count("\n") == 1


def test_who_is_not_let_in_is_told(
    own: Web, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {"Content-Type": "application/problem+json"}
    own.serve(JOBS, Answer(b'{"title": "Unauthorized", "detail": "log in"}', 401, problem))
    assert main(["jobs", "--url", own.url]) == 2
    assert "log in" in capsys.readouterr().err
