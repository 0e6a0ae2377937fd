"""Execute of WPS 1.0.0, with real jobs."""

from base64 import b64encode
from urllib.parse import quote

import pytest

NS = {
    "wps": "http://www.opengis.net/wps/1.0.0",
    "ows": "http://www.opengis.net/ows/1.1",
    "xlink": "http://www.w3.org/1999/xlink",
}
GET = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo&DataInputs="


def execute(inputs="", form="", process="Echo"):
    """Return an Execute document."""
    return (
        '<wps:Execute xmlns:wps="http://www.opengis.net/wps/1.0.0" '
        'xmlns:ows="http://www.opengis.net/ows/1.1" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'service="WPS" version="1.0.0"><ows:Identifier>{process}</ows:Identifier>'
        f"<wps:DataInputs>{inputs}</wps:DataInputs>"
        + (f"<wps:ResponseForm>{form}</wps:ResponseForm>" if form else "")
        + "</wps:Execute>"
    )


def given(name, data):
    return f"<wps:Input><ows:Identifier>{name}</ows:Identifier>{data}</wps:Input>"


def literal(name, text):
    return given(name, f"<wps:Data><wps:LiteralData>{text}</wps:LiteralData></wps:Data>")


def output(root, name):
    """Return an output of a response: the element inside Data, or the Reference."""
    path = f"wps:ProcessOutputs/wps:Output[ows:Identifier='{name}']"
    found = root.find(path, NS)
    data = found.find("wps:Data", NS)
    return data[0] if data is not None else found.find("wps:Reference", NS)


def status(root):
    return root.find("wps:Status", NS)[0].tag.rpartition("}")[2]


def exception(response):
    found = response.root.find("ows:Exception", NS)
    return response.status_code, found.get("exceptionCode"), found.get("locator")


def jobs(http):
    return http.get("/jobs").json["numberTotal"]


def test_a_synchronous_post_gives_the_result(http):
    root = http.post("/wps", data=execute(literal("literal", "a &lt; b &amp; c"))).root
    assert status(root) == "ProcessSucceeded"
    assert output(root, "literalOutput").text == "a < b & c"
    assert root.get("statusLocation") is None


def test_a_value_with_equals_signs_survives_a_get(http):
    root = http.get(GET + quote("literal=a=b=c")).root
    assert output(root, "literalOutput").text == "a=b=c"


def test_a_value_may_be_given_several_times(http):
    root = http.get(GET + quote("numbers=1;numbers=2.5;numbers=3")).root
    assert float(output(root, "sum").text) == 6.5


def test_the_names_of_get_parameters_may_be_in_any_case(http):
    root = http.get("/wps?SERVICE=WPS&REQUEST=execute&IDENTIFIER=Echo&datainputs=literal=x").root
    assert output(root, "literalOutput").text == "x"


def test_complex_data_comes_back_as_the_same_element(http):
    element = '<testElement a="1">x</testElement>'
    data = f"<wps:Data><wps:ComplexData>{element}</wps:ComplexData></wps:Data>"
    root = http.post("/wps", data=execute(given("complex", data))).root
    assert output(root, "complexOutput")[0].tag == "testElement"
    assert output(root, "complexOutput")[0].text == "x"


def test_complex_data_may_be_base64(http):
    text = b64encode(b"<testElement>y</testElement>").decode()
    data = f'<wps:Data><wps:ComplexData encoding="base64">{text}</wps:ComplexData></wps:Data>'
    root = http.post("/wps", data=execute(given("complex", data))).root
    assert output(root, "complexOutput")[0].text == "y"


