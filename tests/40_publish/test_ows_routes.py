"""What the routes pass on to MapServer, and what they do not."""

import dataclasses
import io
from urllib.parse import urlencode

import numpy as np
import pytest
import requests
from lxml import etree
from PIL import Image
from schemas import assert_valid, schema_folder

from candela.gateway.maps.ows import MAX_BODY_BYTES
from candela.publish.mapfile import Provider

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


# only what is offered

MAP = {
    "service": "WMS", "version": "1.3.0", "request": "GetMap", "layers": "ChangeDetect_1_change",
    "crs": "EPSG:32632", "bbox": "600000,5398000,602000,5400000", "width": "10", "height": "10",
    "format": "image/png",
}  # fmt: skip
INFO = MAP | {
    "request": "GetFeatureInfo", "query_layers": "ChangeDetect_1_change", "i": "1", "j": "1",
    "info_format": "text/plain",
}  # fmt: skip
COVERAGE = {
    "service": "WCS", "version": "2.0.1", "request": "GetCoverage",
    "coverageid": "ChangeDetect_1_change", "format": "image/tiff",
}  # fmt: skip
OLD_COVERAGE = {
    "service": "WCS", "version": "1.0.0", "request": "GetCoverage", "crs": "EPSG:32632",
    "coverage": "ChangeDetect_1_change", "bbox": "600000,5398000,602000,5400000", "width": "200",
    "height": "200", "format": "geotiff",
}  # fmt: skip
FEATURES = {"service": "WFS", "version": "2.0.0", "request": "GetFeature", "typenames": "none"}


def refused(answer: requests.Response) -> tuple[str, str]:
    """Return code and locator of an exception; it must be one."""
    assert 400 <= answer.status_code < 500, answer.text
    root = etree.fromstring(answer.content)
    found = root.find("{*}Exception")
    if found is not None:
        assert etree.QName(root).localname == "ExceptionReport"
        return found.get("exceptionCode"), found.get("locator", "")
    assert etree.QName(root).localname == "ServiceExceptionReport"
    (found,) = root
    return found.get("code"), found.get("locator", "")


@pytest.mark.parametrize(
    ("query", "name", "values"),
    [
        (MAP, "format", ["application/openlayers", "png", "image/gif", "image/svg+xml", "kml",
                         "image/png; mode=8bit", "application/json", "text/html", "None"]),
        (INFO, "info_format", ["MIME", "gml", "image/png", "application/openlayers"]),
        (MAP, "exceptions", ["text/html", "application/json", "partialmap"]),
        ({"service": "WMS", "request": "GetLegendGraphic", "layer": "ChangeDetect_1_change"},
         "format", ["application/openlayers", "image/gif"]),
        (OLD_COVERAGE, "format", ["GTiff", "image/png", "png", "application/openlayers"]),
    ],
)  # fmt: skip
def test_a_format_that_is_not_advertised_is_an_invalid_format(ows, query, name, values) -> None:
    for value in values:
        answer = requests.get(ows, params=query | {name: value}, timeout=10)
        assert refused(answer)[0] == "InvalidFormat", value


@pytest.mark.parametrize(
    ("query", "name", "values"),
    [
        (COVERAGE, "format", ["GTiff", "geotiff", "image/png", "application/openlayers"]),
        (COVERAGE, "mediatype", ["text/html", "multipart/x"]),
        (FEATURES, "outputFormat", ["text/html", "csv", "application/openlayers", "kml"]),
    ],
)  # fmt: skip
def test_newer_standards_call_it_an_invalid_parameter(ows, query, name, values) -> None:
    for value in values:
        answer = requests.get(ows, params=query | {name: value}, timeout=10)
        code, locator = refused(answer)
        assert (code, locator.lower()) == ("InvalidParameterValue", name.lower())


def test_bodies_are_held_to_the_same_formats(ows) -> None:
    coverage = (
        '<GetCoverage xmlns="http://www.opengis.net/wcs/2.0" service="WCS" version="2.0.1">'
        "<CoverageId>ChangeDetect_1_change</CoverageId><format>image/png</format></GetCoverage>"
    )
    features = (
        '<GetFeature xmlns="http://www.opengis.net/wfs/2.0" service="WFS" version="2.0.0"'
        ' outputFormat="csv"><Query typeNames="none"/></GetFeature>'
    )
    for body in (coverage, features):
        answer = requests.post(ows, body, headers={"Content-Type": "text/xml"}, timeout=10)
        assert refused(answer)[0] in {"InvalidFormat", "InvalidParameterValue"}


