"""The front on real sockets: clients that are slow, many, large or strange."""

import hashlib
import json
import random
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from flask import Flask, send_file

from candela.errors import TooLargeError
from candela.gateway.front.limits import Budget, Deadlines, FrontLimits, Places
from candela.gateway.front.parts import send_parts_as_files
from candela.gateway.front.request import REFUSAL
from candela.gateway.front.worker import Front

QUICK = Deadlines(headers_s=0.6, idle_s=2, window_s=0.6, bytes_per_s=1000, linger_s=0.5)
LARGE = 24 * 2**20  # more than the buffers of sockets, and than is kept ahead of a reader


class Served:
    """A front around a small application."""

    def __init__(self, folder, application=None, **limits):
        self.file = folder / "large"
        self.file.write_bytes(b"\0" * LARGE)
        self.held = threading.Event()
        self.working, self.at_once = [], []
        self.budget = Budget(64 * 2**20)
        self.limits = FrontLimits(
            **{
                "body_bytes": 2**20,
                "threads": 4,
                "reserved_threads": 1,
                "deadlines": QUICK,
                "budget": self.budget,
                "readers": Places(2),
                "answer_bytes": 2**20,
                **limits,
            }
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        self._goes_on = True
        self.front = Front(
            application or self._answer, listener, is_reserved="/kept".__eq__, limits=self.limits
        )
        self._thread = threading.Thread(target=self.front.run, args=(lambda: self._goes_on, 1))
        self._thread.start()

    def stop(self):
        self._goes_on = False
        self.held.set()
        self.front.wake()
        self._thread.join()

    def _answer(self, environ, start_response):
        path = environ["PATH_INFO"]
        body = environ["wsgi.input"].read()
        if isinstance(environ.get(REFUSAL), TooLargeError):
            start_response("413 Content Too Large", [("Content-Length", "5")])
            return [b"large"]
        if environ.get(REFUSAL) is not None:
            start_response("503 Service Unavailable", [("Content-Length", "4")])
            return [b"busy"]
        if path == "/hold":
            self.held.wait(20)
        if path == "/file":
            start_response("200 OK", [("Content-Length", str(LARGE))])
            return environ["wsgi.file_wrapper"](self.file.open("rb"))
        if path == "/made":
            start_response("200 OK", [("Content-Length", str(LARGE))])
            return (bytes(2**16) for _ in range(LARGE // 2**16))
        if path == "/large":
            self.at_once.append(len(self.working))
            self.working.append(path)
            time.sleep(0.2)
            self.working.pop()
        told = {
            "path": path,
            "query": len(environ["QUERY_STRING"]),
            "script": environ["SCRIPT_NAME"],
            "body": hashlib.sha256(body).hexdigest(),
            "proto": environ["wsgi.url_scheme"],
            "forwarded": environ.get("HTTP_X_FORWARDED_FOR"),
        }
        text = json.dumps(told).encode()
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text]

    def connect(self):
        return socket.create_connection(self.address, timeout=15)

    def ask(self, path="/", *, headers="", body=b"", method="GET"):
        with self.connect() as connection:
            connection.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body
            )
            return read_answer(connection)


def read_answer(connection):
    """Return status, headers and body of an answer with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += (piece := connection.recv(65536))
        assert piece, data
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(2**20)
        if not piece:
            break
        body += piece
    return int(lines[0].split()[1]), headers, body


def ended_after(connection, *, at_most_s):
    """Return after how many seconds the server closed a connection."""
    start = time.monotonic()
    connection.settimeout(at_most_s)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - start


def nothing_is_kept(served):
    """Wait until nothing is kept for any client."""
    end = time.monotonic() + 5
    while served.budget.taken and time.monotonic() < end:
        time.sleep(0.01)
    return served.budget.taken == 0


@contextmanager
def connections(served, count, first=b"", **options):
    made = []
    try:
        for _ in range(count):
            connection = socket.socket()
            for option, value in options.items():
                connection.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
            connection.connect(served.address)
            connection.settimeout(15)
            connection.sendall(first)
            made.append(connection)
        yield made
    finally:
        for connection in made:
            connection.close()


@pytest.fixture
def front(tmp_path):
    served = Served(tmp_path)
    yield served
    served.stop()


@pytest.fixture
def make_front(tmp_path):
    made = []

    def make(application=None, **limits):
        made.append(Served(tmp_path, application, **limits))
        return made[-1]

    yield make
    for served in made:
        served.stop()


STALLED = {
    "idle": b"",
    "half a header": b"GET / HTTP/1.1\r\nHost: x\r\nX-",
    "half a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
    "half a chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf",
}


@pytest.mark.parametrize("first", STALLED.values(), ids=STALLED)
def test_connections_that_stall_hold_no_thread(make_front, first):
    front = make_front(deadlines=Deadlines())
    with connections(front, 60, first):
        start = time.monotonic()
        assert front.ask()[0] == 200
        assert time.monotonic() - start < 1


@pytest.mark.parametrize("first", STALLED.values(), ids=STALLED)
def test_a_connection_that_stalls_is_closed(front, first):
    with connections(front, 1, first) as (connection,):
        assert ended_after(connection, at_most_s=10) < 6


@pytest.mark.parametrize("first", [STALLED["half a header"], STALLED["half a body"]])
def test_a_byte_now_and_then_holds_a_connection_no_longer(front, first):
    with connections(front, 1, first) as (connection,):
        end = time.monotonic() + 10
        with pytest.raises(OSError):
            while time.monotonic() < end:
                connection.sendall(b"x")
                time.sleep(0.2)


@pytest.mark.parametrize("path", ["/file", "/made"])
def test_readers_that_read_nothing_are_cut_off_and_others_answered(front, path):
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with connections(front, 20, request, SO_RCVBUF=4096) as stalled:
        time.sleep(0.3)
        start = time.monotonic()
        assert front.ask()[0] == 200
        assert time.monotonic() - start < 1
        time.sleep(2)
        for connection in stalled:
            received = 0
            try:
                while piece := connection.recv(2**20):
                    received += len(piece)
            except ConnectionError:
                pass
            assert received < LARGE
    assert nothing_is_kept(front)


@pytest.mark.parametrize("path", ["/file", "/made"])
def test_a_reader_that_is_slow_but_reads_gets_all(front, path):
    with connections(front, 1, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) as (connection,):
        received = 0
        for _ in range(5):
            received += len(connection.recv(2**19))
            time.sleep(0.4)
        while received < LARGE:
            piece = connection.recv(2**20)
            assert piece
            received += len(piece)
        assert received > LARGE  # the headers too


def test_parts_of_a_file_hold_no_thread(make_front, tmp_path):
    app = Flask("parts")
    content = random.Random(1).randbytes(1000) + bytes(LARGE)
    (tmp_path / "part").write_bytes(content)
    app.add_url_rule("/", view_func=lambda: send_file(tmp_path / "part", conditional=True))
    send_parts_as_files(app)
    front = make_front(app, threads=1, readers=Places(0), deadlines=Deadlines())
    asks = b"GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=10-\r\n\r\n"
    with connections(front, 5, asks, SO_RCVBUF=4096):
        for first, last in ((0, 0), (10, 999), (500, LARGE)):
            status, headers, body = front.ask(headers=f"Range: bytes={first}-{last}\r\n")
            assert (status, headers["content-range"].split("/")[0]) == (
                206,
                f"bytes {first}-{last}",
            )
            assert body == content[first : last + 1]


def test_a_request_may_be_worked_on_longer_than_any_client_may_take(front):
    with connections(front, 1, b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n") as (connection,):
        time.sleep(2.5)
        front.held.set()
        assert read_answer(connection)[0] == 200


def test_reserved_paths_are_answered_while_all_threads_are_at_work(front):
    with connections(front, 8, b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"):
        time.sleep(0.2)
        assert front.ask("/kept")[0] == 200


def test_of_too_many_connections_those_that_wait_longest_go(make_front):
    front = make_front(connections=100, deadlines=Deadlines())
    with connections(front, 300):
        assert front.ask()[0] == 200


def test_an_address_of_64_kib_is_taken_and_one_of_1_mib_refused(front):
    status, _, body = front.ask(f"/?x={'y' * 65_536}")
    assert (status, json.loads(body)["query"]) == (200, 65_538)
    assert front.ask(f"/?x={'y' * 2**20}")[0] == 431


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_is_taken_up_to_the_limit(front, is_chunked):
    body = b"x" * 2**20
    headers = f"Content-Length: {len(body)}\r\n"
    sent = body
    if is_chunked:
        headers, sent = "Transfer-Encoding: chunked\r\n", b"100000\r\n" + body + b"\r\n0\r\n\r\n"
    status, _, told = front.ask(method="POST", headers=headers, body=sent)
    assert (status, json.loads(told)["body"]) == (200, hashlib.sha256(body).hexdigest())
    assert nothing_is_kept(front)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_above_the_limit_is_refused_and_the_client_reads_why(front, is_chunked):
    size = 30 * 2**20
    headers = f"Content-Length: {size}\r\n"
    if is_chunked:
        headers = "Transfer-Encoding: chunked\r\n"
    with front.connect() as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        piece = b"100000\r\n" + b"x" * 2**20 + b"\r\n" if is_chunked else b"x" * 2**20
        for _ in range(size // 2**20):
            connection.sendall(piece)  # all of it, as clients do that read afterwards
        status, told, body = read_answer(connection)
        assert (status, told["connection"], body) == (413, "close", b"large")
    assert front.ask()[0] == 200
    assert nothing_is_kept(front)


def test_what_describes_a_chunk_is_bounded(front):
    with front.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"1;" + 100_000 * b"x")
        assert read_answer(connection)[0] == 413


@pytest.mark.parametrize(
    "chunks",
    [b"xyz\r\nbody\r\n", b"-4\r\nbody\r\n", b"0x4\r\nbody\r\n", b"+4\r\nbody\r\n",
     b"4\r\nbody and more\r\n", b"4;x=\n\r\nbody\r\n"],
)  # fmt: skip
def test_chunks_that_are_not_what_they_say_are_400(front, chunks):
    status, headers, said = front.ask(
        method="POST", headers="Transfer-Encoding: chunked\r\n", body=chunks + b"0\r\n\r\n"
    )
    assert (status, headers["connection"]) == (400, "close")
    assert b"Traceback" not in said
    assert front.ask()[0] == 200


def test_a_client_that_asks_before_it_sends_a_body_is_told(front):
    ask = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n"
    with front.connect() as connection:
        connection.sendall(ask.format(3).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"abc")
        assert read_answer(connection)[0] == 200
    with front.connect() as connection:
        connection.sendall(ask.format(2**30).encode())
        assert read_answer(connection)[0] == 413


def test_bodies_in_flight_are_bounded(make_front):
    front = make_front(budget=Budget(2**20), deadlines=Deadlines())
    half = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(500_000)
    with connections(front, 2, half):
        time.sleep(0.3)
        body = bytes(900_000)
        headers = f"Content-Length: {len(body)}\r\n"
        status, _, said = front.ask(method="POST", headers=headers, body=body)
        assert (status, said) == (503, b"busy")
    time.sleep(0.3)
    assert front.ask(method="POST", headers=headers, body=body)[0] == 200


def test_large_bodies_are_worked_on_one_after_the_other_and_hold_no_thread(make_front):
    front = make_front(body_bytes=2**22, threads=2)
    large = b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n" + bytes(2**21)
    with connections(front, 5, large) as senders:
        start = time.monotonic()
        assert front.ask()[0] == 200
        assert time.monotonic() - start < 0.5
        assert [read_answer(sender)[0] for sender in senders] == [200] * 5
    assert front.at_once == [0] * 5
    assert nothing_is_kept(front)


def test_a_connection_is_kept_for_the_next_request(front):
    with front.connect() as connection:
        for _ in range(3):
            connection.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)
            )
            status, headers, _ = read_answer(connection)
            assert (status, headers.get("connection")) == (200, None)


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\n\r\nno number\r\n",
        "X : y\r\n",
        "X\rY: z\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_nothing_after_it_is_a_request(front, head):
    smuggled = b"\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with front.connect() as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{head}".encode() + smuggled)
        connection.settimeout(10)
        said = b""
        try:
            while piece := connection.recv(65536):
                said += piece
        except ConnectionError:
            pass
    assert b"smuggled" not in said
    assert b"HTTP/1.1 500" not in said


def test_headers_of_a_proxy_change_nothing(front):
    headers = "SCRIPT_NAME: /metrics\r\nScript-Name: /a\r\nX-Forwarded-For: 9.9.9.9\r\n"
    status, _, body = front.ask("/b", headers=headers + "X-Forwarded-Proto: https\r\n")
    told = json.loads(body)
    assert status == 200
    assert (told["path"], told["script"], told["proto"], told["forwarded"]) == (
        "/b", "", "http", None,
    )  # fmt: skip


def test_a_front_that_has_ended_can_still_be_woken(tmp_path):
    served = Served(tmp_path)
    served.stop()
    with (tmp_path / "other").open("wb") as other:  # which may get the number of the trigger
        served.front.wake()
        other.flush()
        assert (tmp_path / "other").read_bytes() == b""
    served.front.wake()