@pytest.mark.parametrize(
    ("crs", "lower", "upper"),
    [
        ("EPSG:4326", "7 51", "8 53"),
        ("urn:ogc:def:crs:EPSG::4326", "51 7", "53 8"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "7 51", "8 53"),
    ],
)
def test_a_bounding_box_keeps_its_place_whatever_the_order_of_its_axes(http, crs, lower, upper):
    data = (
        f'<wps:Data><wps:BoundingBoxData crs="{crs}"><ows:LowerCorner>{lower}</ows:LowerCorner>'
        f"<ows:UpperCorner>{upper}</ows:UpperCorner></wps:BoundingBoxData></wps:Data>"
    )
    box = output(http.post("/wps", data=execute(given("bbox", data))).root, "bboxOutput")
    lower_corner = [float(word) for word in box[0].text.split()]
    upper_corner = [float(word) for word in box[1].text.split()]
    if box.get("crs").endswith("EPSG::4326"):
        assert (lower_corner, upper_corner) == ([51, 7], [53, 8])
    else:
        assert (lower_corner, upper_corner) == ([7, 51], [8, 53])


def test_a_bounding_box_may_come_by_get(http):
    root = http.get(GET + quote("bbox=7,51,8,53,EPSG:4326")).root
    assert output(root, "bboxOutput")[0].text == "51.0 7.0"


def test_raw_data_output_is_the_bare_value(http):
    response = http.get(GET + quote("literal=bare") + "&RawDataOutput=literalOutput")
    assert (response.mimetype, response.text) == ("text/plain", "bare")


def test_raw_data_output_of_a_file_has_its_media_type(http):
    form = "<wps:RawDataOutput><ows:Identifier>complexOutput</ows:Identifier></wps:RawDataOutput>"
    data = "<wps:Data><wps:ComplexData><a/></wps:ComplexData></wps:Data>"
    response = http.post("/wps", data=execute(given("complex", data), form))
    assert response.headers["Content-Type"] == "text/xml"
    assert response.data == b"<a/>"


def test_only_the_outputs_asked_for_are_returned(http):
    root = http.get(GET + quote("literal=x;numbers=1") + "&ResponseDocument=sum").root
    names = root.findall("wps:ProcessOutputs/wps:Output/ows:Identifier", NS)
    assert [name.text for name in names] == ["sum"]


def test_lineage_repeats_inputs_and_outputs(http):
    root = http.get(GET + quote("literal=x") + "&ResponseDocument=sum&lineage=true").root
    found = root.xpath(
        "wps:DataInputs/wps:Input[ows:Identifier='literal']/wps:Data/wps:LiteralData",
        namespaces=NS,
    )
    assert [element.text for element in found] == ["x"]
    defined = root.findall("wps:OutputDefinitions/wps:Output/ows:Identifier", NS)
    assert [element.text for element in defined] == ["sum"]


