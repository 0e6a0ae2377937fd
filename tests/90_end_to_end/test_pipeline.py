"""From products to maps of change, over HTTP, as a notebook does it."""

import datetime as dt
import io

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.windows import Window

from candela.client import Change, ChangeSeries, Client, JobFailedError, Layer
from candela.demo.accuracy import accuracy
from candela.synthetic.sentinel2 import DemoProducts

from .conftest import SIZE


@pytest.fixture
def change(series: ChangeSeries) -> Change:
    assert len(series.changes) == 1
    return series.changes[0]


@pytest.fixture
def layer(change: Change) -> Layer:
    assert change.layer is not None
    return change.layer


def test_the_dates_are_paired_in_the_order_of_time(change: Change) -> None:
    assert change.before_date == dt.date(2020, 7, 18)
    assert change.after_date == dt.date(2022, 6, 28)
    assert change.scene == "T31TCJ"
    assert "20200718" in change.before.product


def test_a_product_that_cannot_be_read_does_not_cost_the_others(series: ChangeSeries) -> None:
    assert len(series.images) == 2
    ((what, error),) = series.failures
    assert what == "S2A_broken.zip"
    assert isinstance(error, JobFailedError)
    assert error.locator == "product"
    assert "S2A_broken.zip" in repr(series)
    assert "2022-06-28" in series._repr_html_()


def test_the_map_finds_what_changed(change: Change, products: DemoProducts) -> None:
    with change.output.open() as dataset, rasterio.open(products.truth) as truth:
        assert (dataset.crs, dataset.transform) == (truth.crs, truth.transform)
        assert dataset.dtypes == ("float32",)
        found = accuracy(dataset.read(1), truth.read(1) > 0)
    assert found.auc > 0.9
    assert found.f1 > 0.3


def test_the_images_are_on_the_grid_of_the_product(change: Change) -> None:
    with change.before.output.open() as dataset:
        assert "B8A" in dataset.descriptions
        assert dataset.shape == (SIZE, SIZE)
        assert dataset.tags()["SENSING_TIME"].startswith("2020-07-18")


def test_the_map_service_shows_changes_and_leaves_the_rest_open(
    change: Change, layer: Layer
) -> None:
    with change.output.open() as dataset:
        bounds, probability = dataset.bounds, dataset.read(1)
    service = layer.map_service
    assert layer.name in service.contents
    answer = service.getmap(
        layers=[layer.name],
        styles=[""],
        srs="EPSG:32631",
        bbox=tuple(bounds),
        size=(SIZE, SIZE),
        format="image/png",
        transparent=True,
    )
    opacity = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA"))[..., 3]
    assert opacity.shape == (SIZE, SIZE)
    assert (opacity[probability > 0.6] > 0).mean() > 0.95
    assert (opacity[probability < 0.05] == 0).mean() > 0.95


def test_a_subset_of_the_coverage_is_the_file_pixel_by_pixel(change: Change, layer: Layer) -> None:
    window = Window(120, 80, 64, 48)
    with change.output.open() as dataset:
        expected = dataset.read(1, window=window)
        left = dataset.bounds.left + 10 * window.col_off
        top = dataset.bounds.top - 10 * window.row_off
        right, bottom = left + 10 * window.width, top - 10 * window.height
    service = layer.coverage_service
    (identifier,) = service.contents
    answer = service.getCoverage(
        identifier=identifier,
        subsets=[("x", left, right), ("y", bottom, top)],
        format="image/tiff",
    )
    with rasterio.MemoryFile(answer.read()) as memory, memory.open() as dataset:
        assert dataset.crs.to_epsg() == 32631
        assert dataset.transform.c == left
        assert dataset.transform.f == top
        np.testing.assert_array_equal(dataset.read(1), expected)


def test_a_notebook_shows_layers_and_pictures(change: Change, layer: Layer) -> None:
    start = b"\x89PNG\r\n\x1a\n"
    assert layer._repr_png_().startswith(start)
    preview = change.job.outputs["preview"]._repr_png_()
    assert preview is not None
    assert preview.startswith(start)
    assert change.output._repr_png_() is None
    west, south, east, north = layer.bounds
    assert -1 < west < east < 3
    assert 43 < south < north < 45
    assert layer.wms in change.job._repr_html_() or layer.output in change.job._repr_html_()


# NOTE: rioxarray multiplies matrices in a way that affine 3 wants to give up.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_a_map_is_an_array_with_coordinates(change: Change) -> None:
    array = change.output.xarray()
    assert array.rio.crs.to_epsg() == 32631
    assert 0 < float(array.max()) <= 1


def test_an_area_cuts_the_images(client: Client, products: DemoProducts) -> None:
    area = (300_500, 4_898_000, 301_500, 4_899_000, "EPSG:32631")
    job = client.execute("Jpeg2Tiff", product=products.before, area=area, bands=["B04"]).wait()
    with job.outputs["image"].open() as dataset:
        assert dataset.count == 1
        assert dataset.shape == (100, 100)
        assert tuple(dataset.bounds) == area[:4]