@pytest.mark.parametrize("service", ["WMS", "WCS", "WFS"])
@pytest.mark.parametrize("operation", ["Transaction", "LockFeature", "mode", "map2", "a b", "<x>"])
def test_an_unknown_operation_is_not_supported(ows, service, operation) -> None:
    answer = requests.get(ows, params={"service": service, "request": operation}, timeout=10)
    assert refused(answer)[0] == "OperationNotSupported"


@pytest.mark.parametrize("name", ["BOGUS", "WPS", "SOS", "WMS WCS", "", "<x>", "%"])
def test_an_unknown_service_is_an_exception(ows, name) -> None:
    query = {"service": name or "\t", "request": "GetCapabilities"}
    assert refused(requests.get(ows, params=query, timeout=10)) == (
        "InvalidParameterValue", "service",
    )  # fmt: skip


@pytest.mark.parametrize(
    "namespace",
    ["http://www.opengis.net/wcs/2.0", "http://www.opengis.net/wcs", "http://www.opengis.net/wfs",
     "http://www.opengis.net/wfs/2.0", "http://www.opengis.net/sos/2.0", "none", ""],
)  # fmt: skip
def test_an_unknown_service_in_a_body_is_an_exception(ows, namespace) -> None:
    declared = f' xmlns="{namespace}"' if namespace else ""
    body = f'<GetCapabilities{declared} service="BOGUS"/>'
    answer = requests.post(ows, body, headers={"Content-Type": "text/xml"}, timeout=10)
    assert refused(answer) == ("InvalidParameterValue", "service")


@pytest.mark.parametrize(
    ("query", "name"),
    [(MAP, "layers"), (MAP, "styles"), (INFO, "query_layers"), (COVERAGE, "coverageid"),
     (COVERAGE, "subset"), (FEATURES, "typenames"), (FEATURES, "filter"), (MAP, "bbox"),
     (MAP, "service"), (MAP, "request"), (MAP, "version"), (MAP, "time")],
)  # fmt: skip
def test_control_characters_and_broken_encodings_are_refused_or_nothing(ows, query, name) -> None:
    for value in ("%00", "a%00b", "%0b", "%ED%A0%80", "%FF%FE", "%EF%BF%BF"):
        rest = urlencode({key: text for key, text in query.items() if key != name})
        answer = requests.get(f"{ows}?{rest}&{name}={value}", timeout=10)
        assert answer.status_code < 500
        assert "html" not in answer.headers["Content-Type"]
        if "xml" in answer.headers["Content-Type"]:
            etree.fromstring(answer.content)
        if value in {"%00", "a%00b", "%0b"}:
            assert refused(answer)


def test_metadata_links_and_legends_answer_for_all_layers(ows, gateway) -> None:
    text = requests.get(ows, params=CAPABILITIES, timeout=10).content
    links = [
        link.get("{http://www.w3.org/1999/xlink}href")
        for name in ("MetadataURL", "LegendURL")
        for link in etree.fromstring(text).iterfind(f".//{{*}}{name}/{{*}}OnlineResource")
    ]
    assert len(links) == 2 * len(gateway.publisher.layers())
    for link in links:
        answer = requests.get(link, allow_redirects=False, timeout=10)
        assert answer.status_code == 200, link
        assert answer.headers["Content-Type"].startswith(("text/xml", "image/png"))


def test_a_legend_needs_neither_version_nor_sld_version(ows) -> None:
    query = {"service": "WMS", "request": "GetLegendGraphic", "layer": "ChangeDetect_1_change"}
    for more in ({}, {"version": "1.1.1"}, {"version": "1.3.0"}, {"format": "image/png"}):
        answer = requests.get(ows, params=query | more, timeout=10)
        assert answer.headers["Content-Type"] == "image/png", answer.text


def test_a_map_is_opaque_unless_it_is_asked_to_be_transparent(ows) -> None:
    for value, is_opaque in (("", True), ("FALSE", True), (None, True), ("TRUE", False)):
        query = MAP if value is None else MAP | {"transparent": value}
        content = requests.get(ows, params=query, timeout=10).content
        alpha = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))[..., 3]
        assert (alpha == 255).all() == is_opaque


