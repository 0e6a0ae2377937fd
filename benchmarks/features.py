"""How long polygons take to publish, and how fast maps and features of them are.

    python benchmarks/features.py [--layers 1000] [--patches 43795] [--double]

One layer has as many patches as a large patch model, all others have 100 parcels each. They are
published, asked for at random one after the other (GetMap, GetFeature of a box, a page of 1000, all
features, GetCapabilities) through the gateway's route under gunicorn, and removed. An answer that
is not what was asked for counts as an error.

With --double they are published on the double of GeoServer that the tests use: what is measured is
the client and the number of its calls, not a GeoServer.
"""

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import getmap
import numpy as np
import publishing
import pyogrio
import shapely
from publishing import told

from candela.publish.base import Layer
from candela.publish.mapserver import MapServerPublisher
from candela.publish.server import LOOPBACK

PORT = publishing.PORT
PARCELS = 100
STEP = 0.001  # degrees
WEST, SOUTH = 9.0, 48.0


def squares(count: int) -> tuple[np.ndarray, int]:
    """Return squares side by side, and how many there are in a row."""
    side = math.ceil(math.sqrt(count))
    rows, cols = np.divmod(np.arange(count), side)
    west, south = WEST + STEP * cols, SOUTH + STEP * rows
    return shapely.box(west, south, west + STEP, south + STEP), side


def make_layers(folder: Path, count: int, patches: int) -> list[Layer]:
    """Write both kinds of files; the layer of patches is the last one."""
    random_values = np.random.default_rng(1)
    shapes, _ = squares(PARCELS)
    parcels = folder / "parcels.geojson"
    columns = [random_values.integers(1, 4, PARCELS), random_values.random(PARCELS).round(4)]
    names = ["change_level", "change_mean"]
    wkb = {"driver": "GeoJSON", "geometry_type": "Polygon", "crs": "EPSG:4326"}
    pyogrio.raw.write(parcels, shapely.to_wkb(shapes), columns, names, **wkb)
    model = folder / "model.gpkg"
    usable = random_values.random(patches).astype("float32")
    pyogrio.raw.write(
        model, shapely.to_wkb(squares(patches)[0]), [usable], ["usable"],
        layer="patch", driver="GPKG", geometry_type="Polygon", crs="EPSG:4326",
    )  # fmt: skip
    layers = [
        Layer(f"Parcels_{number}_p", f"job-{number}", parcels, f"Parcels {number}", "", "parcels")
        for number in range(count - 1)
    ]
    return [*layers, Layer("Patches_model", "job-patches", model, "Patches", "", "patches")]


def box(side: int, width: int) -> tuple[float, float, float, float]:
    """Return south, west, north, east of so many squares in a row, somewhere inside."""
    first = STEP * random.randrange(max(1, side - width))
    return SOUTH + first, WEST + first, SOUTH + first + STEP * width, WEST + first + STEP * width


