"""WPS 2.0: what is refused, how versions are negotiated, and what documents hold."""

import datetime as dt
from base64 import b64encode
from urllib.parse import urlencode

import pytest
from lxml import etree

from candela.gateway.app import Gateway
from candela.gateway.protocols.wps20 import service
from candela.settings import Settings

NS = {
    "wps": "http://www.opengis.net/wps/2.0",
    "ows": "http://www.opengis.net/ows/2.0",
    "xlink": "http://www.w3.org/1999/xlink",
}
NAMES = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
HEAD = f'{NAMES} service="WPS" version="2.0.0"'


def execute(content="", *, process="Echo", mode="async", response="document"):
    return (
        f'<wps:Execute {HEAD} mode="{mode}" response="{response}">'
        f"<ows:Identifier>{process}</ows:Identifier>{content}</wps:Execute>"
    )


def given(name, data, **attributes):
    named = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<wps:Input id="{name}"><wps:Data{named}>{data}</wps:Data></wps:Input>'


def literal(text):
    return given("literal", f"<wps:LiteralValue>{text}</wps:LiteralValue>")


def wanted(name, **attributes):
    named = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<wps:Output id="{name}"{named}/>'


def ask(http, request="", /, **parameters):
    query = {"service": "WPS", "version": "2.0.0", "request": request} | parameters
    return http.get(f"/wps?{urlencode({key: value for key, value in query.items() if value})}")


def of_job(name, job):
    return f"<wps:{name} {HEAD}><wps:JobID>{job}</wps:JobID></wps:{name}>"


def submit(http, content="", **options):
    """Return the id of a job."""
    return http.post("/wps", data=execute(content, **options)).root.findtext("wps:JobID", None, NS)


def status(response):
    return response.root.findtext("wps:Status", None, NS)


def exception(response):
    assert response.root.tag == f"{{{NS['ows']}}}ExceptionReport"
    (found,) = response.root
    return response.status_code, found.get("exceptionCode"), found.get("locator")


@pytest.fixture(scope="module")
def waiting(tmp_path_factory, http):
    """Return an HTTP client of a gateway that starts no jobs, one for all tests."""
    folder = tmp_path_factory.mktemp("waiting")
    gateway = Gateway.assemble(Settings(url="http://candela.test", data=folder, grace_s=0))
    app = gateway.application()
    app.test_client_class = type(http)
    yield app.test_client()
    gateway.stop()


IMAGE = 'mimeType="image/png" xlink:href="http://h/x"'


@pytest.mark.parametrize(
    ("content", "code", "locator"),
    [
        (given("colour", "red"), "NoSuchInput", "colour"),
        (wanted("colour"), "NoSuchOutput", "colour"),
        (given("complex", "<a/>", mimeType="image/png"), "NoSuchFormat", "complex"),
        (given("complex", "<a/>", encoding="zip"), "NoSuchFormat", "complex"),
        (f'<wps:Input id="image"><wps:Reference {IMAGE}/></wps:Input>', "NoSuchFormat", "image"),
        (wanted("sum", mimeType="image/png"), "NoSuchFormat", "sum"),
        (wanted("complexOutput", mimeType="image/png"), "NoSuchFormat", "complexOutput"),
        (literal("a") * 2, "TooManyInputs", "literal"),
        (wanted("sum") * 2, "TooManyOutputs", "sum"),
        (given("pause", "soon"), "InvalidParameterValue", "pause"),
        (given("bbox", "here"), "InvalidParameterValue", "bbox"),
        (given("bbox", "<ows:BoundingBox/>"), "InvalidParameterValue", "bbox"),
        (given("literal", "<a/>"), "InvalidParameterValue", "literal"),
        ('<wps:Input id="literal"/>', "MissingParameterValue", "literal"),
        ('<wps:Input id="a"><wps:Input id="b"/></wps:Input>', "InvalidParameterValue", "a"),
        (
            '<wps:Input id="complex"><wps:Reference/></wps:Input>',
            "MissingParameterValue",
            "complex",
        ),
        ("<wps:Output/>", "MissingParameterValue", "id"),
        (wanted("sum", transmission="mail"), "InvalidParameterValue", "sum"),
    ],
)
def test_a_wrong_execute_is_refused_with_code_and_locator(waiting, content, code, locator):
    before = waiting.get("/jobs").json["numberTotal"]
    assert exception(waiting.post("/wps", data=execute(content))) == (400, code, locator)
    assert waiting.get("/jobs").json["numberTotal"] == before


