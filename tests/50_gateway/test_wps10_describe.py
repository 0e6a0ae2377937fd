"""GetCapabilities and DescribeProcess of WPS 1.0.0."""

import pytest

from candela.spec import load_specs

NS = {
    "wps": "http://www.opengis.net/wps/1.0.0",
    "ows": "http://www.opengis.net/ows/1.1",
    "xlink": "http://www.w3.org/1999/xlink",
}
CAPABILITIES = "/wps?service=WPS&request=GetCapabilities"
DESCRIBE = "/wps?service=WPS&version=1.0.0&request=DescribeProcess&identifier="


def exception(response):
    """Return status, code, locator and text of an exception report."""
    found = response.root.find("ows:Exception", NS)
    return (
        response.status_code,
        found.get("exceptionCode"),
        found.get("locator"),
        found.findtext("ows:ExceptionText", namespaces=NS),
    )


def test_capabilities_list_all_processes(idle):
    root = idle.get(CAPABILITIES).root
    found = [e.text for e in root.findall("wps:ProcessOfferings/wps:Process/ows:Identifier", NS)]
    assert found == list(load_specs())


def test_capabilities_list_only_the_version_they_are_in(idle):
    root = idle.get(CAPABILITIES).root
    versions = root.findall("ows:ServiceIdentification/ows:ServiceTypeVersion", NS)
    assert [version.text for version in versions] == ["1.0.0"]


def test_every_process_has_one_title_and_one_abstract(idle):
    root = idle.get(CAPABILITIES).root
    for process in root.findall("wps:ProcessOfferings/wps:Process", NS):
        assert len(process.findall("ows:Title", NS)) == 1
        assert len(process.findall("ows:Abstract", NS)) == 1


def test_addresses_are_those_of_the_public_address(idle):
    root = idle.get(CAPABILITIES).root
    hrefs = set(root.xpath("//ows:Get/@xlink:href | //ows:Post/@xlink:href", namespaces=NS))
    assert hrefs == {"http://candela.test/wps"}


def test_names_of_parameters_may_be_in_any_case(idle):
    assert idle.get("/wps?SERVICE=WPS&ReQuEsT=GetCapabilities").data == idle.get(CAPABILITIES).data


def test_capabilities_by_post_are_those_by_get(idle):
    body = (
        '<wps:GetCapabilities xmlns:wps="http://www.opengis.net/wps/1.0.0" '
        'xmlns:ows="http://www.opengis.net/ows/1.1" service="WPS"><wps:AcceptVersions>'
        "<ows:Version>1.0.0</ows:Version></wps:AcceptVersions></wps:GetCapabilities>"
    )
    assert idle.post("/wps", data=body).data == idle.get(CAPABILITIES).data


@pytest.mark.parametrize(
    ("accepted", "found"),
    [
        ("1.0.0", "1.0.0"),
        ("0.4.0,1.0.0", "1.0.0"),
        ("2.0.0,1.0.0", "2.0.0"),
        ("3.0.0, 2.0.2", "2.0.0"),
    ],
)
def test_the_first_acceptable_version_is_found(idle, accepted, found):
    assert idle.get(f"{CAPABILITIES}&AcceptVersions={accepted}").root.get("version") == found


def test_without_a_common_version_negotiation_fails(idle):
    status, code, _, text = exception(idle.get(f"{CAPABILITIES}&AcceptVersions=9.9.9"))
    assert (status, code) == (400, "VersionNegotiationFailed")
    assert "versions: 1.0.0" in text


@pytest.mark.parametrize(
    ("query", "code", "locator"),
    [
        ("", "MissingParameterValue", "service"),
        ("?service=WMS&request=GetCapabilities", "InvalidParameterValue", "service"),
        ("?service=WPS", "MissingParameterValue", "request"),
        ("?service=WPS&request=Dance", "OperationNotSupported", "Dance"),
        (
            "?service=WPS&request=DescribeProcess&version=1.0.0",
            "MissingParameterValue",
            "Identifier",
        ),
        (
            "?service=WPS&request=DescribeProcess&version=3.0.0&identifier=Echo",
            "InvalidParameterValue",
            "version",
        ),
        (
            "?service=WPS&request=DescribeProcess&version=1.0.0&identifier=Nothing",
            "InvalidParameterValue",
            "Identifier",
        ),
        (
            "?service=WPS&request=GetCapabilities&language=tlh",
            "InvalidParameterValue",
            "language",
        ),
    ],
)
def test_a_wrong_request_is_answered_with_code_and_locator(idle, query, code, locator):
    assert exception(idle.get(f"/wps{query}"))[:3] == (400, code, locator)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<a/>",
        b'<wps:Execute xmlns:wps="http://www.opengis.net/wps/3.0"/>',
        b'<!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>',
    ],
)
def test_a_wrong_body_is_answered_with_code_and_locator(idle, body):
    assert exception(idle.post("/wps", data=body))[:3] == (400, "InvalidParameterValue", "request")


def test_a_body_that_is_too_large_is_refused(idle_gateway, idle):
    body = b"x" * (idle_gateway.jobs.limits.max_request_bytes + 1)
    assert exception(idle.post("/wps", data=body))[:2] == (400, "FileSizeExceeded")


def test_all_processes_are_described(idle):
    root = idle.get(f"{DESCRIBE}all").root
    names = [e.text for e in root.findall("ProcessDescription/ows:Identifier", NS)]
    assert names == list(load_specs())


def test_several_processes_are_described_in_the_order_asked(idle):
    root = idle.get(f"{DESCRIBE}Jpeg2Tiff,Echo").root
    names = [e.text for e in root.findall("ProcessDescription/ows:Identifier", NS)]
    assert names == ["Jpeg2Tiff", "Echo"]


def test_an_input_is_described_as_its_file_says(idle):
    root = idle.get(f"{DESCRIBE}Echo").root
    pause = root.xpath("//Input[ows:Identifier='pause']", namespaces=NS)[0]
    assert (pause.get("minOccurs"), pause.get("maxOccurs")) == ("0", "1")
    assert pause.findtext("LiteralData/ows:DataType", namespaces=NS) == "float"
    assert pause.findtext("LiteralData/DefaultValue") == "0"
    assert pause.findtext("LiteralData/UOMs/Default/ows:UOM", namespaces=NS) == "s"
    limits = pause.find("LiteralData/ows:AllowedValues/ows:Range", NS)
    assert [limit.text for limit in limits] == ["0", "600"]


def test_a_published_raster_has_its_links_among_the_outputs(idle):
    root = idle.get(f"{DESCRIBE}ChangeDetect").root
    formats = {
        output.findtext("ows:Identifier", namespaces=NS): output.findtext(
            "ComplexOutput/Default/Format/MimeType"
        )
        for output in root.iter("Output")
    }
    assert formats["change"] == "image/tiff; subtype=geotiff"
    assert formats["change_wms"] == "application/x-ogc-wms"
    assert formats["change_wcs"] == "application/x-ogc-wcs"
