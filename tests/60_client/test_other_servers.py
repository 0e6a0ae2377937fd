"""A WPS 1.0.0 that has nothing beside it: no job list, no JSON."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from candela.client import Client, JobFailedError, NotOfferedError, Status
from candela.demo.gateway import LocalGateway


@pytest.fixture
def plain(gateway: LocalGateway) -> Iterator[Client]:
    """Pass on what is for the WPS, and nothing else."""

    class PassOn(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on("GET", b"")

        def do_POST(self) -> None:
            self._pass_on("POST", self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, method: str, body: bytes) -> None:
            if not self.path.startswith("/wps"):
                self.send_error(404)
                return
            answer = requests.request(
                method,
                gateway.url + self.path,
                data=body,
                headers={"Content-Type": "text/xml"},
                timeout=30,
            )
            content = answer.content.replace(gateway.url.encode(), base.encode())
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), PassOn)
    base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with Client(base) as client:
        yield client
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_job_is_followed_by_its_status_document(plain: Client) -> None:
    seen: list[Status] = []
    job = plain.execute("Echo", literal="plain", numbers=[1, 2], pause=3)
    job.wait(on_status=lambda info: seen.append(info.status), timeout_s=60)
    assert Status.RUNNING in seen
    assert seen[-1] is Status.SUCCEEDED
    assert job.outputs["literalOutput"].value == "plain"
    assert job.outputs["sum"].value == "3.0"


def test_what_the_server_lacks_is_told(plain: Client) -> None:
    job = plain.execute("Echo", literal="plain").wait()
    with pytest.raises(NotOfferedError):
        job.log()
    with pytest.raises(NotOfferedError):
        job.dismiss()
    with pytest.raises(NotOfferedError):
        plain.jobs()


def test_a_failure_has_its_reason_and_the_input_to_blame(plain: Client) -> None:
    job = plain.execute("ExtractInfo", images=["http://127.0.0.1:9/none.tif"])
    with pytest.raises(JobFailedError) as caught:
        job.wait(timeout_s=60)
    assert caught.value.message