@pytest.mark.parametrize(
    ("options", "code", "locator"),
    [
        ({"process": "Ekko"}, "NoSuchProcess", "Ekko"),
        ({"process": ""}, "MissingParameterValue", "Identifier"),
        ({"mode": "later"}, "NoSuchMode", "mode"),
        ({"response": "short"}, "InvalidParameterValue", "response"),
        ({"response": "raw"}, "TooManyOutputs", "bboxOutput"),
    ],
)
def test_what_cannot_be_executed_is_refused(waiting, options, code, locator):
    assert exception(waiting.post("/wps", data=execute(**options))) == (400, code, locator)


JOB = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("parameters", "code", "locator"),
    [
        ({"request": ""}, "MissingParameterValue", "request"),
        ({"service": "", "request": "GetStatus"}, "MissingParameterValue", "service"),
        ({"service": "WMS", "request": "GetStatus"}, "InvalidParameterValue", "service"),
        ({"request": "GetMap"}, "OperationNotSupported", "request"),
        ({"request": "Execute", "identifier": "Echo"}, "OperationNotSupported", "request"),
        ({"request": "DescribeProcess"}, "MissingParameterValue", "Identifier"),
        ({"request": "DescribeProcess", "identifier": "Echo,Ekko"}, "NoSuchProcess", "Ekko"),
        ({"request": "GetStatus"}, "MissingParameterValue", "JobID"),
        ({"request": "GetStatus", "jobid": JOB}, "NoSuchJob", "JobID"),
        ({"request": "GetResult", "jobid": JOB}, "NoSuchJob", "JobID"),
        ({"request": "Dismiss", "jobid": JOB}, "NoSuchJob", "JobID"),
    ],
)
def test_wrong_parameters_are_refused_with_code_and_locator(waiting, parameters, code, locator):
    assert exception(ask(waiting, **parameters)) == (400, code, locator)


@pytest.mark.parametrize("name", ["GetStatus", "GetResult", "Dismiss"])
def test_a_job_that_is_not_there_is_no_such_job_by_post_too(waiting, name):
    assert exception(waiting.post("/wps", data=of_job(name, JOB))) == (400, "NoSuchJob", "JobID")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (f"<wps:GetMap {HEAD}/>", "OperationNotSupported"),
        (f'<wps:GetStatus {NAMES} service="WMS"/>', "InvalidParameterValue"),
        (f'<wps:GetStatus {NAMES} version="1.0.0"/>', "InvalidParameterValue"),
        (f"<wps:GetStatus {HEAD}>", "InvalidParameterValue"),
        (
            f"<wps:GetCapabilities {NAMES}><ows:AcceptVersions><ows:Version>1.0.0</ows:Version>"
            "</ows:AcceptVersions></wps:GetCapabilities>",
            "VersionNegotiationFailed",
        ),
    ],
)
def test_a_wrong_document_is_refused_in_the_version_of_its_namespace(waiting, body, code):
    assert exception(waiting.post("/wps", data=body))[:2] == (400, code)


def test_a_document_that_is_too_large_is_refused(idle, idle_gateway):
    text = "x" * idle_gateway.jobs.limits.max_request_bytes
    assert exception(idle.post("/wps", data=execute(literal(text))))[:2] == (400, "SizeExceeded")


def test_each_version_lists_itself_alone(waiting):
    def offered(query):
        root = waiting.get(f"/wps?service=WPS&request=GetCapabilities{query}").root
        return [each.text for each in root.iterfind(".//{*}ServiceTypeVersion")]

    assert offered("") == offered("&AcceptVersions=1.0.0") == offered("&version=1.0.0") == ["1.0.0"]
    assert offered("&AcceptVersions=2.0.0") == offered("&version=2.0.2") == ["2.0.0"]


def test_operations_of_2_0_alone_need_no_version(waiting):
    assert exception(ask(waiting, "GetStatus", version="", jobid=JOB))[1] == "NoSuchJob"


def test_an_asynchronous_job_is_accepted_then_not_ready_then_dismissed(waiting):
    job = submit(waiting, literal("x"))
    answer = ask(waiting, "GetStatus", jobid=job)
    assert status(answer) == "Accepted"
    assert answer.root.findtext("wps:PercentCompleted", None, NS) == "0"
    assert exception(ask(waiting, "GetResult", jobid=job)) == (400, "ResultNotReady", "JobID")
    assert status(waiting.post("/wps", data=of_job("Dismiss", job))) == "Dismissed"
    assert exception(ask(waiting, "GetResult", jobid=job))[:2] == (400, "NoSuchJob")


