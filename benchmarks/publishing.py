"""How long publishing takes, and how fast maps are while there are many layers.

    python benchmarks/publishing.py [--layers 1000] [--rate 50] [--seconds 10] [--double]

Layers are published, listed, asked for and removed on the embedded MapServer behind the gateway's
route under gunicorn; they show change maps of 512 x 512 pixels with dates, so that all of one
process are a time series, too: with every new one its index is written anew. Then clients ask for
256 x 256 pixels of random layers at a fixed rate, whether or not the answers keep up, first alone,
then while layers are published and removed: an answer that is neither a picture nor, for a layer
that is gone, a 404 counts as an error, and a layer that is still served after its removal as
stale. Times count from when a request was due.

With --double layers are published on the double of GeoServer that the tests use, listed, styled
anew and removed: what is measured is the client and the number of its calls, not a GeoServer.
"""

import argparse
import dataclasses
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import getmap
import numpy as np
import rasterio
from affine import Affine

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import add_overviews, create_image
from candela.publish.base import Layer
from candela.publish.mapserver import MapServerPublisher
from candela.publish.server import LOOPBACK

SIDE = 512
RASTERS = 20
PROCESSES = 10
PORT = 18_233
CLIENTS = 16


def make_rasters(folder: Path) -> list[Path]:
    """Write change maps of different dates."""
    transform = Affine(getmap.PIXEL_M, 0, getmap.ORIGIN[0], 0, -getmap.PIXEL_M, getmap.ORIGIN[1])
    grid = Grid(rasterio.crs.CRS.from_string(getmap.CRS), transform, Shape(SIDE, SIDE))
    random_values = np.random.default_rng(1)
    paths = []
    for number in range(RASTERS):
        path = folder / f"change_{number}.tif"
        with create_image(path, grid, dtype="float32", nodata=np.nan, bands=["change"]) as dataset:
            dataset.write(random_values.uniform(0.001, 1, (SIDE, SIDE)).astype("float32"), 1)
            dataset.update_tags(End_date=f"2020{number // 2 + 1:02}{number % 2 * 14 + 1:02}")
        add_overviews(path)
        paths.append(path)
    return paths


def make_layer(number: int, paths: list[Path]) -> Layer:
    process = f"Process{number % PROCESSES}"
    return Layer(
        f"{process}_{number}_change", f"job-{number}", paths[number % len(paths)],
        f"Change {number}", "", "change", process=process, output="change",
    )  # fmt: skip


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - began)


def told(what: str, times: list[float], **more: object) -> None:
    print(
        json.dumps(
            {
                "what": what,
                "count": len(times),
                "p50_ms": round(statistics.median(times), 1),
                "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1) if times[1:] else None,
                "max_ms": round(max(times), 1),
                "load": round(os.getloadavg()[0], 1),
                **more,
            }
        ),
        flush=True,
    )


