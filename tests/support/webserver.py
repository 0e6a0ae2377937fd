"""A web server on loopback whose answers a test decides."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Answer:
    """What the server sends."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    declared: int | None = None  # Content-Length; -1: none
    hold_s: float = 0.0  # how long to wait before the body
    gives_parts: bool = False  # whether a Range is answered with 206

    def part(self, wanted: str) -> "Answer":
        """Answer a Range header."""
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        body = self.body[first : last + 1]
        told = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(self.body)}"}
        return Answer(body, 206, self.headers | told)


@dataclass(frozen=True)
class Asked:
    """What the server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """The server: by path, one answer after the other (the last one stays)."""

    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def serve(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return self.url + path


@contextmanager
def web_server(host: str = "127.0.0.1", certificate: Path | None = None) -> Iterator[Web]:
    """Run a server on a free port, of the loopback unless told otherwise; with TLS if it can."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            served.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            answers = served.answers.get(self.path) or [Answer(status=404)]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer.gives_parts and "Range" in self.headers:
                answer = answer.part(self.headers["Range"])
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            declared = len(answer.body) if answer.declared is None else answer.declared
            if declared >= 0:
                self.send_header("Content-Length", str(declared))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.flush()
            time.sleep(answer.hold_s)
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            self.close_connection = True

        do_HEAD = do_POST = do_GET  # noqa: N815 - the names that http.server wants

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if certificate else "http"
    served = Web(f"{scheme}://{host}:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
