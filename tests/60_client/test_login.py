"""A gateway behind a proxy that lets nobody in without a token."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from candela.cli import main
from candela.client import AccessDeniedError, Client
from candela.client.inputs import INLINE_BYTES
from candela.demo.gateway import LocalGateway

TOKEN = "correct-horse-battery-staple"
PASSED_ON = ("Content-Type", "Range", "Accept", "Idempotency-Key", "Candela-Title", "Prefer")
PASSED_BACK = ("Content-Type", "Content-Range", "Location", "Upload-Offset", "ETag")


@dataclass
class Proxy:
    """The proxy: what it let in, and what not."""

    url: str = ""
    admitted: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)


@pytest.fixture
def proxy(gateway: LocalGateway) -> Iterator[Proxy]:
    """Pass on requests with the token; answers name the proxy's address, not the gateway's."""
    proxy = Proxy()

    class PassOn(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = f"{self.command} {self.path}"
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                proxy.denied.append(asked)
                self.send_error(401)
                return
            proxy.admitted.append(asked)
            headers = {
                name: value
                for name, value in self.headers.items()
                if name in PASSED_ON or name.startswith(("Upload-", "Tus-"))
            }
            answer = requests.request(
                self.command,
                gateway.url + self.path,
                data=body.replace(proxy.url.encode(), gateway.url.encode()),
                headers=headers,
                timeout=60,
            )
            content = answer.content.replace(gateway.url.encode(), proxy.url.encode())
            self.send_response(answer.status_code)
            for name in PASSED_BACK:
                if name in answer.headers:
                    self.send_header(name, answer.headers[name].replace(gateway.url, proxy.url))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), PassOn)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield proxy
    server.shutdown()
    server.server_close()
    thread.join()


def test_whatever_a_client_does_it_does_with_its_token(proxy: Proxy, tmp_path: Path) -> None:
    large = tmp_path / "large.xml"
    large.write_text(f"<a>{os.urandom(INLINE_BYTES).hex()}</a>")
    with Client(proxy.url, token=TOKEN, files="inline") as client:
        assert "Echo" in [process.identifier for process in client.processes()]
        job = client.execute("Echo", title="behind a login", complex=large, literal="hi").wait()
        assert (
            job.outputs["complexOutput"].save(tmp_path / "back.xml").stat().st_size > INLINE_BYTES
        )
        assert "Echo" in job.log()
        assert job.id in [each.id for each in client.jobs()]
        again = client.job(f"{proxy.url}/wps/status/{job.id}").wait(timeout_s=10)
        assert again.outputs["literalOutput"].value == "hi"
        job.dismiss()
    assert proxy.denied == []
    methods = {asked.partition(" ")[0] for asked in proxy.admitted}
    assert methods == {"GET", "POST", "PATCH", "DELETE"}


def test_commands_are_let_in_with_the_token_of_the_environment(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANDELA_URL", proxy.url)
    monkeypatch.setenv("CANDELA_TOKEN", TOKEN)
    assert main(["execute", "Echo", "literal=hi", "--save", str(tmp_path)]) == 0
    assert (tmp_path / "literalOutput.txt").read_text() == "hi"
    assert main(["describe", "Echo"]) == 0
    assert proxy.denied == []


def test_nobody_is_let_in_without_the_token(
    proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    for token in (None, "another"):
        with (
            Client(proxy.url, token=token) as client,
            pytest.raises(AccessDeniedError, match="are missing or wrong"),
        ):
            client.execute("Echo", literal="hi")
    assert main(["jobs", "--url", proxy.url]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"candela: HTTP 401 Unauthorized (the credentials for {proxy.url} are")
    assert proxy.admitted == []
