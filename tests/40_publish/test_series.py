"""Time series by WMS: one layer, many dates, asked by OWSLib of a real MapServer."""

import dataclasses
import io

import numpy as np
import pytest
import rasterio
import requests
from lxml import etree
from owslib.wcs import WebCoverageService
from owslib.wms import WebMapService
from PIL import Image
from rasterio.warp import transform_bounds

from candela.publish.base import Layer
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


@pytest.fixture(scope="module")
def of_the_morning(start_gateway, tmp_path_factory, write_raster):
    """Images of three mornings, as Sentinel-2 takes them, two of them in one month."""
    folder = tmp_path_factory.mktemp("mornings")
    with start_gateway(folder / "state") as gateway:
        for time, value in MORNINGS.items():
            path = write_raster(
                folder / f"{value}.tif", np.full((1, 300, 300), value, "float32"), nodata=np.nan,
                bands=["change"], tags={"SENSING_TIME": time},
            )  # fmt: skip
            name = f"Image_{round(100 * value)}_image"
            gateway.publisher.publish(
                Layer(name, name, path, "Image", "", "change", process="Image", output="image")
            )
        yield gateway


MORNINGS = {
    "2020-07-08T10:50:31Z": 0.25, "2020-07-18T10:50:31Z": 0.55, "2022-06-28T10:50:31Z": 0.9,
}  # fmt: skip


def asked(gateway, time: str | None, **query) -> requests.Response:
    (series,) = gateway.publisher.series()
    query = {
        "service": "WMS", "version": "1.3.0", "request": "GetMap", "layers": series.name,
        "crs": "EPSG:32632", "bbox": "600000,5397000,603000,5400000", "width": 30, "height": 30,
        "format": "image/png", "transparent": "true",
    } | ({} if time is None else {"time": time}) | query  # fmt: skip
    return requests.get(f"{gateway.url}/ows", params=query, timeout=20)


def value_at(gateway, time: str | None) -> float:
    (series,) = gateway.publisher.series()
    answer = asked(
        gateway, time, request="GetFeatureInfo", query_layers=series.name, i=15, j=15,
        info_format="text/plain",
    )  # fmt: skip
    return float(answer.text.split("value_0 = '")[1].split("'")[0])


@pytest.mark.parametrize(
    ("time", "value"),
    [
        ("2020-07-18T10:50:31Z", 0.55),
        ("2020-07-18T10:50:31.000Z", 0.55),
        ("2020-07-18T12:50:31+02:00", 0.55),
        ("2020-07-18T10:50:31", 0.55),
        ("2020-07-18T10:50Z", 0.55),
        ("2020-07-18T10", 0.55),
        ("2020-07-18", 0.55),
        ("2020-07", 0.55),  # the last of the two
        ("2020", 0.55),
        ("2022", 0.9),
        ("current", 0.9),
        ("2020-07-18T00:00:00Z", 0.55),  # the frame of a day in QGIS
        ("2020-07-18T00:00:00.000Z", 0.55),
        ("2020-07-01/2020-07-10", 0.25),
        ("2020-07-08/2020-07-18", 0.55),  # the last day as well
        ("2020-07-01T00:00:00Z/2020-07-18T00:00:00Z", 0.25),
        ("2020-07-01/2020-07-31/P1D", 0.55),
        ("2020-07-10/current", 0.9),
        ("1999-01-01/2020-07/P10D", 0.55),
        ("2020-07-08,2020-07-18", 0.55),
        ("2020-07-18,2020-07-08", 0.55),
        ("2019,2020-07-08", 0.25),
        ("", 0.9),
        (None, 0.9),
    ],
)
def test_a_day_or_an_interval_shows_the_last_image_in_it(of_the_morning, time, value) -> None:
    answer = asked(of_the_morning, time)
    assert answer.headers["Content-Type"] == "image/png", answer.text
    pixel = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[15, 15].astype(int)
    assert np.abs(pixel[:3] - colour_of(value)).max() <= 1
    assert value_at(of_the_morning, time) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    "time",
    ["2021-07-18", "2020-07-17", "2020-07-18T10:50:30Z", "2020-07-18T11", "2020-07-17T00:00:00Z",
     "2020-07-19/2020-07-31", "2020-07-31/2020-07-01", "2020-08,2021", "garbage", "2020-02-30",
     "20200718", "2020-7-18", "0000", "9999", "-2020", "2020-07-18T25", "/", "2020/", "/2020",
     "2020/2021/", "2020/2021/1", "2020/2021/P", "2020/2021/P1D/P1D", "2020,,",
     "\uff12\uff10\uff12\uff10", "' OR 1=1 --", "2020" * 2000, "PT1H", "now"],
)  # fmt: skip
def test_a_time_without_an_image_is_an_invalid_dimension_value(of_the_morning, time) -> None:
    (series,) = of_the_morning.publisher.series()
    info = {"query_layers": series.name, "i": 1, "j": 1, "info_format": "text/plain"}
    for operation, version, mimetype in (
        ("GetMap", "1.3.0", "text/xml"),
        ("GetFeatureInfo", "1.1.1", "application/vnd.ogc.se_xml"),
    ):
        answer = asked(of_the_morning, time, request=operation, version=version, **info)
        assert answer.headers["Content-Type"].partition(";")[0] == mimetype
        (found,) = etree.fromstring(answer.content)
        assert found.get("code") == "InvalidDimensionValue"


