"""GetFeatureInfo as GeoJSON and HTML: values keep their types, and none becomes markup."""

import json

import numpy as np
import pytest
import requests
import shapely
from lxml import html

from candela.publish.base import Layer

HOSTILE = {
    "name": "<script>alert(1)</script>", "code": "01234", "hex": "0x1F", "entity": "&lt;b&gt;",
    "quote": "\" onload=\"x", "change_level": 2, "share": 0.5, "gap": None,
}  # fmt: skip
MAP = {
    "service": "WMS", "version": "1.3.0", "request": "GetFeatureInfo", "width": 100, "height": 100,
}  # fmt: skip


@pytest.fixture(scope="module")
def published(start_gateway, tmp_path_factory, change_layer, image_layer):
    """Two rasters, and parcels whose values look like markup and numbers."""
    folder = tmp_path_factory.mktemp("info")
    features = [
        {"type": "Feature", "id": number, "properties": HOSTILE,
         "geometry": json.loads(shapely.to_geojson(shapely.box(10, 48, 10.5, 48.5)))}
        for number in range(150)
    ]  # fmt: skip
    path = folder / "parcels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    parcels = Layer("P_1_parcels", "p", path, "<b>Parcels</b>", "", "parcels")
    with start_gateway(folder / "state") as gateway:
        for layer in (change_layer, image_layer, parcels):
            gateway.publisher.publish(layer)
        yield gateway


def ask(gateway, layers: str, form: str, **query) -> requests.Response:
    place = {"crs": "EPSG:32632", "bbox": "600000,5399000,601000,5400000", "i": 60, "j": 70}
    if layers == "P_1_parcels":
        place = {"crs": "CRS:84", "bbox": "10,48,11,49", "i": 10, "j": 90}
    query = MAP | place | {"layers": layers, "query_layers": layers, "info_format": form} | query
    return requests.get(f"{gateway.url}/ows", params=query, timeout=20)


def test_the_values_of_a_pixel_are_numbers_and_missing_ones_null(
    published, probability, reflectance, change_layer, image_layer
) -> None:
    both = f"{change_layer.name},{image_layer.name}"
    answer = ask(published, both, "application/json")
    assert answer.headers["Content-Type"].startswith("application/json")
    change, image = (item["properties"] for item in answer.json()["features"])
    assert image == {"x": 600605, "y": 5399295} | {
        band: int(value)
        for band, value in zip(("B02", "B03", "B04", "B08"), reflectance[:, 70, 60], strict=True)
    }
    assert np.isnan(probability[0, 70, 60])
    assert change["change"] is None
    (other,) = ask(published, change_layer.name, "application/json", j=20).json()["features"]
    assert other["properties"]["change"] == pytest.approx(probability[0, 20, 60], rel=1e-6)


def test_texts_remain_texts_whatever_they_look_like(published) -> None:
    found = ask(published, "P_1_parcels", "application/json").json()["features"]
    assert found[0]["properties"] == {"feature_id": found[0]["properties"]["feature_id"]} | HOSTILE


def test_no_value_and_no_title_becomes_markup(published) -> None:
    answer = ask(published, "P_1_parcels", "text/html")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    page = html.fromstring(answer.text)
    assert {element.tag for element in page.iter()} <= {
        "html", "head", "meta", "title", "body", "table", "caption", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert page.findtext(".//caption") == "<b>Parcels</b>"
    rows = {row.findtext("th"): row.findtext("td") for row in page.iter("tr")}
    assert {name: rows[name] for name in ("name", "code", "entity", "quote", "gap")} == {
        "name": HOSTILE["name"], "code": "01234", "entity": "&lt;b&gt;",
        "quote": HOSTILE["quote"], "gap": "no data",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["application/json", "text/html"])
def test_an_exception_stays_one_and_answers_are_bounded(published, form) -> None:
    answer = ask(published, "P_1_parcels", form, crs="EPSG:1")
    assert "<ServiceException" in answer.text
    assert "xml" in answer.headers["Content-Type"]
    for count, most in (("100000", 100), ("3", 3), ("", 1), ("x", 1)):
        answer = ask(published, "P_1_parcels", form, feature_count=count)
        assert answer.text.count("01234") <= most
