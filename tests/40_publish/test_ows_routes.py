"""What the routes pass on to MapServer, and what they do not."""

import pytest
import requests

from candela.gateway.ows import MAX_BODY_BYTES

CAPABILITIES = {"service": "WMS", "version": "1.3.0", "request": "GetCapabilities"}


@pytest.fixture
def ows(gateway) -> str:
    return f"{gateway.url}/ows"


@pytest.mark.parametrize("kind", ["wms", "wcs"])
def test_an_unknown_layer_is_not_found(ows, kind) -> None:
    answer = requests.get(f"{ows}/NoSuch_1_layer/{kind}", timeout=10)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/xml")
    assert "NoSuch_1_layer" in answer.text


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2fb", "all", "layer.json"])
def test_a_layer_name_cannot_leave_the_folder(ows, name) -> None:
    assert requests.get(f"{ows}/{name}/wms", timeout=10).status_code == 404


@pytest.mark.parametrize(
    "own",
    ["map=/etc/passwd", "MAP=/etc/passwd", "map.layer[0]=DATA+/etc/passwd", "map_layer_0=x",
     "SLD=http://localhost/x.sld", "mode=map", "sld_body=<x/>"],
)  # fmt: skip
def test_parameters_of_mapserver_itself_are_not_passed_on(ows, own) -> None:
    plain = requests.get(ows, params=CAPABILITIES, timeout=10)
    answer = requests.get(f"{ows}?{own}", params=CAPABILITIES, timeout=10)
    assert answer.status_code == 200
    assert answer.text == plain.text


def test_a_layers_service_does_not_show_the_others(ows, change_layer, image_layer) -> None:
    answer = requests.get(
        f"{ows}/{change_layer.name}/wms?service=WMS&version=1.3.0&request=GetMap"
        f"&layers={image_layer.name}&crs=EPSG:32632&bbox=600000,5398000,602000,5400000"
        "&width=10&height=10&format=image/png&styles=",
        timeout=10,
    )
    assert "LayerNotDefined" in answer.text


def test_each_service_answers_its_own_standard_only(ows, change_layer) -> None:
    wcs_asked_at_wms = requests.get(
        f"{ows}/{change_layer.name}/wms?service=WCS&version=2.0.1&request=GetCapabilities",
        timeout=10,
    )
    wms_asked_at_wcs = requests.get(f"{ows}/{change_layer.name}/wcs", CAPABILITIES, timeout=10)
    for answer in (wcs_asked_at_wms, wms_asked_at_wcs):
        assert answer.status_code == 400
        assert "Exception" in answer.text


def test_names_of_parameters_may_have_any_case(ows) -> None:
    answer = requests.get(f"{ows}?SERVICE=WMS&Version=1.1.1&rEQUEST=GetCapabilities", timeout=10)
    assert "WMT_MS_Capabilities" in answer.text


def test_a_form_is_as_good_as_a_query(ows) -> None:
    query = requests.get(ows, params=CAPABILITIES, timeout=10)
    assert requests.post(ows, data=CAPABILITIES, timeout=10).text == query.text


def test_a_large_body_is_refused(ows) -> None:
    body = b"<a>" + b" " * MAX_BODY_BYTES + b"</a>"
    answer = requests.post(ows, data=body, headers={"Content-Type": "text/xml"}, timeout=10)
    assert answer.status_code == 413


def test_a_body_with_a_document_type_is_refused(ows) -> None:
    body = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>'
    answer = requests.post(ows, data=body, headers={"Content-Type": "text/xml"}, timeout=10)
    assert answer.status_code == 400
    assert "root:" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed(ows, method) -> None:
    assert requests.request(method, ows, timeout=10).status_code == 405


def test_pictures_may_be_cached_and_used_by_other_pages(ows, change_layer) -> None:
    answer = requests.get(
        f"{ows}?service=WMS&version=1.3.0&request=GetMap&layers={change_layer.name}"
        "&crs=EPSG:32632&bbox=600000,5398000,602000,5400000&width=10&height=10&format=image/png",
        timeout=10,
    )
    assert answer.headers["Content-Type"] == "image/png"
    assert "max-age" in answer.headers["Cache-Control"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Server" not in answer.headers or "lighttpd" not in answer.headers["Server"]