def test_a_coverage_is_answered_for_its_own_time_only(of_the_morning) -> None:
    query = {
        "service": "WCS", "version": "1.0.0", "request": "GetCoverage", "format": "geotiff",
        "coverage": "Image_55_image", "crs": "EPSG:32632", "width": 30, "height": 30,
        "bbox": "600000,5397000,603000,5400000",
    }  # fmt: skip
    url = f"{of_the_morning.url}/ows"
    for time in ("2020-07-18", "2020-07", "2020-07-18T10:50:31Z", ""):
        answer = requests.get(url, params=query | {"time": time}, timeout=10)
        assert answer.headers["Content-Type"] == "image/tiff", answer.text
    for time in ("2020-07-08", "2021", "garbage"):
        answer = requests.get(url, params=query | {"time": time}, timeout=10)
        assert 'code="InvalidDimensionValue"' in answer.text


def coverage(gateway, **query) -> requests.Response:
    """Ask the WCS of the series for a coverage: of the series, if nothing else is named."""
    (series,) = gateway.publisher.series()
    old = {
        "coverage": series.name, "crs": "EPSG:32632", "width": 30, "height": 30,
        "bbox": "600000,5397000,603000,5400000", "format": "geotiff",
    }  # fmt: skip
    new = {"coverageid": series.name, "format": "image/tiff"}
    named = old if query.get("version") == "1.0.0" else new
    query = {"service": "WCS", "version": "2.0.1", "request": "GetCoverage"} | named | query
    return requests.get(series.links.wcs, params=query, timeout=10)


def first_value(answer: requests.Response) -> float:
    assert answer.headers["Content-Type"] == "image/tiff", answer.text
    with rasterio.MemoryFile(answer.content) as file, file.open() as dataset:
        return float(dataset.read(1)[0, 0])


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ({"version": "1.0.0", "time": "2020-07-08T10:50:31Z"}, 0.25),
        ({"version": "1.0.0", "time": "2020-07"}, 0.55),
        ({"version": "1.0.0", "time": "2020-07-01/2020-07-10"}, 0.25),
        ({"version": "1.0.0"}, 0.9),
        ({"subset": ['time("2020-07-08T10:50:31Z")']}, 0.25),
        ({"subset": ['time("2020-07-18")', "x(600500,602300)"]}, 0.55),
        ({"subset": ["x(600500,602300)", 'Time("2020-07-01","2020-07-10")']}, 0.25),
        ({"subset": ["time(2020)"]}, 0.55),
        ({}, 0.9),
        ({"coverageid": "Image_25_image"}, 0.25),  # as the capabilities name it
        ({"coverageid": "Image_25_image", "subset": ['time("2020-07-08")']}, 0.25),
    ],
)
def test_the_coverage_of_a_series_is_that_of_a_time(of_the_morning, query, value) -> None:
    assert first_value(coverage(of_the_morning, **query)) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"version": "1.0.0", "time": "2021"}, "InvalidDimensionValue"),
        ({"subset": ['time("2020-07-09")']}, "InvalidParameterValue"),
        ({"subset": ['time("garbage")']}, "InvalidParameterValue"),
        ({"subset": ['time("2020")', 'time("2021")']}, "InvalidAxisLabel"),
        ({"coverageid": "Image_25_image", "subset": ['time("2022")']}, "InvalidParameterValue"),
        ({"coverageid": "Other"}, "NoSuchCoverage"),
    ],
)
def test_a_series_has_no_coverage_of_another_time(of_the_morning, query, code) -> None:
    answer = coverage(of_the_morning, **query)
    assert answer.status_code in {400, 404}
    assert f'ode="{code}"' in answer.text


