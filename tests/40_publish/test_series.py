"""Time series by WMS: one layer, many dates, asked by OWSLib of a real MapServer."""

import dataclasses
import io

import numpy as np
import pytest
import requests
from owslib.wms import WebMapService
from PIL import Image
from rasterio.warp import transform_bounds

from candela.publish.styles import load_style

WINDOW = (600_000, 5_397_000, 606_000, 5_400_000)
SIZE = (60, 30)  # left half: the first place; right half: the one beside it


@pytest.fixture
def series(new_gateway, dated_layer):
    """Two dates at one place, and the second date beside it as well."""
    layers = [
        dated_layer("2020-01-31", value=0.25),
        dated_layer("2020-03-01", value=0.55),
        dated_layer("2020-03-01", value=0.9, east_m=3000),
    ]
    for layer in layers:
        new_gateway.publisher.publish(layer)
    (found,) = new_gateway.publisher.series()
    return new_gateway, found, layers


def colour_of(value: float) -> list[int]:
    (colour,) = [c.colour for c in load_style("change").classes if c.low <= value < c.high]
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def picture(url: str, name: str, **options) -> np.ndarray:
    request = {
        "layers": [name], "srs": "EPSG:32632", "bbox": WINDOW, "size": SIZE,
        "format": "image/png", "transparent": True, **options,
    }  # fmt: skip
    answer = WebMapService(url, version="1.3.0").getmap(**request)
    return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA")).astype(int)


def shown(drawn: np.ndarray) -> list[list[int] | None]:
    """Return the colours in the middle of both halves; None where nothing is drawn."""
    pixels = [drawn[15, 15], drawn[15, 45]]
    return [None if pixel[3] == 0 else pixel[:3].tolist() for pixel in pixels]


@pytest.mark.parametrize(
    ("time", "values"),
    [
        ("2020-01-31T00:00:00Z", [0.25, None]),
        ("2020-01-31", [0.25, None]),
        ("2020-03-01T00:00:00Z", [0.55, 0.9]),
        (None, [0.55, 0.9]),
    ],
)
def test_each_date_shows_what_was_seen_then(series, time, values) -> None:
    _, found, _ = series
    drawn = picture(found.links.wms, found.name, **({"time": time} if time else {}))
    for seen, value in zip(shown(drawn), values, strict=True):
        if value is None:
            assert seen is None
        else:
            assert seen is not None
            assert np.abs(np.subtract(seen, colour_of(value))).max() <= 1


def test_the_capabilities_advertise_the_dates(series) -> None:
    gateway, found, _ = series
    for url in (found.links.wms, f"{gateway.url}/ows"):
        layer = WebMapService(url, version="1.3.0")[found.name]
        assert layer.timepositions == ["2020-01-31T00:00:00Z", "2020-03-01T00:00:00Z"]
        assert layer.defaulttimeposition == "2020-03-01T00:00:00Z"


def test_a_series_is_drawn_in_other_systems_and_from_the_service_of_all(series) -> None:
    gateway, found, _ = series
    box = transform_bounds("EPSG:32632", "EPSG:3857", *WINDOW)
    drawn = picture(f"{gateway.url}/ows", found.name, srs="EPSG:3857", bbox=box)
    for seen, value in zip(shown(drawn), (0.55, 0.9), strict=True):
        assert seen is not None
        assert np.abs(np.subtract(seen, colour_of(value))).max() <= 1


def test_dates_come_and_go_while_the_layer_is_served(series, dated_layer) -> None:
    gateway, found, layers = series
    gateway.publisher.publish(dated_layer("2020-05-01", value=0.7))
    assert shown(picture(found.links.wms, found.name))[0] == pytest.approx(colour_of(0.7), abs=1)
    gateway.publisher.remove(layers[0].job_id)
    wms = WebMapService(found.links.wms, version="1.3.0")
    assert wms[found.name].timepositions == ["2020-03-01T00:00:00Z", "2020-05-01T00:00:00Z"]
    for layer in gateway.publisher.layers():
        gateway.publisher.remove(layer.job_id)
    assert requests.get(found.links.wms, timeout=10).status_code == 404


def test_a_raster_that_has_gone_leaves_the_others_of_its_series_visible(series) -> None:
    _, found, layers = series
    layers[1].path.unlink()
    assert shown(picture(found.links.wms, found.name, time="2020-03-01"))[1] == pytest.approx(
        colour_of(0.9), abs=1
    )


def test_feature_info_of_a_series_gives_the_value_of_a_date(series) -> None:
    _, found, _ = series
    wms = WebMapService(found.links.wms, version="1.3.0")
    for date, value in (("2020-01-31", 0.25), ("2020-03-01", 0.55)):
        text = wms.getfeatureinfo(
            layers=[found.name], query_layers=[found.name], srs="EPSG:32632", bbox=WINDOW,
            size=SIZE, info_format="text/plain", xy=(15, 15), time=date,
        ).read().decode()  # fmt: skip
        assert float(text.split("value_0 = '")[1].split("'")[0]) == pytest.approx(value, rel=1e-5)


def test_everybody_sees_his_own_layers_only_where_layers_are_private(
    private_gateway, dated_layer
) -> None:
    gateway = private_gateway
    mine, theirs = (
        dataclasses.replace(dated_layer("2020-01-31"), owner=owner) for owner in ("ann", "bob")
    )
    for layer in (mine, theirs):
        gateway.publisher.publish(layer)
    ann = {"X-User": "ann"}
    url = f"{gateway.url}/ows"
    text = requests.get(url, headers=ann, timeout=10).text
    assert mine.name in text
    assert theirs.name not in text
    assert text.count("<Dimension") == 1
    link = gateway.publisher.links(theirs.name).wms
    assert requests.get(link, headers=ann, timeout=10).status_code == 404
    assert requests.get(link, headers={"X-User": "bob"}, timeout=10).status_code == 200
    assert requests.get(link, timeout=10).status_code == 404
    (series,) = [s for s in gateway.publisher.series() if s.owner == "bob"]
    assert requests.get(series.links.wms, headers=ann, timeout=10).status_code == 404
    picture_of_theirs = requests.get(
        f"{url}?service=WMS&version=1.3.0&request=GetMap&layers={theirs.name}&styles="
        "&crs=EPSG:32632&bbox=600000,5397000,606000,5400000&width=6&height=3&format=image/png",
        headers=ann, timeout=10,
    )  # fmt: skip
    assert "LayerNotDefined" in picture_of_theirs.text
    listed = requests.get(f"{gateway.url}/layers.json", headers=ann, timeout=10).json()
    assert [layer["name"] for layer in listed["layers"]] == [mine.name]
