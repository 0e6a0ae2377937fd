"""The client in each of the protocols that it speaks, and processes as functions."""

import inspect
import json
from collections.abc import Iterator

import pytest
from webserver import Answer, Web, web_server

from candela.client import Client, InputValueError, RequestRefusedError, Status
from candela.client.descriptions import UNBOUNDED, InputDescription, ProcessDescription
from candela.client.ogcapi import input_of_schema, inputs_document
from candela.demo.gateway import LocalGateway

PROTOCOLS = ("ogcapi", "wps")


@pytest.fixture(params=PROTOCOLS)
def speaking(request: pytest.FixtureRequest, gateway: LocalGateway) -> Iterator[Client]:
    """Return a client of each protocol."""
    with Client(gateway.url, protocol=request.param) as client:
        yield client


@pytest.fixture
def other() -> Iterator[Web]:
    """Run an OGC API - Processes that is no more than the standard asks for."""
    with web_server() as web:
        core = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core"
        serve(web, "/conformance", {"conformsTo": [core]})
        schema = {"type": "array", "items": {"type": "number"}, "maxItems": 3}
        serve(web, "/processes/sum", {"id": "sum", "inputs": {"x": {"schema": schema}}})
        yield web


def serve(web: Web, path: str, document: object, status: int = 200, **headers: str) -> None:
    kind = {"Content-Type": "application/json"}
    web.serve(path, Answer(json.dumps(document).encode(), status, kind | headers))


def test_values_come_back_in_each_protocol(speaking: Client) -> None:
    job = speaking.execute(
        "Echo", literal="<ü> & 1", numbers=[1, 2.5], bbox=(1.5, 43.0, 2, 44), complex="<a>1</a>"
    ).wait(timeout_s=60)
    assert job.outputs["literalOutput"].value == "<ü> & 1"
    assert job.outputs["sum"].value == pytest.approx(3.5)
    assert job.outputs["bboxOutput"].value == {"bbox": [1.5, 43, 2, 44], "crs": "EPSG:4326"}
    assert job.outputs["complexOutput"].text().strip().endswith("<a>1</a>")


def test_an_unknown_process_is_refused_alike(speaking: Client) -> None:
    with pytest.raises(RequestRefusedError, match=r"Nothing.*Echo") as caught:
        speaking.describe("Nothing")
    assert caught.value.code == "InvalidParameterValue"


def test_one_request_is_one_job_in_both_protocols(gateway: LocalGateway) -> None:
    inputs = {"literal": "in both", "numbers": [1, 2], "bbox": (1, 43, 2, 44)}
    ids = set()
    for protocol in PROTOCOLS:
        with Client(gateway.url, protocol=protocol) as client:
            ids.add(client.submit("Echo", inputs).id)
    assert len(ids) == 1


@pytest.mark.parametrize("process", ["Echo", "Jpeg2Tiff", "ChangeDetect"])
def test_descriptions_say_the_same_in_both_protocols(gateway: LocalGateway, process: str) -> None:
    def facts(given: InputDescription) -> tuple[object, ...]:
        limits = given.minimum, given.maximum, given.is_required, given.max_occurs
        return given.type, [str(each) for each in given.allowed], limits, given.unit, given.title

    found = [Client(gateway.url, protocol=name).describe(process) for name in PROTOCOLS]
    ogcapi, wps = found
    assert list(ogcapi.inputs) == list(wps.inputs)
    assert {name: facts(given) for name, given in ogcapi.inputs.items()} == {
        name: facts(given) for name, given in wps.inputs.items()
    }
    assert list(ogcapi.outputs) == list(wps.outputs)
    assert [each.type for each in ogcapi.outputs.values()] == [
        each.type for each in wps.outputs.values()
    ]


def test_the_protocol_is_asked_for_once_and_given_by_an_address_of_wps(other: Web) -> None:
    with Client(other.url) as client:
        client.describe("sum")
        client.describe("sum")
    assert [asked.path for asked in other.asked] == ["/conformance", "/processes/sum"]
    other.asked.clear()
    with Client(f"{other.url}/wps") as client, pytest.raises(Exception, match="404"):
        client.processes()
    assert [asked.path.partition("?")[0] for asked in other.asked] == ["/wps"]
    with pytest.raises(InputValueError, match="expected auto, ogcapi, wps"):
        Client(other.url, protocol="soap")  # type: ignore[arg-type]


