"""What browsers are told about answers, and what pages of other sites may not do."""

import re
from urllib.parse import quote

import pytest
from werkzeug.test import Client

from candela.gateway.app import Gateway
from candela.settings import Settings

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
EXECUTE = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
ASYNC = "&storeExecuteResponse=true&status=true"
SCRIPT = '<html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>'
RAW = f"{EXECUTE}&DataInputs=complex={quote(quote(SCRIPT))}&RawDataOutput=complexOutput"
OTHER = "https://evil.example"


def is_sandboxed(response) -> bool:
    policy = response.headers["Content-Security-Policy"]
    return "sandbox;" in policy and "default-src 'none'" in policy


def is_own(response) -> bool:
    """Tell whether it is a document of the service's own: its tree has the browser's styles."""
    return response.headers.get("Content-Disposition") == "inline"


def is_download(response) -> bool:
    return response.headers.get("Content-Disposition", "").startswith("attachment")


@pytest.fixture(scope="module")
def plain(http):
    """Return a client that takes documents of any schema."""
    return Client(http.application)


@pytest.fixture(scope="module")
def job_id(http):
    """Return a job that echoed markup with a script."""
    inputs = f"&DataInputs=complex={quote(quote(SCRIPT))}"
    root = http.get(f"{EXECUTE}{inputs}{ASYNC}&lineage=true").root
    return root.get("statusLocation").rpartition("/")[2]


def test_markup_of_a_user_is_a_download_without_scripts(http, job_id):
    output = http.get(f"/jobs/{job_id}").json["outputs"]["complexOutput"]["href"]
    addresses = [
        RAW, f"{EXECUTE}{ASYNC}&DataInputs=literal=x", f"/wps/status/{job_id}",
        output.removeprefix("http://candela.test"),
    ]  # fmt: skip
    for address in addresses:
        response = http.get(address)
        assert response.status_code == 200
        assert response.mimetype in {"text/xml", "application/xml"}
        assert is_sandboxed(response), address
        assert is_download(response), address


def test_every_answer_says_what_a_browser_may_do(plain, job_id):
    paths = [
        "/", "/map", "/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/log", f"/jobs/{job_id}/events",
        "/wps", "/wps?service=WPS&request=GetCapabilities", "/ows", "/layers.json", "/usage",
        "/metrics", "/healthz", "/assets/live.js", "/assets/flame.svg", "/nothing", "/patches",
    ]  # fmt: skip
    for path in paths:
        with plain.get(path, headers=BROWSER) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff", path
            assert response.headers["X-Frame-Options"] == "DENY", path
            assert response.headers["Referrer-Policy"] == "same-origin", path
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, path
            assert "frame-ancestors 'none'" in policy, path
            assert "unsafe" not in policy or is_own(response), path
            is_page = response.mimetype == "text/html"
            assert is_page or "sandbox" in policy, path


def test_what_the_service_says_of_itself_is_shown_by_browsers(http):
    for query in ("GetCapabilities", "DescribeProcess&version=1.0.0&identifier=all"):
        response = http.get(f"/wps?service=WPS&request={query}")
        assert is_sandboxed(response)
        assert not is_download(response)


def test_pages_have_nothing_inline(http, job_id):
    for path in ("/", "/map", f"/jobs/{job_id}", "/nothing"):
        page = http.get(path, headers=BROWSER)
        assert "script-src 'self';" in page.headers["Content-Security-Policy"]
        assert not re.search(r"\sstyle=|\son\w+=|<style", page.text)
        for script in re.findall(r"<script[^>]*>", page.text):
            assert "src=" in script


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://other.test"},
        {"Origin": OTHER},
        {"Origin": "null"},
        {"Referer": f"{OTHER}/page"},
    ],
)
def test_pages_of_other_sites_order_nothing(idle, headers):
    execute = f"{EXECUTE}{ASYNC}"
    body = (
        b'<wps:Execute xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows='
        b'"http://www.opengis.net/ows/1.1" service="WPS" version="1.0.0">'
        b"<ows:Identifier>Echo</ows:Identifier></wps:Execute>"
    )
    job_id = idle.get(execute).root.get("statusLocation").rpartition("/")[2]
    assert idle.get(execute, headers=headers).status_code == 403
    assert idle.post("/wps", data=body, headers=headers).status_code == 403
    form = {"content_type": "text/plain", "data": body}  # what a form of another site can send
    assert idle.post("/wps", headers=headers, **form).status_code == 403
    assert idle.delete(f"/jobs/{job_id}", headers=headers).status_code == 403
    assert idle.post(f"/jobs/{job_id}/progress", headers=headers).status_code == 403
    assert idle.get("/jobs").json["numberTotal"] == 1
    for path in ("/wps?service=WPS&request=GetCapabilities", "/jobs", f"/jobs/{job_id}"):
        assert idle.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://candela.test"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://candela.test"},
        {"Referer": "http://candela.test/"},
    ],
)
def test_programs_and_the_pages_of_the_gateway_may_order(idle, headers):
    assert idle.get(f"{EXECUTE}{ASYNC}", headers=headers).status_code == 200