def test_every_system_that_is_offered_for_a_layer_is_valid_for_it(ows) -> None:
    tree = etree.fromstring(requests.get(ows, params=CAPABILITIES, timeout=10).content)
    for layer in tree.iter("{*}Layer"):
        name = layer.findtext("{*}Name")
        inherited = [item for level in layer.iterancestors("{*}Layer") for item in level]
        codes = {item.text for item in (*layer, *inherited) if item.tag.endswith("}CRS")}
        for code in codes if name else ():
            query = MAP | {"layers": name, "crs": code, "bbox": "0,0,1,1"}
            answer = requests.get(ows, params=query, timeout=10)
            assert answer.headers["Content-Type"] == "image/png", f"{name} {code} {answer.text}"
        assert not name or {"EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:2154"} < codes


def test_documents_and_exceptions_are_valid(ows) -> None:
    if schema_folder() is None:
        pytest.skip("the schemas of the OGC are not at hand (`make schemas`)")
    coverages = {"service": "WCS", "version": "2.0.1", "request": "GetCapabilities"}
    for query in (
        CAPABILITIES, coverages, MAP | {"format": "none"}, COVERAGE | {"format": "none"},
        COVERAGE | {"coverageid": "none"}, COVERAGE | {"subset": "z(1)"}, {"service": "none"},
        FEATURES | {"outputformat": "none"}, MAP | {"layers": "none"},
    ):  # fmt: skip
        assert_valid(requests.get(ows, params=query, timeout=10).content)


def test_the_capabilities_say_who_answers_for_the_service(
    start_gateway, tmp_path, change_layer
) -> None:
    with start_gateway(tmp_path) as gateway:
        gateway.publisher.provider = Provider("A & B", "Ann", "Operator", "+1 2", "a@example.org")
        gateway.publisher.publish(change_layer)
        tree = etree.fromstring(requests.get(f"{gateway.url}/ows", timeout=10).content)
    service = tree.find("{*}Service")
    assert "Copernicus" in [item.text for item in service.iter("{*}Keyword")]
    contact = service.find("{*}ContactInformation")
    assert contact.findtext(".//{*}ContactOrganization") == "A & B"
    assert contact.findtext("{*}ContactElectronicMailAddress") == "a@example.org"


# where there is no layer


@pytest.mark.parametrize(
    ("service", "version"),
    [
        ("WMS", "1.3.0"), ("WMS", "1.1.1"), ("WCS", "2.0.1"), ("WCS", "1.0.0"), ("WFS", "2.0.0"),
        ("WFS", "1.1.0"), ("WFS", "1.0.0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("whose", ["everybody's", "mine"])
def test_capabilities_without_a_layer_are_valid_and_list_none(
    request, new_gateway, dated_layer, service, version, whose
) -> None:
    gateway = new_gateway
    if whose == "mine":  # another one has a layer
        gateway = request.getfixturevalue("private_gateway")
        gateway.publisher.publish(dataclasses.replace(dated_layer("2020-01-31"), owner="bob"))
    query = {"service": service, "version": version, "request": "GetCapabilities"}
    answer = requests.get(f"{gateway.url}/ows", params=query, headers={"X-User": "ann"}, timeout=10)
    assert answer.status_code == 200
    root = etree.fromstring(answer.content)
    assert root.get("version") == version
    assert etree.QName(root).localname.endswith("Capabilities")
    assert not list(root.iter("{*}FeatureType", "{*}CoverageSummary", "{*}CoverageOfferingBrief"))
    assert len(list(root.iter("{*}Layer"))) == (service == "WMS")
    assert b"no-layer" not in answer.content
    if version in {"1.3.0", "2.0.1", "2.0.0"} or service == "WCS":
        assert_valid(answer.content)


def test_capabilities_without_a_layer_have_none_that_could_be_asked_for(new_gateway) -> None:
    query = MAP | {"layers": "no-layer", "query_layers": "no-layer", "styles": ""}
    for operation in ("GetMap", "GetFeatureInfo", "GetLegendGraphic"):
        answer = requests.get(
            f"{new_gateway.url}/ows", params=query | {"request": operation, "layer": "no-layer"},
            timeout=10,
        )  # fmt: skip
        assert "Exception" in answer.text, operation