class Clients:
    """Ask at a fixed rate, on kept-alive connections."""

    def __init__(self) -> None:
        self._local = threading.local()

    def ask(self, path: str, due: float) -> tuple[float, int, bytes]:
        """Return the time since the request was due in ms, the status and the answer."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(LOOPBACK, PORT, timeout=60)
            self._local.connection = connection
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return 1000 * (time.perf_counter() - due), answer.status, body

    def keep_asking(
        self, paths: Callable[[], str], rate: float, seconds: float
    ) -> list[tuple[str, float, int, bytes]]:
        results = []
        with ThreadPoolExecutor(CLIENTS) as pool:
            start = time.perf_counter() + 0.1
            for number in range(int(rate * seconds)):
                due = start + number / rate
                time.sleep(max(0.0, due - time.perf_counter()))
                path = paths()
                results.append((path, pool.submit(self.ask, path, due)))
        return [(path, *future.result()) for path, future in results]


def getmap_path(publisher: MapServerPublisher, name: str, crs: str) -> str:
    query = getmap.random_query(name, crs, SIDE)
    return f"{urlsplit(publisher.links(name).wms).path}?{query}"


def publish_all(publisher: MapServerPublisher, layers: list[Layer]) -> None:
    times = [timed(lambda layer=layer: publisher.publish(layer)) for layer in layers]
    told("publish, first 100", times[:100])
    told("publish, last 100", times[-100:], layers=len(layers))
    told("list", [timed(publisher.layers) for _ in range(5)], layers=len(layers))
    query = urlencode({"service": "WMS", "request": "GetCapabilities"})
    ask = Clients()
    answers = [ask.ask(f"/ows?{query}", time.perf_counter()) for _ in range(5)]
    told("GetCapabilities of all layers", [ms for ms, *_ in answers], bytes=len(answers[0][2]))


def serve_steadily(
    publisher: MapServerPublisher, layers: list[Layer], rate: float, seconds: float
) -> None:
    for crs in (getmap.CRS, "EPSG:3857"):
        answers = Clients().keep_asking(
            lambda crs=crs: getmap_path(publisher, random.choice(layers).name, crs), rate, seconds
        )
        errors = sum(not body.startswith(b"\x89PNG") for *_, body in answers)
        told(f"GetMap, {crs}", [ms for _, ms, *_ in answers], rate=rate, errors=errors)


def serve_while_layers_change(
    publisher: MapServerPublisher, paths: list[Path], first: int, rate: float, seconds: float
) -> None:
    """Publish and remove while maps are asked for; no error, and nothing stale."""
    alive: dict[str, float] = {}  # name -> when it was removed, or infinity
    stop = threading.Event()
    times: list[float] = []

    def change() -> None:
        number = first
        while not stop.is_set():
            layer = make_layer(number, paths)
            times.append(timed(lambda layer=layer: publisher.publish(layer)))
            alive[layer.name] = float("inf")
            number += 1
            if number - first > 20:
                old = make_layer(number - 21, paths)
                publisher.remove(old.job_id)
                alive[old.name] = time.perf_counter()

    changer = threading.Thread(target=change)
    changer.start()
    while not alive:
        time.sleep(0.01)
    asked: list[tuple[str, float]] = []

    def path() -> str:
        name = random.choice(list(alive)[-40:])
        asked.append((name, time.perf_counter()))
        return getmap_path(publisher, name, getmap.CRS)

    answers = Clients().keep_asking(path, rate, seconds)
    stop.set()
    changer.join()
    errors = stale = gone = 0
    for (name, at), (_, _, status, body) in zip(asked, answers, strict=True):
        is_picture = status == 200 and body.startswith(b"\x89PNG")
        gone += status == 404
        errors += not is_picture and not (status == 404 and alive[name] < float("inf"))
        stale += is_picture and alive[name] < at
    told(
        "GetMap while layers change", [ms for _, ms, *_ in answers],
        rate=rate, errors=errors, stale=stale, gone=gone,
    )  # fmt: skip
    told("publish meanwhile", times)


def remove_all(publisher: MapServerPublisher, layers: list[Layer]) -> None:
    times = [timed(lambda layer=layer: publisher.remove(layer.job_id)) for layer in layers]
    told("remove", times, left=len(publisher.layers()))


def try_double(folder: Path, count: int) -> None:
    """Publish on the double of GeoServer, list, restyle and remove."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from geoserver_double import PASSWORD, USER, GeoServerDouble

    from candela.publish.geoserver.publisher import GeoServerPublisher, Site
    from candela.publish.geoserver.rest import Account, GeoServerRest

    paths = make_rasters(folder)
    layers = [make_layer(number, paths) for number in range(count)]
    with GeoServerDouble() as double:
        rest = GeoServerRest(double.url, Account(USER, PASSWORD))
        publisher = GeoServerPublisher(rest, Site(double.url, folder=folder / "published"))

        def measured(what: str, some: list[Layer], action: Callable[[Layer], object]) -> None:
            before = len(double.calls)
            times = [timed(lambda layer=layer: action(layer)) for layer in some]
            told(what, times, calls=round((len(double.calls) - before) / len(some), 1))

        measured("publish, first 100", layers[:100], publisher.publish)
        measured("publish the rest", layers[100:], publisher.publish)
        measured("list", layers[:5], lambda _: publisher.layers())
        grey = [dataclasses.replace(layer, style="grey") for layer in layers[:50]]
        measured("publish with another style", grey, publisher.publish)
        measured("remove", layers, lambda layer: publisher.remove(layer.job_id))
        left = sum(len(place.stores) for place in double.catalog.workspaces.values())
        print(json.dumps({"stores left": left, "violations": len(double.violations)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50, help="GetMap requests a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--double", action="store_true", help="on the double of GeoServer")
    options = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.double:
            try_double(folder, options.layers)
            return
        command = [sys.executable, getmap.__file__, "--serve", str(folder / "state"), str(PORT)]
        server = subprocess.Popen(command)
        try:
            getmap.wait_for(PORT)
            publisher = MapServerPublisher(folder / "state", f"http://{LOOPBACK}:{PORT}")
            paths = make_rasters(folder)
            layers = [make_layer(number, paths) for number in range(options.layers)]
            publish_all(publisher, layers)
            serve_steadily(publisher, layers, options.rate, options.seconds)
            first = options.layers
            serve_while_layers_change(publisher, paths, first, options.rate, options.seconds)
            remove_all(publisher, layers)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