def test_a_site_that_the_operator_names_may_order_and_read(tmp_path):
    settings = Settings(
        url="http://candela.test", data=tmp_path, grace_s=0, readers=("https://maps.example",)
    )
    gateway = Gateway.assemble(settings)
    try:
        client = gateway.application().test_client()
        named = {"Origin": "https://maps.example", "Sec-Fetch-Site": "cross-site"}
        answer = client.get(f"{EXECUTE}{ASYNC}", headers=named)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://maps.example"
        other = client.get("/jobs", headers={"Origin": OTHER})
        assert "Access-Control-Allow-Origin" not in other.headers
        assert "Origin" in other.headers["Vary"]
    finally:
        gateway.stop()


def test_the_landing_page_does_not_repeat_the_host_that_was_asked(http):
    page = http.get("/", headers={**BROWSER, "Host": "evil.example"})
    assert "evil.example" not in page.text
    assert "http://candela.test/wps" in page.text


@pytest.mark.parametrize("path", ["/wps", "/outputs/x/y.tif", "/jobs", "/layers.json", "/ows"])
def test_pages_elsewhere_may_read(plain, path):
    asked = {"Origin": OTHER, "Access-Control-Request-Method": "GET"}
    preflight = plain.options(path, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "GET" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Range" in preflight.headers["Access-Control-Allow-Headers"]
    answer = plain.get(path, headers={"Origin": OTHER})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_pages_elsewhere_do_not_read_our_pages(http, job_id):
    for path in ("/", f"/jobs/{job_id}"):
        answer = http.get(path, headers={**BROWSER, "Origin": OTHER})
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_what_can_be_read_can_be_asked_for_without_its_content(plain, job_id):
    for path in (
        "/", "/map", "/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/log", "/layers.json", "/healthz",
        f"/wps/status/{job_id}", "/wps?service=WPS&request=GetCapabilities",
        "/wps?service=WPS&version=1.0.0&request=DescribeProcess&identifier=Echo",
        "/ows?service=WMS&request=GetCapabilities",
    ):  # fmt: skip
        whole, head = plain.get(path), plain.head(path)
        assert head.status_code == whole.status_code == 200, path
        assert head.data == b""
        assert head.mimetype == whole.mimetype


def test_asking_for_nothing_but_headers_starts_no_job(idle):
    assert idle.head(f"{EXECUTE}{ASYNC}").status_code == 400
    assert idle.get("/jobs").json["numberTotal"] == 0


def test_what_is_not_there_has_the_face_of_the_site_for_people_alone(plain):
    for path in ("/nothing", "/jobs/nothing", "/outputs/no/thing.tif", "/jobs/nothing/log"):
        page = plain.get(path, headers=BROWSER)
        assert page.status_code == 404
        assert page.mimetype == "text/html"
        assert "candela.css" in page.text
        assert 'href="/map"' in page.text
        program = plain.get(path)
        assert program.status_code == 404
        assert program.json["status"] == 404
    assert plain.get("/wps/nothing").status_code == 404
    assert b"ExceptionReport" in plain.get("/wps/nothing").data
    refused = plain.put("/jobs", headers=BROWSER)
    assert refused.status_code == 405
    assert "GET" in refused.headers["Allow"]
