"""Results found with pystac-client, in a gateway that runs."""

import numpy as np
import pystac_client
import pytest
import rasterio
from affine import Affine
from pystac.validation import validate_dict
from recipes import assert_recipes

NORTH, SOUTH = [8.9, 45, 9.1, 45.2], [8.9, -45.2, 9.1, -45]


@pytest.fixture(scope="module")
def catalogue(gateway):
    return pystac_client.Client.open(f"{gateway.url}/stac")


@pytest.fixture
def job(client, input_folder):
    """Return a finished job that has mapped change in two images of 64 x 64 pixels."""
    rng = np.random.default_rng(7)
    images = []
    for date in ("20200505", "20200517"):
        path = input_folder / f"s1_{date}.tif"
        profile = {
            "driver": "GTiff", "dtype": "float32", "count": 1, "height": 64, "width": 64,
            "crs": "EPSG:32632", "transform": Affine(20, 0, 5e5, 0, -20, 5e6), "nodata": np.nan,
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(rng.gamma(4, 0.025, (1, 64, 64)).astype("float32"))
            dataset.set_band_description(1, "VV")
        images.append(path)
    before, after = images
    inputs = {"before": before, "after": after, "method": "log_ratio"}
    return client.submit("SarChangeDetect", inputs)


def test_pystac_client_finds_a_result_by_place_and_time(catalogue, client, job, tmp_path):
    job.wait()
    found = catalogue.search(bbox=NORTH, collections=["SarChangeDetect"], limit=1)
    items = {item.id: item for item in found.items()}  # a page each
    assert set(items) == {f"{job.id}.change", f"{job.id}.direction"}
    item = items[f"{job.id}.change"]
    validate_dict(item.to_dict(), extensions=[])
    time = item.datetime.isoformat()
    same = catalogue.search(bbox=NORTH, datetime=time)
    assert f"{job.id}.change" in [each.id for each in same.items()]
    assert list(catalogue.search(bbox=NORTH, datetime="1999-01-01/1999-12-31").items()) == []
    assert list(catalogue.search(bbox=SOUTH).items()) == []
    direct = catalogue.get_collection("SarChangeDetect").get_item(item.id)
    assert direct.to_dict()["assets"] == item.to_dict()["assets"]
    assert item.assets["preview"].media_type == "image/png"
    output = job.outputs["change"].download(tmp_path)
    with rasterio.open(output) as dataset:
        assert list(dataset.transform)[:6] == item.properties["proj:transform"]
        assert list(dataset.shape) == item.properties["proj:shape"]
        assert dataset.crs.to_string() == item.properties["proj:code"]


def test_the_recipe_of_the_page_answers_what_it_says(gateway, tmp_path):
    assert_recipes("stac.md", gateway.url, tmp_path)
