"""Records that nobody can read, and rasters that would make such: one of them stops nothing."""

import dataclasses
import json

import numpy as np
import pytest
import requests
import shapely

from candela.errors import PublicationError
from candela.publish.base import Layer
from candela.publish.mapserver import MapServerPublisher
from candela.publish.record import RECORD_FILE

NOWHERE = [
    ("EPSG:32631", (5e8, 5e9), 10.0),
    ("EPSG:32631", (1e308, 1e308), 10.0),
    ("EPSG:32631", (float("nan"), 5e6), 10.0),
    ("EPSG:32631", (float("inf"), 5e6), 10.0),
    ("EPSG:32631", (5e5, 5e6), 1e300),
    ("EPSG:32631", (5e5, 5e6), 1e-12),
    ("EPSG:3857", (1e30, 1e30), 1e28),  # PROJ would search for ever
    ("EPSG:4326", (1000.0, 50.0), 0.1),
    ("EPSG:4326", (10.0, 400.0), 0.1),
]


@pytest.mark.parametrize(("crs", "origin", "pixel"), NOWHERE)
def test_a_raster_that_lies_nowhere_is_refused(
    publisher, change_layer, write_raster, tmp_path, crs, origin, pixel
) -> None:
    path = write_raster(
        tmp_path / "nowhere.tif", np.zeros((1, 4, 4), "float32"), nodata=None, bands=["change"],
        crs=crs, origin=origin, pixel=pixel,
    )  # fmt: skip
    with pytest.raises(PublicationError, match=r"^nowhere\.tif (lies outside|has )"):
        publisher.publish(dataclasses.replace(change_layer, path=path))
    assert publisher.jobs() == set()


@pytest.mark.parametrize(
    ("crs", "place"),
    [("EPSG:32631", (5e8, 5e9)), ("EPSG:3857", (1e30, 1e30)), ("EPSG:32631", (1e308, 1e308))],
)
def test_polygons_that_lie_nowhere_are_refused(
    publisher, parcels_layer, tmp_path, crs, place
) -> None:
    corners = [(0, 0), (0.1, 0), (0.1, 0.1), (0, 0)]
    ring = [[place[0] * (1 + x), place[1] * (1 + y)] for x, y in corners]
    collection = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": crs}},
        "features": [
            {
                "type": "Feature", "properties": {"change_level": 1},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        ],
    }  # fmt: skip
    path = tmp_path / "nowhere.geojson"
    path.write_text(json.dumps(collection))
    with pytest.raises(PublicationError, match=r"^nowhere\.geojson (lies outside|has )"):
        publisher.publish(dataclasses.replace(parcels_layer, path=path))
    assert publisher.jobs() == set()


def test_the_usual_range_of_the_largest_numbers_is_finite(
    publisher, change_layer, write_raster, tmp_path
) -> None:
    values = np.tile([-1.7e308, 1.7e308], (1, 4, 2))
    for name, array in {"wide": values, "high": np.full((1, 4, 4), 1.7976931348623157e308)}.items():
        path = write_raster(tmp_path / f"{name}.tif", array, nodata=None, bands=["a"])
        layer = dataclasses.replace(
            change_layer, name=f"Other_{name}_a", path=path, job_id=name, style="grey"
        )
        publisher.publish(layer)
    assert len(publisher.layers()) == 2


JOB = "0b9f3c1e-5d0a-4c51-9b1e-2f6c7a4e8d10"
NAME = f"ChangeDetect_{JOB.replace('-', '_')}_change"


def null_bounds(record: dict) -> dict:
    record["header"]["bounds"] = [None] * 4
    return record


def unknown_style(record: dict) -> dict:
    record["layer"]["style"] = "gone"
    return record


def style_of_polygons(record: dict) -> dict:
    record["layer"]["style"] = "parcels"
    return record


