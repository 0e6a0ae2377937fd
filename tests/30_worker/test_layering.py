"""What a worker tells map servers of its outputs, so that a gateway reads no pixels."""

import datetime as dt
import json
import sys
from types import ModuleType

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine

from candela.contract.job import JobDocument
from candela.contract.layers import RasterHeader, VectorHeader
from candela.eo.progress import silent
from candela.publish.base import Layer
from candela.publish.files import provide_features
from candela.publish.record import LayerRecord
from candela.spec import ProcessSpec
from candela.worker.job import run_job

JOB = "0a1b2c3d-0000-4000-8000-000000000000"
SQUARE = shapely.geometry.mapping(shapely.box(9, 48, 9.01, 48.01))


def write_raster(path, array, *, transform=None):
    with rasterio.open(
        path, "w", driver="GTiff", width=array.shape[2], height=array.shape[1], nodata=0,
        count=len(array), dtype=array.dtype, crs="EPSG:32632",
        transform=transform or Affine(10, 0, 600_000, 0, -10, 5_400_000),
    ) as image:  # fmt: skip
        image.write(array)
        image.update_tags(End_date="20200718")
    return path


@pytest.fixture
def run(tmp_path, storage, monkeypatch):
    """Run a job whose raster and polygons become layers."""
    spec = ProcessSpec.model_validate(
        {
            "identifier": "Test-It",
            "version": "1.0.0",
            "title": "Test",
            "abstract": "A test.",
            "inputs": {},
            "outputs": {
                name: {
                    "title": name,
                    "type": kind,
                    "optional": True,
                    "publish": {"style": style},
                }
                for name, kind, style in (
                    ("image", "raster", "grey"),
                    ("parcels", "geojson", "parcels"),
                )
            },
        }
    ).model_copy(update={"package": "candela_test_layers"})

    def run(function):
        module = ModuleType(spec.package)
        module.run = function
        monkeypatch.setitem(sys.modules, spec.package, module)
        document = JobDocument(id=JOB, process="Test-It", version="1.0.0")
        storage.write(f"jobs/{JOB}/job.json", document.to_json().encode())
        return run_job(document, spec, storage, tmp_path / "workdir", silent)

    return run


def test_a_raster_is_described_with_the_range_of_each_band(run):
    values = np.stack([np.arange(1, 10_001).reshape(100, 100), np.full((100, 100), 7)])

    def work(*, workdir, progress):
        return {"image": write_raster(workdir / "a.tif", values.astype("float32"))}

    header = run(work).outputs["image"].layer.header
    assert isinstance(header, RasterHeader)
    assert (header.epsg, header.rows, header.cols) == (32632, 100, 100)
    assert header.time == dt.datetime(2020, 7, 18, tzinfo=dt.UTC)
    assert header.usual[0] == pytest.approx((200.98, 9_800.02))
    assert header.usual[1] == (7, 8)  # a range has a width


def test_polygons_are_stored_as_map_servers_want_them(run, storage, tmp_path):
    def work(*, workdir, progress):
        features = [
            {"type": "Feature", "geometry": SQUARE, "properties": {"level": 2, "rowid": "x"}},
            {"type": "Feature", "geometry": None, "properties": {"level": 3, "rowid": "y"}},
        ]
        (workdir / "a.json").write_text(
            json.dumps({"type": "FeatureCollection", "features": features})
        )
        return {"parcels": workdir / "a.json"}

    made = run(work).outputs["parcels"]
    assert isinstance(made.layer.header, VectorHeader)
    assert made.layer.header.count == 1  # the other one has no place
    copy = tmp_path / "copy.gpkg"
    copy.write_bytes(storage.read(f"jobs/{JOB}/outputs/{made.layer.features}"))
    table = f"Test_It_{JOB.replace('-', '_')}_parcels"
    assert pyogrio.list_layers(copy)[:, 0].tolist() == [table]
    assert set(pyogrio.read_info(copy)["fields"]) == {"feature_id", "level", "rowid_2"}


def test_a_raster_that_no_map_can_show_fails_the_job_and_leaves_nothing(run, storage):
    def work(*, workdir, progress):
        slanted = Affine(10, 1, 600_000, 1, -10, 5_400_000)
        path = write_raster(workdir / "a.tif", np.ones((1, 9, 9), "uint8"), transform=slanted)
        return {"image": path}

    result = run(work)
    assert result.status == "failed"
    assert result.error.kind == "PublicationError"
    assert "a.tif is not north up" in result.error.message
    assert not storage.exists(f"jobs/{JOB}/outputs/a.tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_in_pixel_coordinates_is_an_output_and_no_layer(run):
    def work(*, workdir, progress):
        with rasterio.open(
            workdir / "a.tif", "w", driver="GTiff", width=9, height=9, count=1, dtype="uint8"
        ) as image:
            image.write(np.ones((1, 9, 9), "uint8"))
        return {"image": workdir / "a.tif"}

    result = run(work)
    assert result.status == "succeeded"
    assert result.outputs["image"].layer is None
    assert result.outputs["image"].unplaced


def test_a_layer_that_is_described_is_published_without_reading_its_file(tmp_path):
    raster = RasterHeader(
        epsg=32632, extent=(0, 0, 10, 10), bounds=(9, 48, 9.1, 48.1), rows=1, cols=1,
        dtype="uint8", nodata=None, bands=("B02",), usual=((3, 5),),
    )  # fmt: skip
    layer = Layer("a_layer", "1", tmp_path / "nowhere.tif", "Title", "", "grey", header=raster)
    record = LayerRecord.of(layer, dt.datetime.now(dt.UTC))
    assert (record.header, record.shown) == (raster, (3, 5))
    assert record.layer.header is None  # it is not kept twice


def test_polygons_of_a_worker_are_taken_as_they_are(tmp_path):
    (tmp_path / "made.gpkg").write_bytes(b"as it is")
    layer = Layer(
        "a_layer", "1", tmp_path / "nowhere.json", "Title", "", "parcels",
        features=tmp_path / "made.gpkg",
    )  # fmt: skip
    provide_features(layer, tmp_path / "maps" / "a.gpkg")
    assert (tmp_path / "maps" / "a.gpkg").read_bytes() == b"as it is"
