"""Requests made to break things: never a 5xx, never a job, always a document that is valid."""

import os
import string
import warnings
from io import BytesIO
from urllib.parse import quote

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from candela.memory import give_back

KEYS = ["service", "request", "version", "identifier", "DataInputs", "ResponseDocument",
        "RawDataOutput", "storeExecuteResponse", "status", "lineage", "language",
        "AcceptVersions"]  # fmt: skip
WORDS = ["WPS", "Execute", "GetCapabilities", "DescribeProcess", "1.0.0", "Echo", "Nothing", "true",
         "pause=x", "literal=@xlink:href=file:///etc/passwd", "bbox=1,2,3", "a=b;;=@@;", "@", ";",
         "complex=<a/>@encoding=base64", "%00", "\x00", "é€😀", "all", "", "bbox=nan,inf,1e400,0",
         "bbox=1,2,3,4,EPSG:\x00", "complex=@href=http://h/\x00", "numbers=" + "9" * 5000,
         "literal=\x00", "complex=<a>\x01</a>"]  # fmt: skip
ELEMENTS = ["Execute", "DataInputs", "Input", "Data", "LiteralData", "ComplexData", "Reference",
            "BoundingBoxData", "ResponseForm", "ResponseDocument", "RawDataOutput", "Output",
            "GetCapabilities", "DescribeProcess", "Header", "Body", "BodyReference"]  # fmt: skip
CASES = os.environ.get("CANDELA_FUZZ_CASES")  # of each kind; then they are others at each run
FUZZ = settings(
    max_examples=int(CASES or 300),
    deadline=10_000,  # ms; longer is a hang
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=CASES is None,
)

words = st.one_of(st.sampled_from(WORDS), st.text(max_size=30))
queries = st.lists(st.tuples(st.sampled_from(KEYS), words), max_size=8)
texts = st.text(string.printable + "é€\u0001", max_size=20)


@st.composite
def elements(draw, depth=0):
    """Return a piece of XML made of the words of WPS in any order."""
    name = draw(st.sampled_from(ELEMENTS))
    identifier = "<ows:Identifier>Echo</ows:Identifier>"
    text = draw(
        st.sampled_from(["", "Echo", "1", "x", "&lt;", "<!--x-->", "<?x y?>", "&#9;", identifier])
    )
    attribute = draw(
        st.sampled_from(
            ["", 'status="true"', 'encoding="base64"', 'crs="urn:x"', 'xlink:href=""',
             'xlink:href="http://h/x"', 'method="POST"', 'method="x"', 'mimeType="text/xml"']
        )
    )  # fmt: skip
    children = "".join(draw(st.lists(elements(depth=depth + 1), max_size=3))) if depth < 4 else ""
    return f"<wps:{name} {attribute}>{text}{children}</wps:{name}>"


def assert_refused_or_answered(response):
    assert response.status_code in {200, 400}
    assert response.mimetype == "text/xml"
    assert response.data.startswith(b"<?xml")


@FUZZ
@given(query=queries)
def test_no_query_breaks_the_gateway(idle, query):
    text = "&".join(f"{key}={quote(value)}" for key, value in query)
    assert_refused_or_answered(idle.get(f"/wps?{text}"))


@FUZZ
@given(body=st.one_of(st.binary(max_size=200), texts.map(str.encode)))
def test_no_body_breaks_the_gateway(idle, body):
    assert_refused_or_answered(idle.post("/wps", data=body))


@FUZZ
@given(inner=elements())
def test_no_document_breaks_the_gateway(idle, inner):
    body = (
        '<wps:Execute xmlns:wps="http://www.opengis.net/wps/1.0.0" '
        'xmlns:ows="http://www.opengis.net/ows/1.1" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'service="WPS" version="1.0.0"><ows:Identifier>Echo</ows:Identifier>{inner}</wps:Execute>'
    )
    assert_refused_or_answered(idle.post("/wps", data=body.encode()))


@FUZZ
@given(
    prefer=texts,
    key=st.text(string.printable, max_size=300),
    accept=texts,
    encoding=st.sampled_from(["", "gzip", "chunked", "x"]),
    content=st.sampled_from(["", "text/xml", "multipart/form-data", "application/json", "/"]),
)
def test_no_header_breaks_the_gateway(idle, prefer, key, accept, encoding, content):
    headers = {"Prefer": prefer, "Idempotency-Key": key, "Accept": accept,
               "Content-Encoding": encoding, "Content-Type": content}  # fmt: skip
    headers = {
        name: "".join(c for c in value if c.isprintable())
        .encode("latin-1", "replace")
        .decode("latin-1")
        for name, value in headers.items()
    }
    assert_refused_or_answered(
        idle.get("/wps?service=WPS&request=GetCapabilities", headers=headers)
    )
    execute = "service=WPS&version=1.0.0&request=Execute&identifier=Echo&DataInputs=pause=x"
    assert_refused_or_answered(idle.get(f"/wps?{execute}", headers=headers))
    assert_refused_or_answered(idle.post("/wps", data=b"<a/>", headers=headers))


