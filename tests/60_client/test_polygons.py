"""Parcels from the job that measures them to the client that reads the layer."""

import io
import json

import numpy as np
import pytest
import requests
import shapely
from affine import Affine
from lxml import etree
from PIL import Image
from rasterio import CRS
from rasterio.warp import transform_geom

from candela.client.errors import NotFoundError
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image

BANDS = ("B02", "B03", "B04", "B08")
SIDE = 96
LEFT, TOP = 300_000.0, 4_900_020.0
GRID = Grid(CRS.from_epsg(32631), Affine(10, 0, LEFT, 0, -10, TOP), Shape(SIDE, SIDE))


@pytest.fixture(scope="module")
def inputs(input_folder):
    """Return two dates that differ in one corner, and 16 parcels, each a square of 20 pixels."""
    random = np.random.default_rng(3)
    before = random.integers(300, 3000, (4, SIDE, SIDE)).astype("uint16")
    after = before.copy()
    after[:, :40, :40] = random.integers(4000, 6000, (4, 40, 40))
    squares = [
        shapely.box(LEFT + x, TOP - y - 200, LEFT + x + 200, TOP - y)
        for y in range(40, 840, 210)
        for x in range(40, 840, 210)
    ]
    features = [
        {
            "type": "Feature", "id": number, "properties": {"crop": f"crop <{number}>"},
            "geometry": transform_geom(GRID.crs, "EPSG:4326", shapely.geometry.mapping(square)),
        }
        for number, square in enumerate(squares, 100)
    ]  # fmt: skip
    for name, image in (("before", before), ("after", after)):
        path = input_folder / f"polygons-{name}.tif"
        with create_image(path, GRID, dtype="uint16", nodata=0, bands=BANDS) as dataset:
            dataset.write(image)
    path = input_folder / "polygons.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return {
        "before": (input_folder / "polygons-before.tif").as_uri(),
        "after": (input_folder / "polygons-after.tif").as_uri(),
        "parcels": path.as_uri(), "model": "ten_metre",
    }  # fmt: skip


@pytest.fixture(scope="module")
def job(gateway, inputs):
    from candela.client import Client

    with Client(gateway.url) as client:
        job = client.execute("ChangeDetect", **inputs)
        job.wait(timeout_s=300)
        yield job


def test_a_job_has_a_layer_of_its_parcels(job):
    layer = job.layers["parcels"]
    assert layer.wfs.endswith("_parcels/wfs")
    assert layer.wcs == ""
    assert "WFS" in repr(layer)
    assert job.layers["change"].wfs == ""
    assert list(layer.feature_service.contents) == [f"candela:{layer.name}"]


@pytest.mark.parametrize("page", [5000, 5])
def test_features_of_the_layer_are_those_of_the_output(job, page):
    written = json.loads(requests.get(job.outputs["parcels"].href, timeout=10).text)["features"]
    found = job.layers["parcels"].features(page=page)["features"]
    assert len(found) == 16
    for feature, source in zip(found, written, strict=True):
        properties = feature["properties"]
        assert properties.pop("feature_id") == source["id"]
        wanted = {name: value for name, value in source["properties"].items() if value is not None}
        assert {name: value for name, value in properties.items() if value != ""} == wanted
        assert shapely.equals(
            shapely.from_geojson(json.dumps(feature["geometry"])),
            shapely.from_geojson(json.dumps(source["geometry"])),
        )


def test_features_can_be_had_of_a_box_and_up_to_a_number(job):
    layer = job.layers["parcels"]
    first = shapely.from_geojson(json.dumps(layer.features(limit=1)["features"][0]["geometry"]))
    assert len(layer.features(limit=7, page=3)["features"]) == 7
    inside = layer.features(first.buffer(-0.0005).bounds)["features"]
    assert [feature["properties"]["feature_id"] for feature in inside] == [100]
    with pytest.raises(NotFoundError, match="served as an image"):
        job.layers["change"].features()


def test_the_layer_of_parcels_is_a_picture_too(job):
    picture = np.asarray(Image.open(io.BytesIO(job.layers["parcels"].image(width=256))))
    assert (picture[..., 3] > 0).mean() > 0.5


def test_the_response_and_the_pages_lead_to_the_wfs(job, gateway):
    wfs = job.layers["parcels"].wfs
    status = requests.get(f"{gateway.url}/wps/status/{job.id}", timeout=10)
    references = etree.fromstring(status.content).iterfind(
        ".//{*}Output[{*}Identifier='parcels_wfs']/{*}Reference"
    )
    (reference,) = references
    assert reference.get("mimeType") == "application/x-ogc-wfs"
    assert wfs in reference.values()
    page = requests.get(f"{gateway.url}/jobs/{job.id}", headers={"Accept": "text/html"}, timeout=10)
    assert f'href="{wfs}">WFS</a>' in page.text
    layers = requests.get(f"{gateway.url}/layers.json", timeout=10).json()["layers"]
    (told,) = [layer for layer in layers if layer["wfs"] == wfs]
    assert told["bands"] == []
    assert "change_level" in told["attributes"]
    assert [entry["colours"] for entry in told["legend"]] == [
        ["#ffeda0"], ["#fd8d3c"], ["#bd0026"], ["#bebebe"],
    ]  # fmt: skip


def test_a_dismissed_job_takes_its_polygons_along(gateway, inputs):
    from candela.client import Client

    with Client(gateway.url) as client:
        job = client.execute("ChangeDetect", **inputs)
        job.wait(timeout_s=300)
        wfs = job.layers["parcels"].wfs
        assert requests.get(wfs, timeout=10).status_code == 200
        job.dismiss()
        assert requests.get(wfs, timeout=10).status_code == 404
