"""The tests of ets-ogcapi-processes10, each under the id of its abstract test.

The requests are those that the suite makes of the description of Echo; each is sent once, and all
tests read the recorded answers.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from email.policy import HTTP
from functools import cache

import numpy as np
import pytest
from affine import Affine
from openapi_spec_validator import validate
from rasterio.io import MemoryFile
from schemas import assert_valid_json
from werkzeug.test import TestResponse

from candela.jobs.principal import SYSTEM

BASE = "http://candela.test"
TYPES = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0"
TEXT = "teststring"
ACCEPT = {"Accept": "application/json"}
ASYNC = {"Prefer": "respond-async"}
BOX = {"bbox": [345345345] * 4, "crs": "urn:ogc:def:crs:EPSG:6.6:4326"}
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@cache
def image() -> str:
    """Return a GeoTIFF in base64."""
    profile = {
        "driver": "GTiff", "width": 7, "height": 2, "count": 1, "dtype": "int16",
        "crs": "EPSG:32632", "transform": Affine(10, 0, 5e5, 0, -10, 5e6),
    }  # fmt: skip
    with MemoryFile() as file:
        with file.open(**profile) as dataset:
            dataset.write(np.arange(14, dtype="int16").reshape(1, 2, 7))
        return b64encode(file.read()).decode()


def parts_of(answer: TestResponse) -> dict[str, Message]:
    """Return the parts of a multipart answer by the name of their output."""
    assert answer.mimetype == "multipart/related"
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    whole = message_from_bytes(head + answer.data, policy=HTTP)
    return {part["Content-ID"].strip("<>"): part for part in whole.iter_parts()}


class Suite:
    """A client that knows Echo by its description alone."""

    def __init__(self, gateway, http) -> None:
        self._jobs = gateway.jobs
        self._http = http
        self._answers: dict[tuple, TestResponse] = {}
        self.echo = self.get("/processes/Echo").json

    def get(self, path: str) -> TestResponse:
        key = ("GET", path)
        if key not in self._answers:
            self._answers[key] = self.fresh(path)
        return self._answers[key]

    def fresh(self, path: str, **headers: str) -> TestResponse:
        return self._http.get(path.removeprefix(BASE), headers=ACCEPT | headers)

    def execute(self, document: dict, *, is_async: bool = False) -> TestResponse:
        key = (json.dumps(document), is_async)
        if key not in self._answers:
            headers = ACCEPT | (ASYNC if is_async else {})
            self._answers[key] = self._http.post(
                "/processes/Echo/execution", json=document, headers=headers
            )
        return self._answers[key]

    def inputs(self) -> dict:
        """Return the inputs that the suite makes: texts, and a box that lies nowhere."""
        found = {}
        for name, described in self.echo["inputs"].items():
            schema = described["schema"]
            if schema == {"type": "string"}:
                found[name] = TEXT
            elif {"format": "ogc-bbox"} in schema.get("allOf", []):
                found[name] = BOX
            elif {"type": "object"} in schema.get("oneOf", []):
                found[name] = {"value": TEXT}
        return found

    def first(self, matches: Callable[[dict], bool]) -> str:
        """Return the first input whose schemas are some."""
        for name, described in self.echo["inputs"].items():
            schema = described["schema"]
            if any(matches(each) for each in schema.get("oneOf", [schema])):
                return name
        raise AssertionError(self.echo["inputs"])

    def request(self, response: str = "", outputs: list[str] | None = None, **inputs) -> dict:
        """Return an execute document that wants outputs as values."""
        names = list(self.echo["outputs"]) if outputs is None else outputs
        wanted = {name: {"transmissionMode": "value"} for name in names}
        document = {"inputs": self.inputs() | inputs, "outputs": wanted}
        return document | ({"response": response} if response else {})

    def ended(self, answer: TestResponse) -> dict:
        """Follow the links of a job until it has results."""
        assert answer.status_code == 201
        job = answer.headers["Location"]
        info = self.fresh(job).json
        if info["status"] in {"accepted", "running"}:
            assert job in [link["href"] for link in info["links"] if link["rel"] == "monitor"]
            self._jobs.wait(SYSTEM, info["jobID"], 30)
            info = self.fresh(job).json
        assert info["status"] == "successful", info
        return info

    def dismiss(self, created: TestResponse) -> TestResponse:
        return self._http.delete(created.headers["Location"].removeprefix(BASE), headers=ACCEPT)

    def results(self, document: dict) -> TestResponse:
        info = self.ended(self.execute(document, is_async=True))
        (href,) = (x["href"] for x in info["links"] if x["rel"] == f"{RELATIONS}/results")
        return self.get(href)


Check = Callable[[Suite], None]
CHECKS: dict[str, Check] = {}


def requirement(*names: str) -> Callable[[Check], Check]:
    """Let a check stand for abstract tests."""

    def register(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(names, check))
        return check

    return register


def links_of(document: dict) -> dict[str, str]:
    return {link["rel"]: link["href"] for link in document["links"]}


@requirement("core/landingpage-op", "core/landingpage-success", "core/http")
def check_landing_page(suite: Suite) -> None:
    answer = suite.get("/")
    assert answer.status_code == 200
    assert_valid_json(answer.json, "landingPage.yaml")
    links = links_of(answer.json)
    assert {
        "service-desc", "service-doc", f"{RELATIONS}/conformance", f"{RELATIONS}/processes",
        f"{RELATIONS}/job-list",
    } <= set(links)  # fmt: skip
    for href in links.values():
        assert suite.get(href).status_code == 200


@requirement(
    "core/api-definition-op", "core/api-definition-success", "oas30/completeness",
    "oas30/exceptions-codes", "oas30/oas-definition-1", "oas30/oas-definition-2", "oas30/oas-impl",
)  # fmt: skip
def check_api_definition(suite: Suite) -> None:
    links = links_of(suite.get("/").json)
    answer = suite.get(links["service-desc"])
    assert answer.mimetype == "application/vnd.oai.openapi+json"
    document = json.loads(answer.data)
    validate(document)
    core = (
        "/", "/conformance", "/processes", "/processes/{processID}", "/jobs", "/jobs/{jobID}",
        "/processes/{processID}/execution", "/jobs/{jobID}/results",
    )  # fmt: skip
    for path in core:
        for operation in document["paths"][path].values():
            assert "default" in operation["responses"]


@requirement("core/conformance-op", "core/conformance-success")
def check_conformance(suite: Suite) -> None:
    answer = suite.get("/conformance")
    assert_valid_json(answer.json, "confClasses.yaml")
    classes = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
    claimed = {uri.removeprefix(classes) for uri in answer.json["conformsTo"]}
    assert {
        "core", "ogc-process-description", "json", "html", "oas30", "job-list", "dismiss",
    } <= claimed  # fmt: skip


@requirement("core/process-list", "core/process-list-success")
def check_process_list(suite: Suite) -> None:
    answer = suite.get("/processes")
    assert_valid_json(answer.json, "processList.yaml")
    assert "Echo" in [process["id"] for process in answer.json["processes"]]


@requirement("core/pl-limit-definition", "core/pl-limit-response", "core/pl-links")
def check_limit_of_the_process_list(suite: Suite) -> None:
    first = suite.get("/processes?limit=1").json
    assert_valid_json(first, "processList.yaml")
    assert len(first["processes"]) == 1
    links = links_of(first)
    assert {"self", "alternate", "next"} <= set(links)
    following = suite.get(links["next"]).json
    assert len(following["processes"]) == 1
    assert following["processes"] != first["processes"]
    assert suite.get(links_of(following)["prev"]).json["processes"] == first["processes"]
    assert suite.get("/processes?limit=0").status_code == 400


@requirement("core/process", "core/process-success", "ogc-process-description/json-encoding")
def check_process(suite: Suite) -> None:
    for process in suite.get("/processes").json["processes"]:
        answer = suite.get(links_of(process)["self"])
        assert_valid_json(answer.json, "process.yaml")
        assert answer.json["id"] == process["id"]


@requirement("core/process-exception-no-such-process")
def check_no_such_process(suite: Suite) -> None:
    answer = suite.get("/processes/nothing")
    check_exception(answer, 404)
    assert answer.json["type"] == f"{TYPES}/no-such-process"


def check_exception(answer: TestResponse, status: int) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"  # the suite accepts no other
    assert_valid_json(answer.json, "exception.yaml")
    assert answer.json["status"] == status


@requirement("ogc-process-description/inputs-def", "ogc-process-description/input-def")
def check_inputs(suite: Suite) -> None:
    first = next(iter(suite.echo["inputs"].values()))
    assert first["schema"] == {"type": "string"}
    for described in suite.echo["inputs"].values():
        assert_valid_json(described, "inputDescription.yaml")


@requirement("ogc-process-description/outputs-def", "ogc-process-description/output-def")
def check_outputs(suite: Suite) -> None:
    assert len(suite.echo["outputs"]) > 1
    for described in suite.echo["outputs"].values():
        assert_valid_json(described, "outputDescription.yaml")


@requirement(
    "ogc-process-description/input-mixed-type", "ogc-process-description/output-mixed-type"
)
def check_mixed_types(suite: Suite) -> None:
    for kind in ("inputs", "outputs"):
        schemas = [described["schema"] for described in suite.echo[kind].values()]
        assert [schema for schema in schemas if "oneOf" in schema]


@requirement(
    "core/job-creation-default-execution-mode", "core/job-creation-inputs",
    "core/job-creation-input-inline", "core/job-op", "core/job-creation-sync-raw-value-multi",
    "core/job-creation-default-outputs", "core/job-results-sync",
)  # fmt: skip
def check_sync_raw_values(suite: Suite) -> None:
    answer = suite.execute({"inputs": suite.inputs()})
    assert answer.status_code == 200
    parts = parts_of(answer)
    assert set(parts) <= set(suite.echo["outputs"])
    assert TEXT in [part.get_content() for part in parts.values() if "text" in part["Content-Type"]]
    assert answer.data.startswith(b"--")  # the suite finds the boundary there


@requirement("core/job-creation-input-inline-bbox")
def check_box(suite: Suite) -> None:
    box = {"bbox": [7, 51.9, 7.1, 52], "crs": CRS84}
    answer = suite.execute(suite.request("document", ["bboxOutput"], bbox=box))
    assert answer.json == {"bboxOutput": box}
    assert_valid_json(answer.json, "results.yaml")


@requirement("core/job-creation-input-inline-object", "core/job-creation-input-inline-mixed")
def check_objects(suite: Suite) -> None:
    name = suite.first(lambda schema: schema.get("type") == "object")  # gets a text from the suite
    assert suite.execute(suite.request(**{name: {"value": TEXT}})).status_code == 200
    document = {"members": [1, {"of": TEXT}]}
    answer = suite.execute(
        suite.request("document", ["documentOutput", "mixedOutput"], document={"value": document})
    )
    assert answer.json["documentOutput"] == {"value": document, "mediaType": "application/json"}
    assert answer.json["mixedOutput"]["value"] == TEXT


@requirement("core/job-creation-input-inline-binary")
def check_binary_value(suite: Suite) -> None:
    name = suite.first(lambda schema: schema.get("contentEncoding") == "binary")
    value = {"value": image(), "format": {"mediaType": "image/tiff", "encoding": "base64"}}
    answer = suite.execute(suite.request("raw", [f"{name}Output"], **{name: value}))
    assert answer.status_code == 200, answer.text
    assert answer.data == b64decode(image())


@requirement("core/job-creation-input-ref")
def check_reference(suite: Suite) -> None:
    # The suite's image is on another host; here an output of ours stands for it.
    made = suite.execute(
        suite.request("raw", ["imageOutput"], image={"value": image(), "encoding": "base64"})
    )
    job = suite.fresh("/jobs?limit=1").json["jobs"][0]
    assert made.status_code == 200
    href = {"href": job["outputs"]["imageOutput"]["href"], "format": {"mediaType": "image/tiff"}}
    answer = suite.execute(suite.request("raw", ["imageOutput"], image=href))
    assert answer.data == b64decode(image())


@requirement("core/job-creation-input-array")
def check_array(suite: Suite) -> None:
    name = suite.first(lambda schema: schema.get("type") == "array")
    assert suite.echo["inputs"][name]["schema"]["items"] == {"type": "number"}
    answer = suite.execute(suite.request("document", ["sum"], **{name: [1, 2, 3]}))
    assert answer.json == {"sum": 6}
    assert suite.execute(suite.request(**{name: []})).status_code == 200


@requirement("core/job-creation-input-validation")
def check_validation_of_inputs(suite: Suite) -> None:
    wrong = {"type": "wrong/type"}
    answer = suite.execute(suite.request(complex=wrong))
    check_exception(answer, 400)
    assert answer.json["locator"] == "complex"


@requirement("core/job-creation-sync-raw-value-one", "core/job-creation-sync-raw-ref")
def check_sync_raw_value(suite: Suite) -> None:
    answer = suite.execute(suite.request("raw", ["literalOutput"]))
    assert (answer.status_code, answer.mimetype, answer.text) == (200, "text/plain", TEXT)


@requirement("core/job-creation-sync-document")
def check_sync_document(suite: Suite) -> None:
    answer = suite.execute(suite.request("document"))
    assert answer.status_code == 200
    assert_valid_json({**answer.json, "bboxOutput": 1}, "results.yaml")  # of no CRS that it knows
    assert answer.json["literalOutput"] == TEXT
    assert answer.json["bboxOutput"]["bbox"] == BOX["bbox"]


@requirement(
    "core/job-creation-op", "core/job-creation-auto-execution-mode", "core/job-creation-request",
    "core/job-creation-success-async", "core/job-results", "core/job-success",
)  # fmt: skip
def check_async(suite: Suite) -> None:
    answer = suite.execute(suite.request(), is_async=True)
    assert answer.status_code == 201
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert_valid_json(answer.json, "statusInfo.yaml")
    info = suite.ended(answer)
    assert_valid_json(info, "statusInfo.yaml")
    assert None not in info.values()


@requirement("core/job-results-async-raw-value-one")
def check_async_raw_value(suite: Suite) -> None:
    answer = suite.results(suite.request("raw", ["literalOutput"]))
    assert (answer.status_code, answer.text) == (200, TEXT)


@requirement("core/job-results-async-raw-value-multi")
def check_async_raw_values(suite: Suite) -> None:
    parts = parts_of(suite.results(suite.request()))
    assert parts["literalOutput"].get_content() == TEXT
    assert json.loads(parts["bboxOutput"].get_payload())["bbox"] == BOX["bbox"]


@requirement("core/job-results-async-raw-ref")
def check_async_raw_references(suite: Suite) -> None:
    document = suite.request("raw", complex={"value": "<a/>"})
    for name in document["outputs"]:
        document["outputs"][name] = {"transmissionMode": "reference"}
    answer = suite.results(document)
    assert (answer.status_code, answer.data) == (204, b"")
    links = answer.headers.getlist("Link")
    assert {link.partition("rel=")[2].strip('"') for link in links} == {*document["outputs"]} - {
        "imageOutput"
    }
    values = [suite.get(link.partition(">")[0][1:]).text for link in links]
    assert {TEXT, "<a/>", "0.0"} <= set(values)


@requirement("core/job-results-async-raw-mixed-multi", "core/job-creation-sync-raw-mixed-multi")
def check_async_raw_mixed(suite: Suite) -> None:
    document = suite.request("raw", complex={"value": "<a/>"})
    document["outputs"]["complexOutput"] = {"transmissionMode": "reference"}
    parts = parts_of(suite.results(document))
    assert parts["literalOutput"].get_content() == TEXT
    assert parts["complexOutput"].get_payload().strip() == ""
    assert suite.get(parts["complexOutput"]["Content-Location"]).text == "<a/>"


@requirement("core/job-results-async-document")
def check_async_document(suite: Suite) -> None:
    answer = suite.results(suite.request("document"))
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json["literalOutput"] == TEXT


@requirement("core/job-exception-no-such-job", "core/job-results-exception/no-such-job")
def check_no_such_job(suite: Suite) -> None:
    for path in ("/jobs/nothing", "/jobs/nothing/results"):
        answer = suite.get(path)
        check_exception(answer, 404)
        assert answer.json["type"] == f"{TYPES}/no-such-job"


@requirement("core/job-results-exception-results-not-ready")
def check_results_that_are_not_ready(suite: Suite) -> None:
    created = suite.execute(suite.request("raw", pause=5), is_async=True)
    answer = suite.fresh(f"{created.headers['Location']}/results")
    check_exception(answer, 404)
    assert answer.json["type"] == f"{TYPES}/result-not-ready"
    suite.dismiss(created)


@requirement("dismiss/job-dismiss-op", "dismiss/job-dismiss-success")
def check_dismissal(suite: Suite) -> None:
    created = suite.execute(suite.request(pause=6), is_async=True)
    answer = suite.dismiss(created)
    assert answer.status_code == 200
    assert_valid_json(answer.json, "statusInfo.yaml")
    assert answer.json["status"] == "dismissed"


@requirement("core/job-results-failed")
def check_failure(suite: Suite) -> None:
    check_exception(suite.execute({"invalid-execute-request": "true)"}), 400)


@requirement(
    "job-list/job-list-op", "job-list/job-list-success", "job-list/links",
    "job-list/limit-definition", "job-list/limit-response",
)  # fmt: skip
def check_job_list(suite: Suite) -> None:
    suite.execute(suite.request("document"))
    suite.execute(suite.request(), is_async=True)
    answer = suite.fresh("/jobs?limit=1")
    assert_valid_json(answer.json, "jobList.yaml")
    assert len(answer.json["jobs"]) == 1
    following = suite.fresh(links_of(answer.json)["next"]).json
    assert following["jobs"][0]["jobID"] != answer.json["jobs"][0]["jobID"]


@requirement("job-list/processID-definition", "job-list/processID-response",
             "job-list/processID-mandatory", "job-list/status-definition",
             "job-list/status-response", "job-list/type-definition",
             "job-list/type-response")  # fmt: skip
def check_filters_of_jobs(suite: Suite) -> None:
    suite.execute(suite.request("document"))
    query = "processID=Echo&status=successful&type=process"
    jobs = suite.fresh(f"/jobs?{query}").json["jobs"]
    assert jobs
    assert {(job["processID"], job["status"], job["type"]) for job in jobs} == {
        ("Echo", "successful", "process")
    }
    assert suite.fresh("/jobs?processID=Jpeg2Tiff").json["jobs"] == []
    for wrong in ("status=done", "type=provider"):
        assert suite.fresh(f"/jobs?{wrong}").status_code == 400


@requirement("job-list/datetime-definition", "job-list/datetime-response",
             "job-list/duration-definition", "job-list/duration-response")  # fmt: skip
def check_times_of_jobs(suite: Suite) -> None:
    job = suite.ended(suite.execute(suite.request(), is_async=True))

    def has(query: str) -> bool:
        listed = suite.fresh(f"/jobs?limit=1000&{query}").json
        assert_valid_json(listed, "jobList.yaml")
        return job["jobID"] in [each["jobID"] for each in listed["jobs"]]

    day, created = job["created"][:10], job["created"]
    for query in (day, f"{day}/..", f"../{created}", f"{created}/{created}", created):
        assert has(f"datetime={query}"), query
    for query in (f"../{int(day[:4]) - 1}-01-01", f"{int(day[:4]) + 1}-01-01/.."):
        assert not has(f"datetime={query}"), query
    assert has("minDuration=0&maxDuration=600")
    assert not has("minDuration=600")
    for wrong in ("datetime=yesterday", "minDuration=-1", "maxDuration=x"):
        assert suite.fresh(f"/jobs?{wrong}").status_code == 400


@requirement("json/definition", "html/definition", "html/content")
def check_forms(suite: Suite) -> None:
    info = suite.ended(suite.execute(suite.request(), is_async=True))
    paths = ["/", "/api", "/conformance", "/processes", "/processes/Echo", "/jobs"]
    job = f"/jobs/{info['jobID']}"
    for path in [*paths, job, f"{job}/results", f"{job}/request", f"{job}/events"]:
        page = suite.fresh(path, Accept="text/html")
        assert (page.status_code, page.mimetype) == (200, "text/html"), path
        assert suite.fresh(f"{path}?f=html").mimetype == "text/html"
        document = suite.fresh(f"{path}?f=json", Accept="text/html")
        assert document.status_code == 200
        assert document.mimetype != "text/html"


@pytest.fixture(scope="module")
def suite(gateway, http):
    return Suite(gateway, http)


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name, suite):
    CHECKS[name](suite)