PATHS = ["jobs", "outputs", "wps", "status", "log", "events", "progress", "ows", "map", "..", ".",
         "%2e%2e", "%00", "x" * 300]  # fmt: skip


@FUZZ
@given(
    parts=st.lists(st.one_of(st.sampled_from(PATHS), st.text(max_size=10)), max_size=4),
    query=st.dictionaries(
        st.sampled_from(["limit", "token", "status", "processID", "datetime", "bbox", "type"]),
        st.text(max_size=20),
    ),
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PUT", "OPTIONS"]),
    body=st.one_of(st.binary(max_size=50), st.sampled_from([b"{}", b"[]", b'{"percent": "x"}'])),
)
def test_no_path_breaks_the_gateway(idle, parts, query, method, body):
    path = "/".join(part if part.startswith("%") else quote(part) for part in parts)
    text = "&".join(f"{key}={quote(value)}" for key, value in query.items())
    client = Client(idle.application)  # one that knows no schemas: maps have others
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of a file that nobody reads to its end
        response = client.open(f"/{path.lstrip('/')}?{text}", method=method, data=body)
    assert response.status_code < 500, (path, text, method, response.data)


BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {x} "{f"&{y};" * 10}">' for x, y in zip("bcdefghi", "abcdefgh", strict=True)
    )
    + "]><a>&i;</a>"
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/>',
        "<a>" * 5000 + "</a>" * 5000,
        '<?xml version="1.0" encoding="UTF-7"?><a/>',
    ],
    ids=["entity bomb", "external entity", "external dtd", "deep", "odd encoding"],
)
def test_a_hostile_document_is_refused(idle, body):
    response = idle.post("/wps", data=body)
    assert response.status_code == 400
    assert b"root:" not in response.data
    assert idle.get("/jobs").json["numberTotal"] == 0


@pytest.mark.parametrize("piece", ["<a/>", '<a b="" c=""/>', "<!---->", "<?x?>"])
def test_a_document_of_more_nodes_than_memory_allows_is_refused(idle, piece):
    body = f"<all>{piece * 600_000}</all>".encode("utf-16")
    process = psutil.Process()
    before = process.memory_info().rss
    response = idle.post("/wps", data=body)
    assert response.status_code == 400
    assert b'exceptionCode="FileSizeExceeded"' in response.data
    assert b"500000 elements" in response.data
    assert b"POST /uploads" in response.data
    give_back()
    assert process.memory_info().rss - before < 60 * 2**20


@pytest.mark.parametrize("form", ["{}", "<![CDATA[{}]]>"])
def test_a_text_that_is_too_long_for_the_parser_is_told_as_such(idle, form):
    text = form.format("y" * 10_100_000)
    response = idle.post("/wps", data=f"<a>{text}</a>")
    assert response.status_code == 400
    assert b'exceptionCode="FileSizeExceeded"' in response.data
    assert b"a text is longer than 10 MB" in response.data
    assert b"POST /uploads" in response.data


def test_a_chunked_body_is_read(idle):
    body = b'<wps:GetCapabilities xmlns:wps="http://www.opengis.net/wps/1.0.0" service="WPS"/>'
    response = idle.open(
        "/wps",
        method="POST",
        input_stream=BytesIO(body),
        environ_overrides={"wsgi.input_terminated": True},
        headers={"Transfer-Encoding": "chunked"},
    )
    assert response.status_code == 200
    assert b"Capabilities" in response.data


@pytest.mark.parametrize(
    "path", ["/jobs/../../etc/passwd", "/outputs/x/..%2f..%2fetc%2fpasswd", "/wps/status/%00",
             "/jobs/%ff", "/ows/..%2f..%2fx/wms", "/jobs?limit=-1", "/jobs?token=x"],
)  # fmt: skip
def test_no_path_leads_out(idle, path):
    response = idle.get(path)
    assert response.status_code in {400, 404}
    assert b"root:" not in response.data


def test_a_chunked_body_is_read_no_further_than_allowed(idle_gateway, idle):
    limits = idle_gateway.jobs.limits.model_copy(update={"max_request_bytes": 1000})
    object.__setattr__(idle_gateway.jobs, "limits", limits)
    body = BytesIO(b"x" * 1_000_000)
    response = idle.open(
        "/wps",
        method="POST",
        input_stream=body,
        environ_overrides={"wsgi.input_terminated": True},
        headers={"Transfer-Encoding": "chunked"},
    )
    assert response.status_code == 400
    assert b'exceptionCode="FileSizeExceeded"' in response.data