def test_status_and_result_of_a_young_job_are_held_back(idle, idle_gateway, monkeypatch):
    held = []

    def wait(job_id, timeout_s, *, owner):
        held.append(timeout_s)
        return idle_gateway.jobs.store.get(job_id)

    job = submit(idle, literal("x"))
    monkeypatch.setattr(idle_gateway.jobs.store, "wait", wait)
    ask(idle, "GetStatus", jobid=job)
    assert held == [idle_gateway.settings.grace_s]
    monkeypatch.setattr(service, "YOUNG", dt.timedelta(0))
    ask(idle, "GetStatus", jobid=job)
    assert len(held) == 1
    ask(idle, "GetResult", jobid=job)
    assert len(held) == 2


def test_a_head_asks_and_does_not_dismiss(waiting):
    job = submit(waiting, literal("x"))
    assert waiting.head("/wps?service=WPS&version=2.0.0&request=GetCapabilities").status_code == 200
    query = urlencode({"service": "WPS", "request": "Dismiss", "jobid": job})
    assert waiting.head(f"/wps?{query}").status_code == 400
    assert status(ask(waiting, "GetStatus", jobid=job)) == "Accepted"


def test_pages_of_other_sites_read_and_order_nothing(waiting):
    other = {"Origin": "http://other.test", "Sec-Fetch-Site": "cross-site"}
    job = submit(waiting, literal("x"))
    query = {"service": "WPS", "request": "GetStatus", "jobid": job}
    answer = waiting.get(f"/wps?{urlencode(query)}", headers=other)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    dismiss = urlencode(query | {"request": "Dismiss"})
    assert exception(waiting.get(f"/wps?{dismiss}", headers=other))[0] == 403
    assert exception(waiting.post("/wps", data=execute(), headers=other))[0] == 403
    assert status(ask(waiting, "GetStatus", jobid=job)) == "Accepted"


def test_the_job_of_another_owner_is_no_such_job(tmp_path, waiting):
    gateway = Gateway.assemble(Settings(data=tmp_path / "owned", owner_header="X-User", grace_s=0))
    app = gateway.application()
    app.test_client_class = type(waiting)
    http, anne, catherine = app.test_client(), {"X-User": "anne"}, {"X-User": "catherine"}
    job = http.post("/wps", data=execute(), headers=anne).root.findtext("wps:JobID", None, NS)
    for name in ("GetStatus", "GetResult", "Dismiss"):
        answer = http.post("/wps", data=of_job(name, job), headers=catherine)
        assert exception(answer) == (400, "NoSuchJob", "JobID")
    assert status(http.post("/wps", data=of_job("GetStatus", job), headers=anne)) == "Accepted"
    gateway.stop()


def test_an_optional_literal_that_is_left_empty_is_left_out(idle, idle_gateway):
    job = submit(idle, literal("") + given("pause", " "))
    (kept,) = idle_gateway.jobs.store.jobs()
    assert kept.id == job
    assert idle_gateway.jobs.store.get(job).request.inputs == {"pause": [0]}


def test_the_documents_of_wps_js_are_understood(waiting):
    """52°North's client names schemas and encodings, indents payloads, and leaves modes empty."""
    location = "http://www.opengis.net/wps/2.0 http://schemas.opengis.net/wps/2.0/wpsExecute.xsd"
    document = f"""<wps:Execute {HEAD} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
      xsi:schemaLocation="{location}" response="document" mode="async">
      <ows:Identifier>Echo</ows:Identifier>
      <wps:Input id="complex"><wps:Data schema="http://h/x" mimeType="text/xml" encoding="UTF-8">
        <a>1</a>
      </wps:Data></wps:Input>
      <wps:Input id="document"><wps:Data mimeType="application/json">
        {{"a": 1}}
      </wps:Data></wps:Input>
      <wps:Input id="literal"><wps:Data mimeType="text/xml">
        <wps:LiteralValue dataType="string">x</wps:LiteralValue>
      </wps:Data></wps:Input>
      <wps:Input id="bbox"><wps:Data>
        <ows:BoundingBox crs="EPSG:4326" dimensions="2"><ows:LowerCorner>7 51</ows:LowerCorner>
        <ows:UpperCorner>8 53</ows:UpperCorner></ows:BoundingBox>
      </wps:Data></wps:Input>
      <wps:Output id="complexOutput" transmission="" schema="" mimeType="text/xml" encoding="UTF-8">
      </wps:Output></wps:Execute>"""
    job = waiting.post("/wps", data=document).root.findtext("wps:JobID", None, NS)
    inputs = waiting.get(f"/jobs/{job}/request").json["inputs"]
    assert inputs["literal"] == "x"
    assert inputs["bbox"]["bbox"] == [7, 51, 8, 53]
    assert inputs["complex"]["value"] == "<a>1</a>"
    assert status(ask(waiting, "GetStatus", jobId=job)) == "Accepted"


