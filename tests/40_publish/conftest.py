"""A real MapServer behind the gateway's routes, on rasters with known pixels."""

import json
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from flask import Flask
from geoserver_double import PASSWORD, USER, GeoServerDouble
from real_geoserver import RealGeoServer
from werkzeug.serving import make_server

from candela.backoff import Backoff
from candela.errors import PublicationError
from candela.gateway.access.identity import TrustedProxy, identify
from candela.gateway.console import pages_blueprint
from candela.gateway.maps.ows import ows_blueprint
from candela.publish.base import Layer, Publisher
from candela.publish.geoserver.publisher import GeoServerPublisher, Site
from candela.publish.geoserver.rest import Account, GeoServerRest
from candela.publish.mapserver import MapServerPublisher
from candela.publish.server import PROGRAMS, find_program
from candela.settings import Metadata

ORIGIN = (600_000.0, 5_400_000.0)  # UTM 32N, 10 m pixels
SIDE = 300
METADATA = Metadata(title="A <service>", abstract="What it & does", provider="A provider")


@pytest.fixture(scope="session")
def mapserver() -> None:
    """Skip where MapServer is not installed."""
    for name in PROGRAMS:
        try:
            find_program(name)
        except PublicationError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def write_raster() -> Callable[..., Path]:
    def write(
        path: Path,
        array: np.ndarray,
        *,
        nodata: float | None,
        bands: list[str],
        crs: str = "EPSG:32632",
        origin: tuple[float, float] = ORIGIN,
        pixel: float = 10,
        tags: dict[str, str] | None = None,
    ) -> Path:
        profile = {
            "driver": "GTiff", "dtype": array.dtype, "nodata": nodata, "count": array.shape[0],
            "height": array.shape[1], "width": array.shape[2], "crs": crs,
            "transform": Affine(pixel, 0, origin[0], 0, -pixel, origin[1]),
            "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "ZSTD",
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(array)
            dataset.update_tags(**(tags or {}))
            for index, name in enumerate(bands, 1):
                dataset.set_band_description(index, name)
        return path

    return write


@pytest.fixture(scope="session")
def probability() -> np.ndarray:
    """Random probabilities with a hole of NaN."""
    values = np.random.default_rng(7).uniform(0.001, 1, (1, SIDE, SIDE)).astype("float32")
    values[:, 50:80, 50:90] = np.nan
    return values


@pytest.fixture(scope="session")
def reflectance() -> np.ndarray:
    """Four bands of uint16, above what an INT16 holds, with a corner without data."""
    values = np.random.default_rng(8).integers(1, 65535, (4, SIDE, SIDE)).astype("uint16")
    values[:, 100:150, 100:150] = 1  # dark, but not missing
    values[:, :40, :40] = 0
    return values


@pytest.fixture(scope="session")
def change_layer(
    tmp_path_factory: pytest.TempPathFactory,
    write_raster: Callable[..., Path],
    probability: np.ndarray,
) -> Layer:
    path = tmp_path_factory.mktemp("change") / "change.tif"
    write_raster(path, probability, nodata=np.nan, bands=["change"])
    title = 'Wechsel "um" <Zürich> & [Umland] \\ 変化\nzweite Zeile'
    return Layer("ChangeDetect_1_change", "job-1", path, title, "An 'abstract'.", "change")


@pytest.fixture(scope="session")
def image_layer(
    tmp_path_factory: pytest.TempPathFactory,
    write_raster: Callable[..., Path],
    reflectance: np.ndarray,
) -> Layer:
    path = tmp_path_factory.mktemp("image") / "image.tif"
    write_raster(path, reflectance, nodata=0, bands=["B02", "B03", "B04", "B08"])
    return Layer("Jpeg2Tiff_2_image", "job-2", path, "Image", "", "true_colour")


@pytest.fixture(scope="session")
def grey_layer(
    tmp_path_factory: pytest.TempPathFactory, write_raster: Callable[..., Path]
) -> Layer:
    """An int16 raster in another zone, from 0 in the west to 299 in the east."""
    values = np.broadcast_to(np.arange(SIDE, dtype="int16"), (1, SIDE, SIDE))
    path = tmp_path_factory.mktemp("grey") / "height.tif"
    write_raster(path, values, nodata=-1, bands=["height"], crs="EPSG:32631")
    return Layer("Other_3_height", "job-3", path, "Height", "", "grey")


@pytest.fixture
def dated_layer(tmp_path: Path, write_raster: Callable[..., Path]) -> Callable[..., Layer]:
    """Return a function that makes change maps with a date; each is a job of its own."""

    def make(
        date: str,
        *,
        value: float = 0.6,
        east_m: int = 0,
        crs: str = "EPSG:32632",
        name: str = "ChangeDetect",
    ) -> Layer:
        job_id = uuid.uuid4().hex
        day = date.replace("-", "")
        path = write_raster(
            tmp_path / f"{job_id}_{day}.tif", np.full((1, SIDE, SIDE), value, "float32"),
            nodata=np.nan, bands=["change"], crs=crs, tags={"End_date": day},
            origin=(ORIGIN[0] + east_m, ORIGIN[1]),
        )  # fmt: skip
        return Layer(
            f"{name}_{job_id}_change", job_id, path, f"Change: {date}", "", "change",
            process=name, output="change", lineage=f"https://maps.example/jobs/{job_id}",
        )  # fmt: skip

    return make


PARCELS = [
    {
        "id": 7, "geometry": shapely.box(10.1, 48.1, 10.2, 48.2),
        "properties": {
            "change_level": 1, "change_mean": 0.1234, "name": "Äcker & <Wiesen>", "area": 1234567.8,
            "number": 2**53 + 1, "is_organic": True, "Größe m²": 3, "crops": ["rye", "oats"],
        },
    },
    {
        "id": 3,
        "geometry": shapely.MultiPolygon([
            shapely.box(10.3, 48.1, 10.4, 48.2),
            shapely.box(10.5, 48.1, 10.6, 48.2).difference(shapely.box(10.52, 48.12, 10.55, 48.15)),
        ]),
        "properties": {
            "change_level": 3, "change_mean": 0.75, "name": "it's \"one\"", "area": 2.5,
            "number": 0,
        },
    },
    {
        "id": 4, "geometry": None,
        "properties": {
            "change_level": None, "change_mean": None, "name": "nowhere", "area": None,
            "number": 0,
        },
    },
    {
        "id": 5, "geometry": shapely.box(10.1234567, 48.3, 10.2, 48.4),
        "properties": {
            "change_level": 2, "change_mean": 0.3333333333, "name": None, "area": 1e-7,
            "number": -5,
        },
    },
    {
        "id": 12, "geometry": shapely.box(10.3, 48.3, 10.4, 48.4),
        "properties": {
            "change_level": None, "change_mean": None, "name": "clouds", "area": None,
            "number": 1,
        },
    },
]  # fmt: skip


@pytest.fixture(scope="session")
def parcels() -> list[dict]:
    """What the layer of parcels shows: those that have a place."""
    return [parcel for parcel in PARCELS if parcel["geometry"]]


@pytest.fixture(scope="session")
def parcels_layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """Five parcels, of which one has no place and two have no value somewhere."""
    features = [
        {
            "type": "Feature", "id": parcel["id"], "properties": parcel["properties"],
            "geometry": parcel["geometry"] and json.loads(shapely.to_geojson(parcel["geometry"])),
        }
        for parcel in PARCELS
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("parcels") / "parcels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return Layer(
        "ChangeDetect_4_parcels", "job-4", path, 'Parcels "of" <Zürich>', "Some parcels.",
        "parcels", process="ChangeDetect", output="parcels",
        lineage="https://maps.example/jobs/job-4",
    )  # fmt: skip


@pytest.fixture(scope="session")
def patches_layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """A grid of 30 x 30 patches in UTM, with vectors in a table beside them."""
    path = tmp_path_factory.mktemp("patches") / "model.gpkg"
    rows, cols = (index.ravel() for index in np.indices((30, 30)))
    lefts, tops = ORIGIN[0] + cols * 600.0, ORIGIN[1] - rows * 600.0
    pyogrio.raw.write(
        path, shapely.to_wkb(shapely.box(lefts, tops - 600, lefts + 600, tops)),
        [rows.astype("int32"), cols.astype("int32"), ((rows + cols) / 58).astype("float32")],
        ["grid_row", "grid_col", "usable"], layer="patch", driver="GPKG",
        geometry_type="Polygon", crs="EPSG:32632",
    )  # fmt: skip
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            "CREATE TABLE feature (id INTEGER PRIMARY KEY, vector BLOB);"
            "INSERT INTO gpkg_contents (table_name, data_type) VALUES ('feature', 'attributes');"
        )
    return Layer(
        "DMG_DF_5_model", "job-5", path, "Patches", "", "patches", process="DMG-DF", output="model"
    )


