"""A real MapServer behind the gateway's routes, on rasters with known pixels."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from flask import Flask
from werkzeug.serving import make_server

from candela.errors import PublicationError
from candela.gateway.ows import ows_blueprint
from candela.gateway.pages import pages_blueprint
from candela.publish.base import Layer
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
    ) -> Path:
        profile = {
            "driver": "GTiff", "dtype": array.dtype, "nodata": nodata, "count": array.shape[0],
            "height": array.shape[1], "width": array.shape[2], "crs": crs,
            "transform": Affine(pixel, 0, origin[0], 0, -pixel, origin[1]),
            "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "ZSTD",
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(array)
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

    def __init__(self, folder: Path) -> None:
        app = Flask("gateway")
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.publisher = MapServerPublisher(folder, self.url, title="Test", workers=2)
        app.register_blueprint(ows_blueprint(self.publisher))
        app.register_blueprint(pages_blueprint(self.publisher, METADATA))
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


@pytest.fixture
def new_gateway(mapserver: None, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway without layers, for tests that change it."""
    with running_gateway(tmp_path / "state") as gateway:
        yield gateway