def test_descriptions_are_given_once(waiting):
    names = ask(waiting, "DescribeProcess", identifier="Echo,Echo,Jpeg2Tiff").root
    found = [each.text for each in names.iterfind(".//wps:Process/ows:Identifier", NS)]
    assert found == ["Echo", "Jpeg2Tiff"]


def test_layers_are_described_as_outputs(waiting):
    root = ask(waiting, "DescribeProcess", identifier="Jpeg2Tiff").root
    outputs = {
        each.findtext("ows:Identifier", None, NS): each.find(".//wps:Format", NS).get("mimeType")
        for each in root.iterfind(".//wps:Output", NS)
    }
    assert outputs["image_wms"] == "application/x-ogc-wms"


BOX = (
    '<ows:BoundingBox crs="urn:ogc:def:crs:EPSG::4326"><ows:LowerCorner>51 7</ows:LowerCorner>'
    "<ows:UpperCorner>53 8</ows:UpperCorner></ows:BoundingBox>"
)


@pytest.fixture(scope="module")
def result(http):
    """Return the outputs of a job with values of all kinds, by id: the elements in them."""
    content = (
        literal("a &lt; b")
        + given("bbox", BOX)
        + given("numbers", "1.5") * 2
        + given("document", '{"a": "&lt;"}', mimeType="application/json")
        + given("mixed", b64encode(b'["x"]').decode(), encoding="base64")
        + given("complex", '<t:a xmlns:t="urn:t">x</t:a>')
        + wanted("literalOutput", mimeType="text/plain")
        + wanted("bboxOutput")
        + wanted("sum", transmission="reference")
        + wanted("documentOutput")
        + wanted("mixedOutput", transmission="reference")
        + wanted("complexOutput")
        + wanted("imageOutput")
    )
    job = submit(http, content)
    root = ask(http, "GetResult", jobid=job).root
    assert root.findtext("wps:JobID", None, NS) == job
    return {each.get("id"): each[0] for each in root.iterfind("wps:Output", NS)}


def test_an_output_is_data_in_its_format(result):
    assert (result["literalOutput"].get("mimeType"), result["literalOutput"].text) == (
        "text/plain",
        "a < b",
    )
    (box,) = result["bboxOutput"]
    assert [corner.text for corner in box] == ["51.0 7.0", "53.0 8.0"]
    assert result["documentOutput"].text == '{"a": "<"}'
    (element,) = result["complexOutput"]
    assert (element.tag, element.text) == ("{urn:t}a", "x")


def test_an_output_by_reference_can_be_fetched(result, http):
    href = f"{{{NS['xlink']}}}href"
    number = result["sum"].get(href).removeprefix("http://candela.test")
    mixed = result["mixedOutput"].get(href).removeprefix("http://candela.test")
    assert (http.get(number).text, http.get(mixed).json) == ("3.0", ["x"])
    assert result["mixedOutput"].get("mimeType") == "application/json"


def test_what_was_not_made_is_left_out(result):
    assert "imageOutput" not in result


def test_a_raw_bounding_box_is_an_element(http):
    content = given("bbox", BOX) + wanted("bboxOutput")
    answer = http.post("/wps", data=execute(content, mode="sync", response="raw"))
    assert etree.fromstring(answer.data).tag == f"{{{NS['ows']}}}BoundingBox"


@pytest.mark.parametrize(
    ("content", "code", "locator"),
    [
        (given("image", "no image"), "WrongInputData", "image"),
        (
            '<wps:Input id="literal"><wps:Reference xlink:href="http://127.0.0.1:9/x"/></wps:Input>',
            "DataNotAccessible",
            "literal",
        ),
    ],
)
def test_a_failed_job_gives_its_reason_at_get_result(http, content, code, locator):
    job = submit(http, content)
    assert status(ask(http, "GetStatus", jobid=job)) == "Failed"
    assert exception(ask(http, "GetResult", jobid=job)) == (400, code, locator)


def test_a_job_without_any_of_the_outputs_names_one(http):
    content = wanted("literalOutput")
    answer = http.post("/wps", data=execute(content, mode="sync"))
    assert exception(answer) == (400, "InvalidParameterValue", "literalOutput")
