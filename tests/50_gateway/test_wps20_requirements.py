"""The tests of the OGC's suite for WPS 2.0, each under its number there (ets-wps20 1.1)."""

from urllib.parse import urlencode

import pytest
from lxml import etree

NS = {
    "wps": "http://www.opengis.net/wps/2.0",
    "ows": "http://www.opengis.net/ows/2.0",
    "xlink": "http://www.w3.org/1999/xlink",
}
NAMES = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
HEAD = f'{NAMES} service="WPS" version="2.0.0"'
ALIAS = "org.n52.javaps.test.EchoProcess"  # that the suite uses whatever is configured


def ask(http, /, **parameters):
    """Send key-value pairs with the names as they are given; expect a document."""
    response = http.get(f"/wps?{urlencode(parameters)}")
    assert response.status_code == 200, response.text
    return response.root


def ask_2(http, request, **parameters):
    return ask(http, Service="WPS", Version="2.0.0", Request=request, **parameters)


ANSWERS = {}  # by document: a job takes a second, and the suite runs the same ones several times


def post(http, document):
    if document not in ANSWERS:
        response = http.post("/wps", data=document, content_type="application/xml")
        assert response.status_code == 200, response.text
        ANSWERS[document] = response
    return ANSWERS[document]


def execute(echo, data, *, mode="sync", response="raw", kind="literal", transmission="value"):
    """Return an Execute document as the suite has it."""
    return f"""<wps:Execute {HEAD} response="{response}" mode="{mode}">
    <ows:Identifier>{echo["id"]}</ows:Identifier>
    <wps:Input id="{echo[kind][0]}">
        {data}
    </wps:Input>
    <wps:Output id="{echo[kind][1]}" transmission="{transmission}" />
</wps:Execute>"""


def literal(text="hello_literal"):
    return f"<wps:Data><wps:LiteralValue>{text}</wps:LiteralValue></wps:Data>"


def of_job(name, job):
    return f"<wps:{name} {HEAD}><wps:JobID>{job}</wps:JobID></wps:{name}>"


@pytest.fixture(scope="module")
def description(http):
    """Return the description of Echo, by key-value pairs."""
    return ask_2(http, "DescribeProcess", Identifier="Echo")


@pytest.fixture(scope="module")
def echo(description):
    """Return the ids that the suite finds: the last string, and the last complex value."""
    found = {"id": "Echo"}
    for place, element in enumerate(("Input", "Output")):
        for each in description.iterfind(f".//wps:{element}", NS):
            identifier = each.findtext("ows:Identifier", namespaces=NS)
            kind = each.findtext(".//ows:DataType", namespaces=NS)
            if each.find("wps:LiteralData", NS) is not None and kind == "string":
                found.setdefault("literal", ["", ""])[place] = identifier
            elif each.find("wps:ComplexData", NS) is not None:
                found.setdefault("complex", ["", ""])[place] = identifier
    return found


ALIAS_OF_ECHO = {"id": ALIAS, "literal": ("literalInput", "literalOutput")}


def test_a_4_1_process_description_is_valid(description):
    assert description.tag == f"{{{NS['wps']}}}ProcessOfferings"  # the client has validated it


def test_a_4_3_all_kinds_of_data_are_described(description):
    for kind in ("LiteralData", "ComplexData", "BoundingBoxData"):
        assert description.findall(f".//wps:{kind}", NS), kind


def test_precondition_echo_returns_a_literal_and_an_element(http, echo):
    assert "hello_literal" in post(http, execute(echo, literal())).text
    data = "<wps:Data><testElement>hello_complex</testElement></wps:Data>"
    root = etree.fromstring(post(http, execute(echo, data, kind="complex")).data)
    assert (root.tag, root.text) == ("testElement", "hello_complex")


@pytest.mark.parametrize(("service", "status"), [("WPS", 200), ("WMS", 400)])
def test_a_5_1_service_name(http, service, status):
    query = {"Service": service, "Version": "2.0.0", "Request": "GetCapabilities"}
    assert http.get(f"/wps?{urlencode(query)}").status_code == status


@pytest.mark.parametrize(("version", "status"), [("2.0.0", 200), ("3.0.0", 400)])
def test_a_5_2_service_version(http, version, status):
    query = {"Service": "WPS", "Version": version, "Request": "GetCapabilities"}
    assert http.get(f"/wps?{urlencode(query)}").status_code == status


@pytest.fixture(scope="module")
def submitted(http, echo):
    """Return the ids of two asynchronous jobs, for their raw output and for a document."""
    return {
        response: post(
            http, execute(echo, literal(), mode="async", response=response)
        ).root.findtext("wps:JobID", namespaces=NS)
        for response in ("raw", "document")
    }


@pytest.fixture(scope="module")
def text_elsewhere(submitted):
    """Return the address of a text: that of an output, where the suite has a file of its own."""
    return f"http://candela.test/outputs/{submitted['document']}/literalOutput"


def test_a_5_3_input_by_value(http):
    document = execute(ALIAS_OF_ECHO, literal("PASSED"), response="document")
    assert post(http, document).root.findtext(".//wps:LiteralValue", namespaces=NS) == "PASSED"