def test_a_job_of_another_server_is_followed_and_its_results_are_read(other: Web) -> None:
    serve(other, "/processes/sum/execution", None, 201, Location=f"{other.url}/jobs/7")
    status = {"jobID": "7", "type": "process", "status": "successful"}
    serve(other, "/jobs/7", status)
    results = {"y": {"value": "SUkq", "encoding": "base64", "mediaType": "image/tiff"}, "z": 3}
    serve(other, "/jobs/7/results", results)
    with Client(other.url, priority=2) as client:
        job = client.execute("sum", x=[1])
        assert job.status is Status.SUCCEEDED
        job = client.job(f"{other.url}/jobs/{job.id}")
    assert job.outputs["z"].value == 3
    assert job.outputs["y"].read() == b"II*"
    (asked,) = (each for each in other.asked if each.path.endswith("/execution"))
    assert json.loads(asked.body) == {"inputs": {"x": [1.0]}, "response": "document"}
    assert asked.headers["Prefer"] == "respond-async, priority=2"


def test_a_server_that_runs_all_at_once_answers_with_the_results(other: Web) -> None:
    serve(other, "/processes/sum/execution", {"y": 3.5})
    with Client(other.url) as client:
        assert client.processes.sum(x=[1, 2.5]).wait().outputs["y"].value == 3.5


def test_an_execution_that_is_repeated_has_one_key(
    other: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candela.client.transport.time.sleep", lambda _: None)
    path = "/processes/sum/execution"
    other.serve(path, Answer(status=503), Answer(b'{"y": 1}'))
    with Client(other.url) as client:
        client.execute("sum", x=[1])
        client.execute("sum", x=[1])
    first, again, next_one = (
        asked.headers["Idempotency-Key"] for asked in other.asked if asked.path == path
    )
    assert first == again != next_one


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"schema": {"type": "string", "format": "date"}}, {"type": "date"}),
        ({"schema": {"type": ["null", "integer"]}, "minOccurs": 0}, {"type": "integer"}),
        ({"schema": {"oneOf": [{"type": "number"}, {"type": "string"}]}}, {"type": "float"}),
        ({"schema": {}, "maxOccurs": "unbounded"}, {"type": "file", "max_occurs": UNBOUNDED}),
        (
            {"schema": {"type": "object", "format": "geojson-geometry"}},
            {"type": "file", "media_types": ("application/geo+json",)},
        ),
        (
            {
                "schema": {
                    "type": "object",
                    "properties": {
                        "bbox": {},
                        "crs": {"enum": ["http://www.opengis.net/def/crs/EPSG/0/32631"]},
                    },
                }
            },
            {"type": "bbox", "crs": ("EPSG:32631",)},
        ),
    ],
)
def test_schemas_of_other_servers_are_read(
    given: dict[str, object], expected: dict[str, object]
) -> None:
    found = input_of_schema("x", given)
    assert {name: getattr(found, name) for name in expected} == expected


def test_processes_are_functions_with_names_signatures_and_docs(speaking: Client) -> None:
    assert {"Echo", "ChangeDetect"} <= set(dir(speaking.processes))
    function = speaking.processes.Jpeg2Tiff
    parameters = inspect.signature(function).parameters
    assert parameters["product"].default is inspect.Parameter.empty
    assert parameters["resolution"].default == 10
    assert parameters["title"].default == ""
    documentation = inspect.getdoc(function) or ""
    assert "resolution : integer (m), optional, default 10" in documentation
    assert "image/tiff" in documentation
    job = speaking.processes.Echo(literal="called", title="by name").wait(timeout_s=60)
    assert (job["literalOutput"].value, job.title) == ("called", "by name")
    with pytest.raises(AttributeError, match="no process 'Nothing'"):
        speaking.processes.Nothing  # noqa: B018
    with pytest.raises(InputValueError, match="literl"):
        speaking.processes.Echo(literl="x")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "10", 10),
        ("float", "1e-07", 1e-7),
        ("boolean", "true", True),
        ("boolean", "0", False),
        ("string", "10", "10"),
        ("integer", "", ""),
    ],
)
def test_literals_are_json_of_their_type(kind: str, text: str, value: object) -> None:
    described = ProcessDescription("P", "", "", "", {"x": InputDescription("x", "", "", kind)}, {})
    found = inputs_document(described, [("x", text)])["x"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text"), [("integer", "1.5"), ("float", "nan"), ("boolean", "yes")]
)
def test_a_text_that_is_no_literal_of_its_type_is_refused(kind: str, text: str) -> None:
    described = ProcessDescription("P", "", "", "", {"x": InputDescription("x", "", "", kind)}, {})
    with pytest.raises(InputValueError, match=f"'{text}' is not of type {kind}"):
        inputs_document(described, [("x", text)])
