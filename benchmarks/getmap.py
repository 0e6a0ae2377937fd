"""How many GetMap requests a second the embedded map server answers.

    python benchmarks/getmap.py [--seconds 5] [--clients 4] [--side 4096]

Two rasters with overviews, as the processes make them, are published: a change map (one float32
band in classes) and an image (three uint16 bands in true colour). Clients on kept-alive
connections ask for 256 x 256 pixels at random places and scales: directly from lighttpd and
MapServer, and through the gateway's route /ows/<layer>/wms under gunicorn. Clients and servers
share the machine.
"""

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
import psutil
import rasterio
from affine import Affine
from flask import Flask
from gunicorn.app.base import BaseApplication
from rasterio.warp import transform_bounds
from scipy.ndimage import gaussian_filter

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import add_overviews, create_image
from candela.gateway.maps.ows import ows_blueprint
from candela.publish.base import Layer
from candela.publish.mapserver import MapServerPublisher
from candela.publish.server import LOOPBACK

ORIGIN = (600_000.0, 5_400_000.0)
PIXEL_M = 10.0
CRS = "EPSG:32632"
PICTURE = 256
THREADS = 16


def make_layers(folder: Path, side: int) -> list[Layer]:
    """Write a change map and an image of smooth noise."""
    transform = Affine(PIXEL_M, 0, ORIGIN[0], 0, -PIXEL_M, ORIGIN[1])
    grid = Grid(rasterio.crs.CRS.from_string(CRS), transform, Shape(side, side))
    noise = gaussian_filter(np.random.default_rng(1).normal(size=(side, side)), 3)
    change = np.clip((noise - noise.min()) / np.ptp(noise), 0.001, 1).astype("float32")
    with create_image(
        folder / "change.tif", grid, dtype="float32", nodata=np.nan, bands=["change"]
    ) as dataset:
        dataset.write(change, 1)
    names = ["B02", "B03", "B04"]
    with create_image(folder / "image.tif", grid, dtype="uint16", nodata=0, bands=names) as dataset:
        for index in (1, 2, 3):
            dataset.write((change * 1000 * index + 1).astype("uint16"), index)
    layers = []
    for name, style in (("change", "change"), ("image", "true_colour")):
        add_overviews(folder / f"{name}.tif")
        layers.append(Layer(f"bench_1_{name}", "bench", folder / f"{name}.tif", name, "", style))
    return layers


class Server(BaseApplication):
    """The gateway's map routes under gunicorn, set up like the gateway."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        super().__init__()

    def load_config(self) -> None:
        options = {
            "bind": f"{LOOPBACK}:{self.port}", "worker_class": "gthread", "threads": THREADS,
            "loglevel": "warning", "keepalive": 5, "control_socket_disable": True,
        }  # fmt: skip
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        app = Flask("bench")
        publisher = MapServerPublisher(self.folder, f"http://{LOOPBACK}:{self.port}")
        publisher.start()
        app.register_blueprint(ows_blueprint(publisher))
        return app


def random_query(layer: str, crs: str, side: int) -> str:
    """Return a GetMap request at a random place, at one of five scales."""
    width = min(side, PICTURE * 2 ** random.randrange(5)) * PIXEL_M
    room = side * PIXEL_M - width
    left, top = ORIGIN[0] + random.random() * room, ORIGIN[1] - random.random() * room
    box = (left, top - width, left + width, top)
    if crs != CRS:
        box = transform_bounds(CRS, crs, *box)
    return urlencode(
        {
            "service": "WMS", "version": "1.3.0", "request": "GetMap", "layers": layer,
            "styles": "", "crs": crs, "bbox": ",".join(map(str, box)), "width": PICTURE,
            "height": PICTURE, "format": "image/png", "transparent": "true",
        }
    )  # fmt: skip


def cpu_seconds(server: psutil.Process) -> float:
    """Return what the server and its children have used so far."""
    processes = [server, *server.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def measure(
    url: str, queries: Callable[[], str], seconds: float, clients: int, server: psutil.Process
) -> dict:
    """Ask for pictures from several threads and count them."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    def ask() -> None:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        joint = "&" if address.query else "?"
        path = address.path + (f"?{address.query}" if address.query else "")
        while time.perf_counter() < end:
            began = time.perf_counter()
            connection.request("GET", f"{path}{joint}{queries()}")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or not body.startswith(b"\x89PNG"):
                raise RuntimeError(f"status {answer.status}: {body[:300]!r}")
            times.append(time.perf_counter() - began)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    used = cpu_seconds(server)
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "requests": len(times),
        "per_second": round(len(times) / (time.perf_counter() - began), 1),
        "server_cpu_ms": round(1000 * (cpu_seconds(server) - used) / len(times), 1),
        "p50_ms": round(1000 * statistics.median(times), 1),
        "p95_ms": round(1000 * statistics.quantiles(times, n=20)[-1], 1),
    }


def compare(folder: Path, port: int, server: psutil.Process, arguments: argparse.Namespace) -> None:
    """Measure both ways for both layers in two coordinate systems, a line of JSON each."""
    publisher = MapServerPublisher(folder / "state", f"http://{LOOPBACK}:{port}")
    for layer in make_layers(folder, arguments.side):
        if arguments.style not in {"", layer.style}:
            continue
        links = publisher.publish(layer)
        target = publisher.target([layer.name], "wms")
        direct = f"http://{LOOPBACK}:{target.port}/?{urlencode({'map': target.mapfile})}"
        for crs in (CRS, "EPSG:3857"):
            # Made beforehand: the client should cost as little as it can.
            pool = [random_query(layer.name, crs, arguments.side) for _ in range(500)]
            for way, url in (("direct", direct), ("gateway", links.wms)):
                ask = lambda pool=pool: random.choice(pool)  # noqa: E731
                measure(url, ask, 0.5, arguments.clients, server)  # to warm up
                result = measure(url, ask, arguments.seconds, arguments.clients, server)
                print(json.dumps({"layer": layer.style, "crs": crs, "way": way} | result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--side", type=int, default=4096, help="of the rasters, in pixels")
    parser.add_argument("--style", default="", help="change or true_colour; by default both")
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        sys.argv = sys.argv[:1]  # gunicorn reads it too
        Server(Path(arguments.serve[0]), int(arguments.serve[1])).run()
        return
    print(json.dumps({"cpus": os.cpu_count(), **vars(arguments)}))
    port = 18_231
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(folder / "state"), str(port)]
        )
        try:
            wait_for(port)
            compare(folder, port, psutil.Process(server.pid), arguments)
        finally:
            server.terminate()
            server.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
            connection.request("GET", "/ows")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the gateway did not start")


if __name__ == "__main__":
    main()