def test_a_5_4_input_by_reference(http, text_elsewhere):
    data = f'<wps:Reference mimeType="text/plain" xlink:href="{text_elsewhere}"/>'
    root = post(http, execute(ALIAS_OF_ECHO, data, response="document")).root
    assert root.tag == f"{{{NS['wps']}}}Result"
    assert root.findtext(".//wps:LiteralValue", namespaces=NS) == "hello_literal"


def test_a_5_5_output_by_value(http):
    document = execute(ALIAS_OF_ECHO, literal("PASSED"), response="document")
    assert post(http, document).root.findall(".//wps:Data", NS)


def test_a_5_6_output_by_reference(http, text_elsewhere):
    data = f'<wps:Reference mimeType="text/plain" xlink:href="{text_elsewhere}"/>'
    document = execute(ALIAS_OF_ECHO, data, response="document", transmission="reference")
    found = post(http, document).root.find(".//wps:Reference", NS)
    href = found.get(f"{{{NS['xlink']}}}href").removeprefix("http://candela.test")
    assert (found.get("mimeType"), http.get(href).text) == ("text/plain", "hello_literal")


def test_a_5_7_unique_identifiers(http):
    root = ask_2(http, "DescribeProcess", Identifier="ALL")
    names = [each.text for each in root.iterfind(".//wps:Process/ows:Identifier", NS)]
    assert len(names) == len(set(names)) > 5


def test_a_5_8_unique_job_ids(http, submitted):
    document = execute(ALIAS_OF_ECHO, literal("PASSED"), mode="async", response="document")
    job = post(http, document).root.findtext("wps:JobID", namespaces=NS)
    assert len({job, *submitted.values()}) == 3


def test_a_5_9_get_capabilities_by_post(http):
    document = f'<wps:GetCapabilities {NAMES} service="WPS"/>'
    assert post(http, document).root.tag == f"{{{NS['wps']}}}Capabilities"


def test_a_5_10_describe_process_by_post(http):
    document = (
        f"<wps:DescribeProcess {HEAD}><ows:Identifier>Echo</ows:Identifier></wps:DescribeProcess>"
    )
    assert post(http, document).root.tag == f"{{{NS['wps']}}}ProcessOfferings"


def test_a_5_11_synchronous_execute(http, echo):
    assert post(http, execute(echo, literal(), response="document")).root.tag.endswith("}Result")
    assert "hello_literal" in post(http, execute(echo, literal())).text


def test_a_5_12_asynchronous_execute(http, echo):
    document = execute(echo, literal(), mode="async", response="document")
    assert post(http, document).root.findtext("wps:Status", namespaces=NS)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_5_13_all_modes_and_responses(http, description, echo, mode):
    offering = description.find("wps:ProcessOffering", NS)
    assert offering.get("outputTransmission") == "value reference"
    assert {"sync-execute", "async-execute"} <= set(offering.get("jobControlOptions").split())
    for response in ("raw", "document"):
        post(http, execute(echo, literal(), mode=mode, response=response))


def test_a_5_13_the_mode_auto_gives_the_result_of_a_fast_job(http, echo):
    document = execute(echo, literal(), mode="auto", response="document")
    assert post(http, document).root.tag.endswith("}Result")


def test_a_5_14_get_status_by_post(http, submitted):
    root = post(http, of_job("GetStatus", submitted["document"])).root
    assert root.findtext("wps:Status", namespaces=NS) == "Succeeded"


def test_a_5_15_get_result_by_post(http, submitted):
    raw = etree.fromstring(post(http, of_job("GetResult", submitted["raw"])).data)
    assert (raw.tag, raw.text) == (f"{{{NS['wps']}}}LiteralValue", "hello_literal")
    root = post(http, of_job("GetResult", submitted["document"])).root
    assert root.findtext(".//wps:LiteralValue", namespaces=NS) == "hello_literal"


CASES = [str.upper, str.lower]


@pytest.mark.parametrize("case", CASES)
def test_a_5_16_get_capabilities_by_get(http, case):
    names = {"Service": "WPS", "Version": "2.0.0", "Request": "GetCapabilities"}
    assert ask(http, **{case(name): value for name, value in names.items()}).tag == (
        f"{{{NS['wps']}}}Capabilities"
    )


@pytest.mark.parametrize("case", CASES)
def test_a_5_17_describe_process_by_get(http, case):
    first = ask_2(http, "GetCapabilities").findtext(".//ows:Identifier", namespaces=NS)
    names = {"Service": "WPS", "Version": "2.0.0", "Request": "DescribeProcess"}
    names["Identifier"] = first
    root = ask(http, **{case(name): value for name, value in names.items()})
    assert root.findtext(".//wps:Process/ows:Identifier", namespaces=NS) == first


@pytest.mark.parametrize("case", CASES)
def test_a_5_18_get_status_by_get(http, case, submitted):
    names = {"Service": "WPS", "Version": "2.0.0", "Request": "GetStatus"}
    names["JobID"] = submitted["document"]
    root = ask(http, **{case(name): value for name, value in names.items()})
    assert root.findtext("wps:Status", namespaces=NS) == "Succeeded"


def test_a_5_19_get_result_by_get(http, submitted):
    assert ask_2(http, "GetResult", JobID=submitted["document"]).tag.endswith("}Result")
    assert ask_2(http, "GetResult", JobID=submitted["raw"]).tag.endswith("}LiteralValue")
