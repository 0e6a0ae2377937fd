"""`candela serve` says what is wrong in one sentence, and answers whoever else is connected."""

import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from candela.demo.gateway import LocalGateway, free_port


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "candela.cli", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("metadata.yaml", "title: [", "metadata.yaml: "),
        ("metadata.yaml", "title: x\ncolour: red", "colour"),
        ("pywps.cfg", "parallelprocesses = 2", "pywps.cfg: "),
    ],
)
def test_a_wrong_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, reason: str
) -> None:
    folder = tmp_path / "config"
    shutil.copytree(Path(__file__).parents[2] / "wps_config", folder)
    (folder / file).write_text(text)
    monkeypatch.setenv("CANDELA_CONFIG", str(folder))
    done = serve("--data", str(tmp_path / "data"), "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    database = "postgresql+psycopg://candela:secret@127.0.0.1:9/candela"
    done = serve("--data", str(tmp_path), "--database", database)
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


CAPABILITIES = "/wps?service=WPS&request=GetCapabilities"
ECHO = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo&RawDataOutput=literalOutput"


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET /wps?service=WPS HTTP/1.1\r\nHost: x\r\n",
        b"POST /wps HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 900\r\n\r\n<",
    ],
    ids=["silent", "half a header", "half a body"],
)
def test_a_gateway_answers_while_many_clients_stall(gateway: LocalGateway, first: bytes) -> None:
    address = urlsplit(gateway.url)
    with ExitStack() as stack:
        for _ in range(80):
            stalled = stack.enter_context(
                socket.create_connection((address.hostname, address.port))
            )
            stalled.sendall(first)
        for path in ("/readyz", CAPABILITIES):
            start = time.monotonic()
            assert requests.get(gateway.url + path, timeout=10).status_code == 200
            assert time.monotonic() - start < 1


def test_execute_by_a_long_address_is_answered(gateway: LocalGateway) -> None:
    text = "x" * 65_536
    answer = requests.get(f"{gateway.url}{ECHO}&DataInputs=literal={text}", timeout=60)
    assert (answer.status_code, answer.text) == (200, text)


def test_a_connection_goes_on_after_a_body_that_nobody_reads(gateway: LocalGateway) -> None:
    address = urlsplit(gateway.url)
    with closing(HTTPConnection(str(address.hostname), address.port, timeout=10)) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(3):
            connection.request("POST", "/jobs/none", body=bytes(2**20))
            with connection.getresponse() as answer:
                answer.read()
            assert answer.status == 405
            assert answer.headers.get("Connection") != "close"
            assert connection.sock is first


@pytest.mark.parametrize("path", ["/wps", "/ows", "/patches/annotations", "/jobs"])
def test_a_body_above_the_limit_is_refused_at_every_address(
    gateway: LocalGateway, path: str
) -> None:
    size = 60 * 2**20
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode())
        said = connection.recv(65536)  # before anything of the body was sent
    expected = b"HTTP/1.1 400 " if path == "/wps" else b"HTTP/1.1 413 "
    assert said.startswith(expected)


def test_a_second_gateway_on_one_folder_is_refused(gateway: LocalGateway) -> None:
    done = serve("--data", str(gateway.data), "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert f"{gateway.data} is used by another gateway ({gateway.url}, process " in done.stderr
    assert "Ctrl-C ends it" not in done.stderr
    assert "Traceback" not in done.stderr
    assert requests.get(f"{gateway.url}/readyz", timeout=10).status_code == 200


def test_a_port_that_is_taken_is_told_in_one_sentence(
    gateway: LocalGateway, tmp_path: Path
) -> None:
    done = serve("--data", str(tmp_path), "--url", gateway.url)
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("candela: ")]
    assert "cannot listen at " in said
    assert "another program listens there already" in said
    assert "Ctrl-C ends it" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("bind", ["127.0.0.1:x", "203.0.113.9:8080"])
def test_an_address_that_cannot_be_listened_at_is_refused(tmp_path: Path, bind: str) -> None:
    done = serve("--data", str(tmp_path), "--bind", bind)
    assert done.returncode == 1
    assert f"cannot listen at {bind!r}" in done.stderr or f"cannot listen at {bind}:" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_internal_port_has_what_the_public_one_no_longer_has(tmp_path: Path) -> None:
    bind = f"127.0.0.1:{free_port()}"
    variables = {"CANDELA_INTERNAL_BIND": bind}
    with LocalGateway(tmp_path, environment=variables) as gateway:
        assert requests.get(f"http://{bind}/metrics", timeout=10).status_code == 200
        assert requests.get(f"{gateway.url}/metrics", timeout=10).status_code == 404
        answer = requests.get(f"{gateway.url}{ECHO}&DataInputs=literal=a", timeout=60)
        assert answer.text == "a"
        told = requests.get(f"http://{bind}/metrics", timeout=10).text
    assert 'route="/jobs/<job_id>/progress",status="204"' in told