@pytest.fixture
def double() -> Iterator[GeoServerDouble]:
    """A GeoServer that was asked nothing that its API descriptions do not allow."""
    with GeoServerDouble() as double:
        yield double
        assert double.violations == []


@pytest.fixture
def geoserver(double: GeoServerDouble, tmp_path: Path) -> Callable[..., GeoServerPublisher]:
    """Return a function that makes publishers for the same GeoServer."""

    def make(**site: object) -> GeoServerPublisher:
        values = {"public_url": "https://maps.example/geoserver", "folder": tmp_path / "published"}
        rest = GeoServerRest(double.url, Account(USER, PASSWORD))
        return GeoServerPublisher(rest, Site(**(values | site)), backoff=Backoff(0.01, 0.1))

    return make


@pytest.fixture
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealGeoServer]:
    """Workspaces in the GeoServer that the options name."""
    if not request.config.getoption("--geoserver-url"):
        pytest.skip("no GeoServer is named (--geoserver-url)")
    with RealGeoServer(request.config, tmp_path) as real:
        yield real


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is said of all publishers on a real GeoServer too, where one is named."""
    if "again" in metafunc.fixturenames:
        kinds = ["mapserver", "geoserver"]
        kinds += ["real"] if metafunc.config.getoption("--geoserver-url") else []
        metafunc.parametrize("again", kinds, indirect=True)


@pytest.fixture
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Publisher]:
    """Return a function that makes publishers on the same state, as other gateways would.

    MapServer itself is not started: publishing needs none.
    """
    if request.param == "real":
        return request.getfixturevalue("real").publisher
    if request.param == "geoserver":
        return request.getfixturevalue("geoserver")
    return lambda: MapServerPublisher(tmp_path / "state", "https://maps.example/")


@pytest.fixture
def publisher(again: Callable[[], Publisher]) -> Publisher:
    return again()


@pytest.fixture(scope="module")
def gateway(
    mapserver: None,
    tmp_path_factory: pytest.TempPathFactory,
    change_layer: Layer,
    image_layer: Layer,
    grey_layer: Layer,
) -> Iterator["Gateway"]:
    """Three layers behind /ows, on a port of the loopback."""
    with running_gateway(tmp_path_factory.mktemp("state")) as gateway:
        for layer in (change_layer, image_layer, grey_layer):
            gateway.publisher.publish(layer)
        yield gateway


class Gateway:
    """A gateway that has nothing but maps."""

    def __init__(self, folder: Path, *, owner_header: str = "") -> None:
        app = Flask("gateway")
        identify(app, TrustedProxy(owner_header, operators=frozenset({"operator"})))
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.publisher = MapServerPublisher(folder, self.url, title="Test", workers=2)
        private = bool(owner_header)
        app.register_blueprint(ows_blueprint(self.publisher, private=private))
        app.register_blueprint(pages_blueprint(self.publisher, METADATA, private=private))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self) -> "Gateway":
        self.publisher.start()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.publisher.stop()


def running_gateway(folder: Path) -> Gateway:
    return Gateway(folder)


@pytest.fixture(scope="session")
def start_gateway(mapserver: None) -> Callable[[Path], Gateway]:
    """Return what makes a gateway, for modules that want one of their own."""
    return running_gateway


@pytest.fixture
def new_gateway(mapserver: None, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway without layers, for tests that change it."""
    with running_gateway(tmp_path / "state") as gateway:
        yield gateway


@pytest.fixture
def private_gateway(mapserver: None, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that shows to everybody, named in a header, his own layers only."""
    with Gateway(tmp_path / "state", owner_header="X-User") as gateway:
        yield gateway
