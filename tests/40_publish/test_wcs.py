"""WCS 2.0.1 of published layers, asked by OWSLib: what comes back is what the file holds."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np
import pytest
import rasterio
import requests
from lxml import etree
from owslib.wcs import WebCoverageService
from pyproj import Transformer
from rasterio.warp import transform_bounds

from candela.publish.base import Layer

SUBSET = [("x", 600_500, 602_300), ("y", 5_398_000, 5_399_700)]
ROWS, COLS = slice(30, 200), slice(50, 230)


@contextmanager
def coverage(url: str, name: str, subsets=SUBSET) -> Iterator[rasterio.DatasetReader]:
    wcs = WebCoverageService(url, version="2.0.1")
    answer = wcs.getCoverage(identifier=name, format="image/tiff", subsets=subsets)
    with rasterio.MemoryFile(answer.read()) as file, file.open() as dataset:
        yield dataset


@pytest.fixture(params=["all", "one"])
def address(request, gateway):
    """The service of all layers, and that of one."""

    def find(layer: Layer) -> str:
        return (
            f"{gateway.url}/ows"
            if request.param == "all"
            else gateway.publisher.links(layer.name).wcs
        )

    return find


def test_the_capabilities_list_the_coverages(gateway, change_layer) -> None:
    everything = WebCoverageService(f"{gateway.url}/ows", version="2.0.1")
    assert set(everything.contents) == {
        "ChangeDetect_1_change", "Jpeg2Tiff_2_image", "Other_3_height",
    }  # fmt: skip
    link = gateway.publisher.links(change_layer.name).wcs
    assert list(WebCoverageService(link, version="2.0.1").contents) == [change_layer.name]
    assert "wcs:Capabilities" in requests.get(link, timeout=10).text


def test_a_subset_of_floats_equals_the_file_bit_by_bit(address, probability, change_layer) -> None:
    with coverage(address(change_layer), change_layer.name) as dataset:
        assert dataset.dtypes == ("float32",)
        assert np.isnan(dataset.nodata)
        assert dataset.crs.to_epsg() == 32632
        assert tuple(dataset.bounds) == (600_500, 5_398_000, 602_300, 5_399_700)
        expected = probability[:, ROWS, COLS]
        assert np.array_equal(dataset.read().view("uint32"), expected.copy().view("uint32"))


def test_a_subset_of_sixteen_bits_keeps_all_values_and_bands(
    address, reflectance, image_layer
) -> None:
    with coverage(address(image_layer), image_layer.name) as dataset:
        assert dataset.count == 4
        assert dataset.nodata == 0
        assert np.array_equal(dataset.read(), reflectance[:, ROWS, COLS])


def test_nodata_pixels_come_back_as_nodata(gateway, reflectance, image_layer) -> None:
    corner = [("x", 600_000, 601_000), ("y", 5_399_000, 5_400_000)]
    with coverage(f"{gateway.url}/ows", image_layer.name, corner) as dataset:
        assert np.array_equal(dataset.read(), reflectance[:, :100, :100])
        assert not dataset.dataset_mask()[:40, :40].any()


def test_the_whole_coverage_comes_without_a_subset(address, probability, change_layer) -> None:
    with coverage(address(change_layer), change_layer.name, []) as dataset:
        assert np.array_equal(dataset.read(), probability, equal_nan=True)


def test_the_whole_coverage_is_the_file_itself_whatever_its_size(
    gateway, monkeypatch, image_layer
) -> None:
    monkeypatch.setattr("candela.publish.mapfile.WCS_MAX_BYTES", 4 * 4 * 100 * 100)
    url = gateway.publisher.publish(image_layer).wcs
    request = {
        "service": "WCS", "version": "2.0.1", "request": "GetCoverage",
        "coverageId": image_layer.name, "format": "image/tiff",
    }  # fmt: skip
    answer = requests.get(url, params=request, timeout=10)
    monkeypatch.undo()
    gateway.publisher.publish(image_layer)
    assert answer.content == image_layer.path.read_bytes()
    assert answer.headers["Content-Type"] == "image/tiff"
    part = requests.get(url, params=request, headers={"Range": "bytes=0-3"}, timeout=10)
    assert (part.status_code, part.content) == (206, image_layer.path.read_bytes()[:4])


def test_the_description_names_bands_and_nodata(address, image_layer, gateway) -> None:
    url = address(image_layer)
    text = requests.get(
        f"{url}?service=WCS&version=2.0.1&request=DescribeCoverage&coverageId={image_layer.name}",
        timeout=10,
    ).text
    for band in ("B02", "B03", "B04", "B08"):
        assert f'<swe:field name="{band}">' in text
    assert 'uom code="1"' in text
    assert "W.m-2" not in text
    assert ">0</swe:nilValue>" in text


def test_one_band_can_be_asked_for(gateway, reflectance, image_layer) -> None:
    url = gateway.publisher.links(image_layer.name).wcs
    answer = requests.get(
        f"{url}?service=WCS&version=2.0.1&request=GetCoverage&coverageId={image_layer.name}"
        "&format=image/tiff&rangesubset=B04&subset=x(600500,602300)&subset=y(5398000,5399700)",
        timeout=10,
    )
    with rasterio.MemoryFile(answer.content).open() as dataset:
        assert np.array_equal(dataset.read(), reflectance[2:3, ROWS, COLS])


def test_a_request_in_xml_is_answered(address, change_layer) -> None:
    body = (
        '<wcs:DescribeCoverage xmlns:wcs="http://www.opengis.net/wcs/2.0" service="WCS"'
        f' version="2.0.1"><wcs:CoverageId>{change_layer.name}</wcs:CoverageId>'
        "</wcs:DescribeCoverage>"
    )
    answer = requests.post(
        address(change_layer), data=body, headers={"Content-Type": "text/xml"}, timeout=10
    )
    assert "wcs:CoverageDescription" in answer.text
    assert change_layer.name in answer.text


@pytest.mark.parametrize(
    ("dtype", "nodata", "crs", "origin", "pixel", "subset"),
    [
        ("uint8", None, "EPSG:32633", (4e5, 5e6), 10, "x(400500,401500)|y(4998000,4999000)"),
        ("int16", -9999, "EPSG:32733", (4e5, 5e6), 10, "x(400500,401500)|y(4998000,4999000)"),
        ("float32", 0, "EPSG:3035", (4e6, 3e6), 20, "x(4001000,4002000)|y(2998000,2999000)"),
        ("float32", np.nan, "EPSG:4326", (-0.78, 38.13), 1e-4, "long(-.77,-.76)|lat(38.11,38.12)"),
    ],
)
def test_all_types_and_systems_come_back_as_they_are(
    gateway, write_raster, tmp_path, dtype, nodata, crs, origin, pixel, subset
) -> None:
    values = np.random.default_rng(3).integers(0, 200, (2, 300, 300)).astype(dtype)
    path = write_raster(
        tmp_path / "a.tif", values, nodata=nodata, bands=["a", "b"], crs=crs, origin=origin,
        pixel=pixel,
    )  # fmt: skip
    layer = Layer(f"Types_{dtype}_{crs[5:]}", "types", path, "Types", "", "grey")
    url = gateway.publisher.publish(layer).wcs
    subsets = "&".join(f"subset={part}" for part in subset.split("|"))
    answer = requests.get(
        f"{url}?service=WCS&version=2.0.1&request=GetCoverage&coverageId={layer.name}"
        f"&format=image/tiff&{subsets}",
        timeout=10,
    )
    gateway.publisher.remove("types")
    with rasterio.MemoryFile(answer.content) as file, file.open() as dataset:
        assert dataset.dtypes == (dtype, dtype)
        assert dataset.crs == rasterio.crs.CRS.from_string(crs)
        row, col = (
            round((origin[1] - dataset.bounds.top) / pixel),
            round((dataset.bounds.left - origin[0]) / pixel),
        )
        rows, cols = dataset.shape
        assert min(rows, cols) >= 50
        assert np.array_equal(dataset.read(), values[:, row : row + rows, col : col + cols])
        assert dataset.nodata == nodata or (nodata is not None and np.isnan(nodata))


def test_a_coverage_above_the_limit_is_refused_with_a_reason(
    gateway, tmp_path, monkeypatch, image_layer
) -> None:
    monkeypatch.setattr("candela.publish.mapfile.WCS_MAX_BYTES", 4 * 4 * 100 * 100)
    url = gateway.publisher.publish(image_layer).wcs
    answer = requests.get(
        f"{url}?service=WCS&version=2.0.1&request=GetCoverage&coverageId={image_layer.name}"
        "&format=image/tiff&subset=x(600000,602000)",
        timeout=10,
    )
    monkeypatch.undo()
    gateway.publisher.publish(image_layer)
    assert "Exception" in answer.text
    assert "MAXSIZE=100" in answer.text


@pytest.mark.parametrize("operation", ["GetCoverage", "DescribeCoverage"])
@pytest.mark.parametrize(
    "version, key, code",
    [("2.0.1", "coverageid", "NoSuchCoverage"), ("1.0.0", "coverage", "CoverageNotDefined")],
)
def test_another_coverage_is_not_answered_with_the_one_of_the_address(
    address, change_layer, image_layer, operation, version, key, code
) -> None:
    url = address(change_layer)
    names = ["Bogus", "%", "a,Bogus"] + ([image_layer.name] if url.endswith("wcs") else [])
    for name in names:
        query = {
            "service": "WCS", "version": version, "request": operation, key: name,
            "format": "image/tiff",
        }  # fmt: skip
        answer = requests.get(url, params=query, timeout=10)
        assert answer.status_code == 404
        assert f'ode="{code}"' in answer.text


def test_a_body_names_no_other_coverage_either(address, change_layer) -> None:
    body = (
        "<?xml version='1.0'?><GetCoverage xmlns='http://www.opengis.net/wcs/2.0' service='WCS' "
        "version='2.0.1'><CoverageId>Bogus</CoverageId></GetCoverage>"
    )
    answer = requests.post(
        address(change_layer), body, headers={"Content-Type": "text/xml"}, timeout=10
    )
    assert answer.status_code == 404
    assert 'exceptionCode="NoSuchCoverage"' in answer.text
    assert "http://www.opengis.net/ows/2.0" in answer.text


def test_without_a_coverage_there_is_no_answer(address, change_layer) -> None:
    query = {"service": "WCS", "version": "2.0.1", "request": "GetCoverage"}
    answer = requests.get(address(change_layer), params=query, timeout=10)
    assert "ExceptionReport" in answer.text


def test_the_capabilities_name_what_is_offered_and_nothing_else(gateway) -> None:
    url = f"{gateway.url}/ows?service=WCS&request=GetCapabilities"
    new = etree.fromstring(requests.get(f"{url}&version=2.0.1", timeout=10).content)
    assert [item.text for item in new.iter("{*}ServiceTypeVersion")] == ["2.0.1", "1.0.0"]
    assert [item.text for item in new.iter("{*}formatSupported")] == ["image/tiff"]
    (encoding,) = new.iterfind("{*}OperationsMetadata/{*}Constraint")
    assert encoding.get("name") == "PostEncoding"
    lower = etree.fromstring(requests.get(f"{url}&version=1.1.1", timeout=10).content)
    assert lower.get("version") == "1.0.0"
    refused = requests.get(f"{url}&acceptversions=1.1.1", timeout=10)
    assert 'exceptionCode="VersionNegotiationFailed"' in refused.text


@pytest.mark.parametrize(
    "subset", [["bogus(600500)"], ["x(600500,602300)", "x(600500)"], ["(1)"], ["time(1)"]]
)
def test_an_axis_that_there_is_not_is_an_invalid_label(gateway, change_layer, subset) -> None:
    query = {
        "service": "WCS", "version": "2.0.1", "request": "GetCoverage",
        "coverageid": change_layer.name, "subset": subset,
    }  # fmt: skip
    answer = requests.get(f"{gateway.url}/ows", params=query, timeout=10)
    assert answer.status_code == 404
    assert 'exceptionCode="InvalidAxisLabel"' in answer.text


@pytest.mark.parametrize("version", ["1.1.0", "1.1.1", "1.1.2"])
def test_wcs_of_the_versions_between_is_not_offered(gateway, change_layer, version) -> None:
    query = {
        "service": "WCS", "version": version, "request": "GetCoverage", "format": "image/tiff",
        "identifier": change_layer.name,
        "boundingbox": "600000,5398000,602000,5400000,urn:ogc:def:crs:EPSG::32632",
    }  # fmt: skip
    answer = requests.get(f"{gateway.url}/ows", params=query, timeout=10)
    assert answer.status_code == 400
    assert "Exception" in answer.text


# WCS 1.0.0, the only one that QGIS knows


@pytest.mark.parametrize("size", [{"width": 180, "height": 170}, {"resx": 10, "resy": 10}])
def test_the_old_wcs_gives_the_pixels_of_the_file(address, reflectance, image_layer, size) -> None:
    wcs = WebCoverageService(address(image_layer), version="1.0.0")
    told = wcs[image_layer.name]
    assert told.supportedFormats == ["geotiff"]
    codes = {item.getcode() for item in told.supportedCRS}
    assert codes >= {"EPSG:32632", "EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:2154"}
    answer = wcs.getCoverage(
        identifier=image_layer.name, bbox=(600_500, 5_398_000, 602_300, 5_399_700),
        crs="EPSG:32632", format="geotiff", **size,
    )  # fmt: skip
    with rasterio.MemoryFile(answer.read()) as file, file.open() as dataset:
        assert tuple(dataset.bounds) == (600_500, 5_398_000, 602_300, 5_399_700)
        assert dataset.nodata == 0
        assert np.array_equal(dataset.read(), reflectance[:, ROWS, COLS])


def test_the_old_wcs_says_where_the_centre_of_the_first_pixel_is(address, image_layer) -> None:
    text = requests.get(
        f"{address(image_layer)}?service=WCS&version=1.0.0&request=DescribeCoverage"
        f"&coverage={image_layer.name}", timeout=10,
    ).content  # fmt: skip
    grid = etree.fromstring(text).find(".//{*}RectifiedGrid")
    assert grid.findtext("{*}origin/{*}pos") == "600005 5399995"
    assert [item.text for item in grid.iter("{*}offsetVector")] == ["10 0", "0 -10"]


@pytest.mark.parametrize("version", ["1.0.0", "2.0.1"])
def test_gdal_reads_the_pixels_of_the_file(gateway, reflectance, image_layer, version) -> None:
    url = f"WCS:{gateway.url}/ows?version={version}&coverage={image_layer.name}"
    # GDAL lets no other thread of its process answer meanwhile.
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        bounds, values = process.submit(read_all, url).result()
    assert bounds == (600_000, 5_397_000, 603_000, 5_400_000)
    assert np.array_equal(values, reflectance)


def read_all(address: str) -> tuple[tuple[float, ...], np.ndarray]:
    with rasterio.open(address) as dataset:
        return tuple(dataset.bounds), dataset.read()


@pytest.mark.parametrize("code", [32631, 3857, 3035, 2154])
@pytest.mark.parametrize("version", ["1.0.0", "2.0.1"])
def test_coverages_come_in_the_systems_of_maps(
    gateway, probability, change_layer, code, version
) -> None:
    box = transform_bounds("EPSG:32632", f"EPSG:{code}", 600_500, 5_398_000, 602_300, 5_399_700)
    query = {"service": "WCS", "version": version, "request": "GetCoverage", "format": "image/tiff"}
    if version == "1.0.0":
        query |= {
            "coverage": change_layer.name, "crs": f"EPSG:{code}", "width": "180", "height": "170",
            "bbox": ",".join(map(str, box)), "response_crs": f"EPSG:{code}",
        }  # fmt: skip
    else:
        query |= {
            "coverageid": change_layer.name,
            "subset": ["x(600500,602300)", "y(5398000,5399700)"],
            "outputcrs": f"http://www.opengis.net/def/crs/EPSG/0/{code}",
        }
    answer = requests.get(f"{gateway.url}/ows", params=query, timeout=20)
    with rasterio.MemoryFile(answer.content) as file, file.open() as dataset:
        if (version, code) == ("2.0.1", 3035):  # MapServer leaves its name out
            assert dataset.crs.to_dict()["proj"] == "laea"
        else:
            assert dataset.crs.to_epsg() == code
        put = Transformer.from_crs(32632, code, always_xy=True).transform
        places = [(600_505 + 10 * col, 5_399_995 - 10 * row) for row, col in PLACES]
        found = [value[0] for value in dataset.sample([put(*place) for place in places])]
    # A pixel of another grid may be that of a neighbour.
    for value, (row, col) in zip(found, PLACES, strict=True):
        near = probability[0, row - 1 : row + 2, col + 49 : col + 52]
        assert np.nanmin(np.abs(near - value)) < 1e-6


PLACES = [(100, 100), (40, 150), (150, 40), (180, 120)]