def test_an_output_by_reference_can_be_fetched_in_parts(http):
    data = "<wps:Data><wps:ComplexData><a>1234</a></wps:ComplexData></wps:Data>"
    form = (
        '<wps:ResponseDocument><wps:Output asReference="true"><ows:Identifier>complexOutput'
        "</ows:Identifier></wps:Output></wps:ResponseDocument>"
    )
    root = http.post("/wps", data=execute(given("complex", data), form)).root
    href = output(root, "complexOutput").get("href")
    assert "?" not in href
    whole = http.get(href)
    assert whole.data == b"<a>1234</a>"
    part = http.get(href, headers={"Range": "bytes=3-6"})
    assert (part.status_code, part.data) == (206, b"1234")
    beyond = http.get(href, headers={"Range": "bytes=11-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */11")
    assert beyond.mimetype == "application/problem+json"
    again = http.get(href, headers={"If-None-Match": whole.headers["ETag"]})
    assert again.status_code == 304


def test_no_file_but_an_output_is_served(http):
    root = http.get(GET + "&storeExecuteResponse=true&status=true").root
    job = root.get("statusLocation").rpartition("/")[2]
    for name in ("result.json", "job.json", "..%2fjob.json", "%2e%2e/job.json"):
        assert http.get(f"/outputs/{job}/{name}").status_code == 404


def test_a_fast_asynchronous_job_is_answered_when_it_is_done(http):
    root = http.get(GET + quote("literal=x") + "&storeExecuteResponse=true&status=true").root
    assert status(root) == "ProcessSucceeded"
    again = http.get(root.get("statusLocation"))
    assert output(again.root, "literalOutput").text == "x"


def test_an_asynchronous_job_is_on_disk_and_valid_at_once(idle):
    root = idle.get(GET + quote("literal=x") + "&storeExecuteResponse=true&status=true").root
    assert status(root) == "ProcessAccepted"
    assert status(idle.get(root.get("statusLocation")).root) == "ProcessAccepted"


@pytest.mark.parametrize(
    ("inputs", "code", "locator"),
    [
        ("colour=red", "InvalidParameterValue", "colour"),
        ("pause=long", "InvalidParameterValue", "pause"),
        ("pause=-1", "InvalidParameterValue", "pause"),
        ("pause=1;pause=2", "InvalidParameterValue", "pause"),
        ("bbox=1,2,3", "InvalidParameterValue", "bbox"),
        ("bbox=a,b,c,d", "InvalidParameterValue", "bbox"),
        ("bbox=nan,nan,nan,nan", "InvalidParameterValue", "bbox"),
        ("bbox=-inf,0,1e400,1", "InvalidParameterValue", "bbox"),
        ("numbers=nan", "InvalidParameterValue", "numbers"),
        ("numbers=1e309", "InvalidParameterValue", "numbers"),
        ("bbox=1,2,3,4,file:///etc/passwd", "InvalidParameterValue", "bbox"),
        ("bbox=1,2,3,4,EPSG:4326,5", "InvalidParameterValue", "bbox"),
        ("bbox=1,2,3,4,EPSG:\0", "InvalidParameterValue", "bbox"),
        ("complex=@xlink:href=file:///\0", "InvalidParameterValue", "complex"),
        ("complex=@xlink:href=http://h/%0aHost: x", "InvalidParameterValue", "complex"),
    ],
)
def test_a_wrong_input_is_refused_before_there_is_a_job(idle, inputs, code, locator):
    assert exception(idle.get(GET + quote(inputs))) == (400, code, locator)
    assert jobs(idle) == 0


@pytest.mark.parametrize(
    ("body", "code", "locator"),
    [
        (execute(process=""), "MissingParameterValue", "Identifier"),
        (execute(process="Nothing"), "InvalidParameterValue", "Identifier"),
        (execute(given("literal", "")), "MissingParameterValue", "literal"),
        (execute(process="ChangeDetect"), "MissingParameterValue", "before"),
        (
            execute(form='<wps:ResponseDocument status="true"/>'),
            "InvalidParameterValue",
            "status",
        ),
        (
            execute(form='<wps:ResponseDocument lineage="maybe"/>'),
            "InvalidParameterValue",
            "lineage",
        ),
        (
            execute(given("complex", '<wps:Reference xlink:href="gopher://x"/>')),
            "InvalidParameterValue",
            "complex",
        ),
    ],
)
def test_a_wrong_document_is_refused_before_there_is_a_job(idle, body, code, locator):
    assert exception(idle.post("/wps", data=body)) == (400, code, locator)
    assert jobs(idle) == 0


def test_a_reference_keeps_its_headers_and_body(idle, idle_gateway):
    reference = (
        '<wps:Reference xlink:href="http://host/x" method="POST" mimeType="text/xml">'
        '<wps:Header key="X-Token" value="7"/><wps:Body><q>1</q></wps:Body></wps:Reference>'
    )
    form = '<wps:ResponseDocument storeExecuteResponse="true" status="true"/>'
    root = idle.post("/wps", data=execute(given("complex", reference), form)).root
    job = idle_gateway.jobs.store.get(root.get("statusLocation").rpartition("/")[2])
    (kept,) = job.request.inputs["complex"]
    assert (kept.method, kept.headers, kept.body) == ("POST", {"X-Token": "7"}, "<q>1</q>")


def test_a_failed_job_says_which_input_is_to_blame(http):
    reference = '<wps:Reference xlink:href="http://127.0.0.1:9/nothing.xml"/>'
    root = http.post("/wps", data=execute(given("complex", reference))).root
    assert status(root) == "ProcessFailed"
    found = root.find("wps:Status/wps:ProcessFailed/ows:ExceptionReport/ows:Exception", NS)
    assert found.get("locator") == "complex"
    assert "127.0.0.1:9" in found.findtext("ows:ExceptionText", namespaces=NS)


def test_a_failed_job_ends_with_its_log_and_shows_nothing_inside(http, gateway):
    reference = '<wps:Reference xlink:href="http://127.0.0.1:9/nothing.xml"/>'
    response = http.post("/wps", data=execute(given("complex", reference)))
    message, log = response.root.findall(".//{*}ExceptionText")
    assert "nothing may be fetched from 127.0.0.1:9" in message.text
    assert "The job failed: nothing may be fetched" in log.text
    assert "candela.contract.addresses: (for the operator)" in log.text
    job = gateway.jobs.store.jobs(limit=1)[0]
    assert http.get(f"/jobs/{job.id}").json["exception"]["log"] in log.text
    raw = gateway.jobs.runner.logs(job.id)
    shown = http.get(f"/jobs/{job.id}/log").text
    assert "Refused to fetch from" in raw
    assert "Refused to fetch from" not in shown
    assert str(gateway.settings.folder) not in shown + log.text


def test_the_status_of_an_unknown_job_is_an_exception(idle):
    assert exception(idle.get("/wps/status/7")) == (400, "InvalidParameterValue", "jobId")


@pytest.mark.parametrize("text", ["me@home", "@home", "a@b=c@d", "me@home@datatype=string"])
def test_what_follows_an_at_sign_that_begins_no_attribute_is_part_of_the_value(http, text):
    root = http.get(GET + quote(f"literal={text}")).root
    assert output(root, "literalOutput").text == text.removesuffix("@datatype=string")


def test_an_address_may_have_an_at_sign(idle, idle_gateway):
    address = "http://host/@data/x.xml"
    inputs = quote(f"complex=@xlink:href={address}@mimeType=text/xml")
    idle.get(f"{GET}{inputs}&storeExecuteResponse=true&status=true")
    (listed,) = idle_gateway.jobs.store.jobs()
    job = idle_gateway.jobs.store.get(listed.id)
    (reference,) = job.request.inputs["complex"]
    assert (reference.href, reference.type) == (address, "text/xml")


def test_an_optional_literal_that_is_left_empty_is_absent(http):
    names = ("literal", "numbers", "pause")
    by_get = http.get(GET + quote(";".join(f"{name}=" for name in names)))
    by_post = http.post("/wps", data=execute("".join(literal(name, "") for name in names)))
    some = http.get(GET + quote("numbers=1;numbers=;numbers=2"))
    for response, total in ((by_get, "0.0"), (by_post, "0.0"), (some, "3.0")):
        assert status(response.root) == "ProcessSucceeded"
        assert output(response.root, "sum").text == total
        assert "literalOutput" not in response.text


@pytest.mark.parametrize("mode", ["", "@asReference=false"])
def test_xml_of_very_many_elements_is_a_reference(http, mode):
    def answer(count):
        document = f"<all>{'<a/>' * count}</all>"
        value = f'<wps:Data><wps:ComplexData mimeType="text/xml">{document}</wps:ComplexData>'
        flag = ' asReference="false"' if mode else ""
        form = (
            f"<wps:ResponseDocument><wps:Output{flag}><ows:Identifier>complexOutput"
            "</ows:Identifier></wps:Output></wps:ResponseDocument>"
        )
        inputs = given("complex", f"{value}</wps:Data>")
        return output(http.post("/wps", data=execute(inputs, form)).root, "complexOutput")

    assert len(answer(1_000)[0]) == 1_000
    assert answer(150_000).tag == f"{{{NS['wps']}}}Reference"
