"""From slices of Sentinel-1 to layers on the grid of a tile, over HTTP."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from candela.client import Client, Job, JobFailedError
from candela.eo.raster.grid import Grid
from candela.eo.s2.tiles import tile_grid
from candela.synthetic.radar import radar_image
from candela.synthetic.sentinel1 import Acquisition, write_product
from candela.synthetic.sentinel2 import DemoProducts

SHAPE = (320, 360)


@pytest.fixture(scope="module")
def slices(products: DemoProducts) -> list[Path]:
    """Make two slices, a folder and a zip file, where the gateway may read."""
    folder = products.before.parent
    images = {name: radar_image(*SHAPE, cross=name == "VH") for name in ("VV", "VH")}
    acquisition = Acquisition(lines=SHAPE[0], samples=SHAPE[1], pixel_m=100)
    return [
        write_product(folder, acquisition, images, lines=(0, 160)),
        write_product(folder, acquisition, images, lines=(160, 320), archive=True),
    ]


@pytest.fixture(scope="module")
def job(client: Client, slices: list[Path]) -> Job:
    options = {"tiles": "31TCJ", "resolution": 100, "minimum_coverage": 5}
    return client.execute("S1tiling", product=slices, **options).wait()


def test_images_lie_on_the_grid_of_the_tile(job: Job) -> None:
    assert {"vv", "vh", "border_mask", "preview", "metadata"} <= set(job.outputs)
    for name in ("vv", "vh", "border_mask"):
        with job.outputs[name].open() as dataset:
            assert Grid.of(dataset) == tile_grid("31TCJ", 100)
    assert job.outputs["vh"].file_name == "s1b_31TCJ_vh_DES_022_20211223txxxxxx.tif"
    (tile,) = job.outputs["metadata"].json()["tiles"]
    assert len(tile["products"]) == 2
    assert tile["valid_pixels"]["VV"] > 0.9 * SHAPE[0] * SHAPE[1]


def test_the_layer_is_drawn_in_decibels_and_open_where_nothing_was_seen(job: Job) -> None:
    with job.outputs["vv"].open() as dataset:
        bounds, power = dataset.bounds, dataset.read(1)
    service = job.layers["vv"].map_service
    answer = service.getmap(
        layers=[job.layers["vv"].name], styles=[""], srs="EPSG:32631", bbox=tuple(bounds),
        size=(1098, 1098), format="image/png", transparent=True,
    )  # fmt: skip
    drawn = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA"))
    np.testing.assert_array_equal(drawn[..., 3] > 0, power > 0)
    seen = power > 0
    expected = np.clip((10 * np.log10(power[seen]) + 24) / 24, 0, 1) * 255
    assert np.abs(drawn[seen][:, 0] - expected).max() <= 2


def test_the_coverage_has_the_power_itself(job: Job) -> None:
    assert set(job.layers) == {"vv", "vh"}
    assert job.layers["vh"].name in job.layers["vh"].coverage_service.contents


def test_a_tile_that_is_not_covered_is_refused_with_those_that_are(
    client: Client, slices: list[Path]
) -> None:
    with pytest.raises(JobFailedError, match=r"do not cover tile 33XVP \(covered: 31TCJ") as error:
        client.execute("S1tiling", product=slices, tiles="33XVP", resolution=100).wait()
    assert error.value.locator == "tiles"
