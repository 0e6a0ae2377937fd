"""How fast the gateway answers and accepts, beside PyWPS's own engine.

    python benchmarks/gateway.py [--seconds 5] [--clients 2]

Both run under gunicorn with one process of eight threads on this machine, which the clients share:
ours behind the event loop of the gateway (--front gthread: without it), PyWPS in gthread.
"Accept" is an asynchronous Execute: here the job is on disk before it is answered. No job is
started meanwhile, so that accepting alone is measured. PyWPS answers a synchronous Execute of an
echo, since its asynchronous one loses jobs under such a load.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from gunicorn.app.base import BaseApplication

from candela.demo.gateway import free_port
from candela.gateway.access.ports import is_reserved
from candela.gateway.app import Gateway
from candela.gateway.front.limits import FrontLimits
from candela.gateway.front.worker import FrontWorker
from candela.memory import keep_no_large_blocks
from candela.settings import Settings

CAPABILITIES = "/wps?service=WPS&request=GetCapabilities"
EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier={echo}&DataInputs=literal=hello"
)
ASYNC = "&storeExecuteResponse=true&status=true"


class Server(BaseApplication):
    """gunicorn around an application that is made in the worker process."""

    def __init__(self, make, port, worker_class):
        self._make = make
        self._port = port
        self._worker_class = worker_class
        super().__init__()

    def load_config(self):
        for name, value in {
            "bind": f"127.0.0.1:{self._port}",
            "workers": 1,
            "worker_class": self._worker_class,
            "threads": 8,
            "loglevel": "error",
            "control_socket_disable": True,
        }.items():
            self.cfg.set(name, value)

    def load(self):
        keep_no_large_blocks()
        return self._make()

    def front_options(self, _app):
        """Return what our front wants to know."""
        return FrontLimits(body_bytes=50 * 2**20, threads=8, reserved_threads=1), is_reserved


def make_candela(folder, port):
    """Return our application, with a dispatcher that is not started."""
    settings = Settings(url=f"http://127.0.0.1:{port}", data=Path(folder), grace_s=0)
    gateway = Gateway.assemble(settings)
    limits = gateway.jobs.limits.model_copy(update={"queued_jobs": 10**9})
    object.__setattr__(gateway.jobs, "limits", limits)
    return gateway.application()


def make_pywps(folder):
    """Return PyWPS's service with as many processes as ours, one of them an echo."""
    import pywps
    from pywps import configuration

    def process(name):
        def echo(request, response):
            response.outputs["literalOutput"].data = request.inputs["literal"][0].data
            return response

        return pywps.Process(
            echo,
            name,
            "Echo for conformance tests",
            abstract="Returns its inputs unchanged.",
            inputs=[pywps.LiteralInput("literal", "A text", data_type="string")],
            outputs=[pywps.LiteralOutput("literalOutput", "The text", data_type="string")],
            store_supported=True,
            status_supported=True,
        )

    service = pywps.Service([process(name) for name in ("Echo", "Echo2", "Echo3", "Echo4")])
    configuration.CONFIG.set("server", "workdir", folder)
    configuration.CONFIG.set("server", "outputpath", folder)
    configuration.CONFIG.set("logging", "database", f"sqlite:///{folder}/pywps.db")
    configuration.CONFIG.set("logging", "level", "ERROR")
    return service


@contextmanager
def served_folder(kind: str, folder: str, front: str = "ours") -> Iterator[tuple[str, int]]:
    """Serve one of the two in a process of its own; give its address and pid."""
    port = free_port()
    command = [sys.executable, __file__, "--front", front, "--serve", kind, folder, str(port)]
    server = subprocess.Popen(command)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_up(url)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait()


@contextmanager
def served(kind: str, front: str) -> Iterator[str]:
    """Serve one of the two from an empty folder."""
    with tempfile.TemporaryDirectory() as folder, served_folder(kind, folder, front) as (url, _):
        yield url


def wait_until_up(url: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            ask(connect(url), CAPABILITIES)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"no server at {url}")


def connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)


def ask(connection: http.client.HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise SystemExit(f"{path}: {response.status} {body[:300]!r}")


def measure(url: str, path: str, *, seconds: float, clients: int) -> dict[str, float]:
    """Ask again and again on kept-alive connections; return requests a second and latencies."""
    times: list[float] = []
    end = time.monotonic() + seconds

    def client() -> None:
        connection = connect(url)
        while time.monotonic() < end:
            start = time.perf_counter()
            ask(connection, path)
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - start
    ordered = sorted(times)
    return {
        "requests_per_s": round(len(times) / elapsed, 1),
        "p50_ms": round(1000 * statistics.median(ordered), 2),
        "p95_ms": round(1000 * ordered[int(0.95 * (len(ordered) - 1))], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--clients", type=int, default=2, help="connections at the same time")
    parser.add_argument(
        "--front", choices=["ours", "gthread"], default="ours", help="of the gateway"
    )
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        kind, folder, port = options.serve
        make = {"candela": lambda: make_candela(folder, port), "pywps": lambda: make_pywps(folder)}
        front = options.front if kind == "candela" else "gthread"
        Server(make[kind], int(port), FrontWorker if front == "ours" else front).run()
        return
    load = {"seconds": options.seconds, "clients": options.clients}
    results = {}
    for kind, execute in (("candela", EXECUTE + ASYNC), ("pywps", EXECUTE)):
        with served(kind, options.front) as url:
            results[kind] = {
                "capabilities": measure(url, CAPABILITIES, **load),
                "execute": measure(url, execute.format(echo="Echo"), **load),
            }
    for name in ("capabilities", "execute"):
        ours, theirs = (results[kind][name]["requests_per_s"] for kind in ("candela", "pywps"))
        results[f"{name}_ratio"] = round(ours / theirs, 1)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