def ask_all(layers: list[Layer], patches: int) -> None:
    clients = publishing.Clients()
    sides = {layer.name: squares(PARCELS)[1] for layer in layers} | {
        layers[-1].name: squares(patches)[1]
    }

    def measure(
        what: str, some: list[Layer], sign: bytes, query: Callable[[Layer], dict], **more: object
    ) -> None:
        times, errors = [], 0
        for layer in some:
            kind = "wms" if "layers" in query(layer) else "wfs"
            path = f"/ows/{layer.name}/{kind}?{urlencode(query(layer))}"
            ms, status, body = clients.ask(path, time.perf_counter())
            times.append(ms)
            errors += status != 200 or sign not in body[:4096]
        told(what, times, errors=errors, bytes=len(body), **more)

    def get_map(layer: Layer) -> dict:
        edges = ",".join(f"{edge:.6f}" for edge in box(sides[layer.name], 60))
        return {
            "service": "WMS", "version": "1.3.0", "request": "GetMap", "layers": layer.name,
            "crs": "EPSG:4326", "bbox": edges, "width": 256, "height": 256, "format": "image/png",
            "styles": "",
        }  # fmt: skip

    def features(layer: Layer, **query: object) -> dict:
        asked = {"service": "WFS", "version": "2.0.0", "request": "GetFeature"}
        return {**asked, "typenames": layer.name, "outputformat": "application/json", **query}

    def in_box(layer: Layer) -> dict:
        edges = ",".join(f"{edge:.6f}" for edge in box(sides[layer.name], 5))
        return features(layer, bbox=f"{edges},urn:ogc:def:crs:EPSG::4326")

    some, large = random.choices(layers[:-1], k=100), [layers[-1]]
    for what, chosen in (("parcels", some), (f"{patches} patches", large * 50)):
        measure(f"GetMap, {what}", chosen, b"PNG", get_map)
        measure(f"GetFeature of a box, {what}", chosen, b"FeatureCollection", in_box)
    page = {"count": 1000, "startindex": patches // 2}
    collection = b"FeatureCollection"
    measure("a page of 1000", large * 10, collection, lambda one: features(one, **page))
    measure("hits", large * 10, b"numberMatched", lambda one: features(one, resulttype="hits"))
    measure("all as GeoJSON", large * 3, collection, features)
    gml = {"outputformat": "application/gml+xml; version=3.2"}
    measure("all as GML", large * 3, collection, lambda one: features(one, **gml))
    query = urlencode({"service": "WFS", "request": "GetCapabilities"})
    answers = [clients.ask(f"/ows?{query}", time.perf_counter()) for _ in range(5)]
    told("GetCapabilities of all layers", [ms for ms, *_ in answers], bytes=len(answers[0][2]))


def try_mapserver(folder: Path, layers: list[Layer], patches: int) -> None:
    command = [sys.executable, getmap.__file__, "--serve", str(folder / "state"), str(PORT)]
    server = subprocess.Popen(command)
    try:
        getmap.wait_for(PORT)
        publisher = MapServerPublisher(folder / "state", f"http://{LOOPBACK}:{PORT}")
        assert urlsplit(publisher.url).port == PORT
        times = [publishing.timed(partial(publisher.publish, layer)) for layer in layers]
        told("publish, first 100", times[:100])
        told("publish, last 100 of parcels", times[-101:-1], layers=len(layers))
        told(f"publish {patches} patches", times[-1:])
        ask_all(layers, patches)
        publishing.remove_all(publisher, layers)
    finally:
        server.terminate()
        server.wait()


def try_double(folder: Path, layers: list[Layer]) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from geoserver_double import PASSWORD, USER, GeoServerDouble

    from candela.publish.geoserver.publisher import GeoServerPublisher, Site
    from candela.publish.geoserver.rest import Account, GeoServerRest

    with GeoServerDouble() as double:
        rest = GeoServerRest(double.url, Account(USER, PASSWORD))
        publisher = GeoServerPublisher(rest, Site(double.url, folder=folder / "published"))
        for what, action in (
            ("publish", publisher.publish),
            ("remove", lambda layer: publisher.remove(layer.job_id)),
        ):
            before = len(double.calls)
            times = [publishing.timed(partial(action, layer)) for layer in layers]
            told(what, times, calls=round((len(double.calls) - before) / len(layers), 1))
        left = sum(len(place.datastores) for place in double.catalog.workspaces.values())
        print(json.dumps({"stores left": left, "violations": len(double.violations)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", type=int, default=1000)
    parser.add_argument("--patches", type=int, default=43_795)
    parser.add_argument("--double", action="store_true", help="on the double of GeoServer")
    options = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layers = make_layers(folder, options.layers, options.patches)
        if options.double:
            try_double(folder, layers)
        else:
            try_mapserver(folder, layers, options.patches)


if __name__ == "__main__":
    main()