@pytest.mark.parametrize("version", ["1.0.0", "2.0.1"])
def test_the_wcs_of_a_series_names_the_coverages_of_its_dates(of_the_morning, version) -> None:
    (series,) = of_the_morning.publisher.series()
    wcs = WebCoverageService(series.links.wcs, version=version)
    assert set(wcs.contents) == {"Image_25_image", "Image_55_image", "Image_90_image"}
    assert series.links.wcs in wcs.getOperationByName("GetCoverage").methods[0]["url"]
    described = coverage(
        of_the_morning, request="DescribeCoverage", version=version, time="2020-07-18"
    ).text
    assert "Image_55_image" in described
    assert "Image_25_image" not in described


def test_a_series_with_two_coverages_of_a_date_says_which(series) -> None:
    gateway, _, layers = series
    answer = coverage(gateway)
    assert answer.status_code == 400
    described = coverage(gateway, request="DescribeCoverage")
    for layer in layers[1:]:
        assert layer.name in answer.text
        assert layer.name in described.text
    assert first_value(coverage(gateway, subset=['time("2020-01")'])) == pytest.approx(0.25)


def test_a_body_names_a_coverage_of_a_series_not_the_series(of_the_morning) -> None:
    (series,) = of_the_morning.publisher.series()
    for name, status in ((series.name, 415), ("Image_25_image", 200), ("Other", 404)):
        body = (
            '<GetCoverage xmlns="http://www.opengis.net/wcs/2.0" service="WCS" version="2.0.1">'
            f"<CoverageId>{name}</CoverageId><format>image/tiff</format></GetCoverage>"
        )
        headers = {"Content-Type": "text/xml"}
        answer = requests.post(series.links.wcs, body, headers=headers, timeout=10)
        assert answer.status_code == status, answer.text


def test_the_default_time_is_told_in_a_header(of_the_morning) -> None:
    told = "99 Default value used: time=2022-06-28T10:50:31Z ISO8601"
    assert asked(of_the_morning, None).headers["Warning"] == told
    assert "Warning" not in asked(of_the_morning, "2020").headers


def test_what_the_capabilities_say_of_time_is_true(of_the_morning) -> None:
    (series,) = of_the_morning.publisher.series()
    text = requests.get(series.links.wms, timeout=10).content
    (dimension,) = etree.fromstring(text).iter("{*}Dimension")
    assert dimension.get("units") == "ISO8601"
    assert dimension.get("default") == "2022-06-28T10:50:31Z"
    assert dimension.get("nearestValue", "0") == "0"
    assert dimension.get("multipleValues", "0") == "0"
    assert dimension.text.split(",") == list(MORNINGS)


def test_layers_whose_last_images_differ_are_not_shown_as_of_one_time(
    of_the_morning, write_raster, tmp_path
) -> None:
    publisher = of_the_morning.publisher
    (series,) = publisher.series()
    path = write_raster(
        tmp_path / "other.tif", np.full((1, 300, 300), 0.25, "float32"), nodata=np.nan,
        bands=["change"], tags={"SENSING_TIME": "2020-07-10T00:00:00Z"},
    )  # fmt: skip
    publisher.publish(Layer("O_1_o", "o", path, "O", "", "change", process="O", output="o"))
    (other,) = [item for item in publisher.series() if item.name != series.name]
    try:
        layers = {"layers": f"{series.name},{other.name}"}
        first = {"layers": series.name}
        query = first | {
            "service": "WMS", "version": "1.3.0", "request": "GetMap", "crs": "EPSG:32632",
            "bbox": "600000,5397000,603000,5400000", "width": 3, "height": 3,
            "format": "image/png",
        }  # fmt: skip
        url = f"{of_the_morning.url}/ows"
        refused = requests.get(url, params=query | layers | {"time": "2020-07"}, timeout=10)
        assert "InvalidDimensionValue" in refused.text
        default = requests.get(url, params=query | layers, timeout=10)
        assert default.headers["Content-Type"] == "image/png"
    finally:
        publisher.remove("o")


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