DAMAGES = {
    "null instead of numbers": lambda text: json.dumps(null_bounds(json.loads(text))).encode(),
    "an unknown style": lambda text: json.dumps(unknown_style(json.loads(text))).encode(),
    "a style of polygons": lambda text: json.dumps(style_of_polygons(json.loads(text))).encode(),
    "half of it": lambda text: text[: len(text) // 2].encode(),
    "nothing": lambda _: b"",
    "no text": lambda _: b"\xff\xfe\x00",
    "a list": lambda _: b"[]",
    "too deep": lambda _: b"[" * 100_000,
}


@pytest.fixture
def damaged(new_gateway, change_layer, image_layer):
    """Return a function that publishes two layers and damages the record of one."""

    def damage(how: str) -> MapServerPublisher:
        publisher = new_gateway.publisher
        layer = dataclasses.replace(change_layer, name=NAME, job_id=JOB)
        for each in (layer, image_layer):
            publisher.publish(each)
        path = publisher.store.path(NAME) / RECORD_FILE
        path.write_bytes(DAMAGES[how](path.read_text()))
        publisher.store.mark_changed()
        return publisher

    return damage


@pytest.mark.parametrize("how", DAMAGES)
def test_one_record_that_cannot_be_read_stops_no_other_layer(
    damaged, new_gateway, image_layer, caplog, how
) -> None:
    publisher = damaged(how)
    assert [layer.name for layer in publisher.layers()] == [image_layer.name]
    assert publisher.series() == []
    assert publisher.unreadable() == [NAME]
    assert f"Layer {NAME} is not served" in caplog.text
    answer = requests.get(f"{new_gateway.url}/layers.json", timeout=20)
    assert [layer["name"] for layer in answer.json()["layers"]] == [image_layer.name]
    query = {"service": "WMS", "request": "GetCapabilities"}
    answer = requests.get(f"{new_gateway.url}/ows", params=query, timeout=20)
    assert (answer.status_code, image_layer.name in answer.text) == (200, True)
    assert requests.get(f"{new_gateway.url}/ows/{NAME}/wms", timeout=20).status_code == 404
    publisher.repair()  # as at the next start
    assert [layer.name for layer in publisher.layers()] == [image_layer.name]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_layer_that_cannot_be_read_goes_with_its_job_or_is_made_again(
    damaged, change_layer, how
) -> None:
    publisher = damaged(how)
    assert JOB in publisher.jobs()
    layer: Layer = dataclasses.replace(change_layer, name=NAME, job_id=JOB)
    publisher.publish(layer)
    assert publisher.unreadable() == []
    path = publisher.store.path(NAME) / RECORD_FILE
    path.write_bytes(DAMAGES[how](path.read_text()))
    publisher.remove(JOB)
    assert not publisher.store.path(NAME).exists()
    assert JOB not in publisher.jobs()


def test_a_signature_that_is_no_text_does_not_keep_mapserver_from_starting(
    damaged, image_layer
) -> None:
    publisher = damaged("nothing")
    (publisher.folder / "made-by").write_bytes(b"\xff\xfe")
    publisher.repair()
    assert [layer.name for layer in publisher.layers()] == [image_layer.name]


def test_a_box_that_is_large_but_on_earth_is_served(publisher, parcels_layer, tmp_path) -> None:
    shape = json.loads(shapely.to_geojson(shapely.box(-180, -90, 180, 90)))
    feature = {"type": "Feature", "properties": {"change_level": 1}, "geometry": shape}
    path = tmp_path / "world.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    publisher.publish(dataclasses.replace(parcels_layer, path=path))
    assert publisher.layers()[0].bounds == (-180, -90, 180, 90)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"layer": {"job_id": JOB}}), "null"])
def test_a_store_of_geoserver_that_nobody_can_read_stops_no_other_and_goes_with_its_job(
    geoserver, double, change_layer, image_layer, text
) -> None:
    layer = dataclasses.replace(change_layer, name=NAME, job_id=JOB)
    for each in (layer, image_layer):
        geoserver().publish(each)
    store = double.catalog.store("candela_all", NAME)
    (entry,) = [e for e in store.document["metadata"]["entry"] if e["@key"] == "candela"]
    entry["$"] = text
    publisher = geoserver()
    assert [each.name for each in publisher.layers()] == [image_layer.name]
    assert publisher.unreadable() == [NAME]
    assert publisher.jobs() == {JOB, image_layer.job_id}
    publisher.remove(JOB)
    assert publisher.unreadable() == []
    assert publisher.jobs() == {image_layer.job_id}
    assert NAME not in str(double.catalog.workspace("candela_all"))


def test_a_store_of_geoserver_that_nobody_can_read_is_made_again(
    geoserver, double, change_layer
) -> None:
    layer = dataclasses.replace(change_layer, name=NAME, job_id=JOB)
    geoserver().publish(layer)
    (entry,) = double.catalog.store("candela_all", NAME).document["metadata"]["entry"]
    entry["$"] = "{"
    publisher = geoserver()
    assert publisher.layers() == []
    publisher.publish(layer)
    assert publisher.unreadable() == []
    assert [each.name for each in publisher.layers()] == [NAME]
