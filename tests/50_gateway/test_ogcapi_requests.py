"""Requests of OGC API - Processes: what is accepted, refused, checked and preferred."""

import json

import pytest
from werkzeug.datastructures import Headers

from candela.contract.job import Box, Inline, Reference
from candela.errors import InvalidValueError
from candela.gateway.protocols.ogcapi.execute_request import execute_request
from candela.gateway.protocols.ogcapi.preferences import ExecutionPreferences
from candela.jobs.principal import SYSTEM
from candela.spec import load_specs

ECHO = load_specs()["Echo"]
DETECT = load_specs()["ChangeDetect"]
EXECUTION = "/processes/Echo/execution"
GEOJSON = {"type": "FeatureCollection", "features": []}


def inputs_of(spec=ECHO, **inputs):
    return execute_request({"inputs": inputs}, spec).inputs


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("literal", "x", "x"),
        ("literal", {"value": "x"}, "x"),
        ("pause", 1.5, 1.5),
        ("complex", "<a/>", Inline(value="<a/>")),
        ("complex", {"value": "<a/>", "mediaType": "text/xml", "encoding": "UTF-8"},
         Inline(value="<a/>", media_type="text/xml")),
        ("complex", {"href": "http://x.example/a.xml", "type": "text/xml"},
         Reference(href="http://x.example/a.xml", type="text/xml")),
        ("image", "SUkqAA==", Inline(value="SUkqAA==", encoding="base64")),
        ("image", {"value": "SUkqAA==", "format": {"mediaType": "image/tiff"}},
         Inline(value="SUkqAA==", media_type="image/tiff", encoding="base64")),
        ("document", {"a": [1, None]}, Inline(value='{"a": [1, null]}')),
        ("document", {"value": [1, 2]}, Inline(value="[1, 2]")),
        ("document", '{"a": 1}', Inline(value='{"a": 1}')),
        ("document", "no JSON", Inline(value='"no JSON"')),
        ("mixed", {"value": "SUkqAA==", "mediaType": "image/tiff"},
         Inline(value="SUkqAA==", media_type="image/tiff", encoding="base64")),
        ("bbox", {"bbox": [9, 45, 10, 46]}, Box(bbox=(9, 45, 10, 46))),
        ("bbox", {"value": {"bbox": [9, 45, 10, 46]}}, Box(bbox=(9, 45, 10, 46))),
        ("bbox", {"bbox": [45, 9, 46, 10], "crs": "http://www.opengis.net/def/crs/EPSG/0/4326"},
         Box(bbox=(9, 45, 10, 46), crs="http://www.opengis.net/def/crs/EPSG/0/4326")),
    ],
)  # fmt: skip
def test_a_value_is_read_by_the_description_of_its_input(name, value, read):
    assert inputs_of(**{name: value}) == {name: [read]}


def test_a_whole_number_with_a_fraction_of_zero_is_an_integer():
    resolution = inputs_of(load_specs()["Jpeg2Tiff"], resolution=20.0)["resolution"]
    assert resolution == [20]
    assert isinstance(resolution[0], int)


def test_several_values_are_a_list():
    assert inputs_of(numbers=[1, {"value": 2}]) == {"numbers": [1, 2]}
    assert inputs_of(numbers=[]) == {"numbers": []}


def test_geojson_may_stand_as_it_is():
    for value in (GEOJSON, {"value": GEOJSON, "mediaType": "application/geo+json"}):
        (read,) = inputs_of(DETECT, parcels=value)["parcels"]
        assert json.loads(read.value) == GEOJSON


@pytest.mark.parametrize(
    ("document", "locator", "text"),
    [
        ([], "body", "an array"),
        ({"input": {}}, "input", "member 'input'"),
        ({"inputs": []}, "inputs", "an array, expected an object"),
        ({"inputs": {"nothing": 1}}, "nothing", "no input 'nothing'"),
        ({"inputs": {"literal": None}}, "literal", "null"),
        ({"inputs": {"literal": {"text": "x"}}}, "literal", "without value and href"),
        ({"inputs": {"literal": {"value": "x", "unit": "m"}}}, "literal", "member 'unit'"),
        ({"inputs": {"numbers": [[1]]}}, "numbers", "an array"),
        ({"inputs": {"numbers": [1, "2"]}}, "numbers", "is '2', expected number"),
        ({"inputs": {"literal": 5}}, "literal", "is a number, expected string"),
        ({"inputs": {"literal": False}}, "literal", "is a boolean, expected string"),
        ({"inputs": {"pause": True}}, "pause", "is a boolean, expected number"),
        ({"inputs": {"complex": {"value": 7}}}, "complex", "a number as value"),
        ({"inputs": {"complex": {"value": "x", "encoding": "gzip"}}}, "complex", "'gzip'"),
        ({"inputs": {"complex": {"href": 7}}}, "complex", "a number"),
        ({"inputs": {"bbox": {"bbox": [1, 2, 3]}}}, "bbox", "3 numbers"),
        ({"inputs": {"bbox": {"bbox": [1, 2, 3, "4"]}}}, "bbox", "no finite number"),
        ({"outputs": ["sum"]}, "outputs", "an array"),
        ({"outputs": {"sum": {"transmissionMode": "post"}}}, "sum", "'post'"),
        ({"outputs": {"sum": {"mode": "value"}}}, "sum", "member 'mode'"),
        ({"response": "xml"}, "response", "'xml'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(document, locator, text):
    with pytest.raises(InvalidValueError) as caught:
        execute_request(document, ECHO)
    assert text in caught.value.message
    assert caught.value.locator == locator


def test_addresses_of_a_subscriber_are_read_and_others_refused():
    uris = {"successUri": "http://x.example", "failedUri": "http://y.example"}
    subscriber = execute_request({"subscriber": uris}, ECHO).subscriber
    assert subscriber.model_dump(by_alias=True, exclude_none=True) == uris
    for wrong, locator in (({"uri": "http://x.example"}, "subscriber"), ([], "subscriber"),
                           ({"failedUri": 1}, "subscriber.failedUri")):  # fmt: skip
        with pytest.raises(InvalidValueError) as caught:
            execute_request({"subscriber": wrong}, ECHO)
        assert caught.value.locator == locator


def test_a_dry_run_fills_in_defaults_and_starts_nothing(idle):
    for path, headers in (("validation", {}), ("execution", {"Prefer": "dry-run"})):
        answer = idle.post(f"/processes/Echo/{path}", json={"inputs": {}}, headers=headers)
        assert answer.json["request"] == {"inputs": {"pause": 0}, "response": "raw"}
    assert idle.get("/jobs").json["numberTotal"] == 0


def test_a_dry_run_refuses_what_execution_refuses(idle):
    for value in ({"href": "http://candela.test/outputs/nothing/x.xml"}, {"href": "ftp://x/y"}):
        document = {"inputs": {"complex": value}}
        told = [
            idle.post(f"/processes/Echo/{path}", json=document)
            for path in ("validation", "execution")
        ]
        assert [answer.status_code for answer in told] == [400, 400]
        assert told[0].json["detail"] == told[1].json["detail"]
        assert told[0].json["locator"] == "complex"


def test_half_a_character_is_refused(idle):
    whole = b'{"inputs": {"literal": "\\ud83d\\ude00"}}'
    for content, status in ((whole, 200), (whole.replace(b"\\ude00", b""), 400)):
        answer = idle.post(
            "/processes/Echo/validation", data=content, content_type="application/json"
        )
        assert answer.status_code == status, answer.text


def test_numbers_that_json_does_not_have_are_refused(idle):
    answer = idle.post(
        EXECUTION, data=b'{"inputs": {"pause": NaN}}', content_type="application/json"
    )
    assert (answer.status_code, answer.json["locator"]) == (400, "body")


def test_a_request_under_the_same_key_is_the_same_job(idle):
    headers = {"Prefer": "respond-async", "Idempotency-Key": "7"}
    documents = [{"inputs": {"literal": text}} for text in ("a", "a", "b")]
    answers = [idle.post(EXECUTION, json=document, headers=headers) for document in documents]
    assert [answer.status_code for answer in answers] == [201, 201, 400]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]


def test_an_empty_text_for_an_optional_literal_is_left_out(idle):
    answer = idle.post("/processes/Echo/validation", json={"inputs": {"literal": "", "pause": ""}})
    assert answer.json["request"]["inputs"] == {"pause": 0}


def test_jobs_are_found_by_where_their_results_lie(gateway, http):
    box = {"bbox": [179, -17, -179, -16]}  # across the antimeridian is no box of an input
    assert http.post(EXECUTION, json={"inputs": {"bbox": box}}).status_code == 400
    box = {"bbox": [9, 45, 10, 46]}
    answer = http.post(EXECUTION, json={"inputs": {"bbox": box}}, headers={"Prefer": "wait=60"})
    job = answer.headers["Link"].partition(">")[0].rpartition("/")[2]
    assert http.get(f"/jobs/{job}").json["footprint"]["bbox"] == pytest.approx(box["bbox"])
    for bbox, is_there in (("9.5,45.5,9.6,45.6", True), ("11,45,12,46", False)):
        listed = http.get(f"/jobs?bbox={bbox}").json["jobs"]
        assert (job in [each["jobID"] for each in listed]) is is_there
    assert http.get("/jobs?bbox=1,2,3").status_code == 400


def test_a_dismissed_job_leaves_a_tombstone_and_no_results(http):
    answer = http.post(EXECUTION, json={}, headers={"Prefer": "wait=60"})
    job = answer.headers["Link"].partition(">")[0].partition("test")[2]
    told = [http.delete(job) for _ in range(2)]
    assert [answer.status_code for answer in told] == [200, 200]
    assert told[0].json["status"] == told[1].json["status"] == "dismissed"
    info = http.get(job).json
    assert (info["status"], "removed" in info, "outputs" in info) == ("dismissed", True, False)
    results = http.get(f"{job}/results")
    assert (results.status_code, results.json["title"]) == (410, "Job dismissed")


def test_a_job_that_does_not_end_in_time_goes_on(idle, idle_gateway):
    for headers in ({}, {"Prefer": "wait=0"}, {"Prefer": "respond-sync"}):
        answer = idle.post(EXECUTION, json={}, headers=headers)
        assert answer.status_code == 201
        assert "Preference-Applied" not in answer.headers
        job = idle_gateway.jobs.get(SYSTEM, answer.json["jobID"])
        assert job.state == "accepted"


@pytest.mark.parametrize(
    ("prefer", "is_async", "held_s", "sync", "later"),
    [
        ("", False, 60, "", ""),
        ("respond-async", True, 0, "", "respond-async"),
        ("respond-async, wait=5", True, 5, "wait=5", "respond-async"),
        ("wait=90", False, 60, "wait=90", ""),
        ("respond-sync", False, 60, "respond-sync", ""),
        ("Respond-Async; foo=bar", True, 0, "", "respond-async"),
        ("wait=soon, priority=3", False, 60, "", ""),
    ],
)
def test_preferences_are_read_and_what_was_applied_is_said(prefer, is_async, held_s, sync, later):
    found = ExecutionPreferences.of(Headers({"Prefer": prefer}))
    assert (found.is_async, found.held_s(60)) == (is_async, held_s)
    assert found.applied(is_answered_async=False) == sync
    assert found.applied(is_answered_async=True) == later


def test_every_parameter_of_the_document_is_known_and_no_other_is(idle):
    document = json.loads(idle.get("/api").data)
    for path, operations in document["paths"].items():
        if "get" not in operations:
            continue
        names = [p["name"] for p in operations["get"].get("parameters", ()) if p["in"] == "query"]
        address = path.replace("{processID}", "Echo").replace("{jobID}", "nothing")
        told = idle.get(f"{address.replace('{outputID}', 'sum')}?bogus=1")
        assert told.status_code == 400, path
        assert f"(parameters: {', '.join(names) or 'none'})" in told.json["detail"]


def test_a_page_of_another_site_may_read_and_not_execute(idle):
    other = {"Origin": "https://elsewhere.example"}
    for path in ("/", "/api", "/conformance", "/processes", "/processes/Echo", "/jobs"):
        assert idle.get(path, headers=other).headers["Access-Control-Allow-Origin"] == "*"
    refused = idle.post(EXECUTION, json={}, headers=other)
    assert refused.status_code == 403
    assert idle.get("/jobs").json["numberTotal"] == 0


def test_head_is_get_without_content(idle):
    job = idle.post(EXECUTION, json={}, headers={"Prefer": "respond-async"}).headers["Location"]
    for path in ("/", "/api", "/processes/Echo", "/jobs", job.partition("test")[2]):
        head, get = idle.head(path), idle.get(path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_a_job_of_one_protocol_is_followed_and_dismissed_in_another(idle):
    created = idle.post(EXECUTION, json={}, headers={"Prefer": "respond-async"})
    job = created.json["jobID"]
    status = idle.get(f"/wps/status/{job}").root
    assert status.find(".//{*}ProcessAccepted") is not None
    assert idle.delete(f"/jobs/{job}").json["status"] == "dismissed"
    assert idle.get(f"/wps/status/{job}").root.find(".//{*}ProcessFailed") is not None
    results = idle.get(f"/jobs/{job}/results")
    assert results.status_code == 410


def test_the_request_of_a_job_of_wps_can_be_sent_again(idle):
    execute = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo&DataInputs="
    inputs = "literal=x;numbers=1;numbers=2;bbox=9,45,10,46,EPSG:4326;complex=%253Ca/%253E"
    told = idle.get(f"{execute}{inputs}&storeExecuteResponse=true&status=true")
    job = told.root.get("statusLocation").rpartition("/")[2]
    document = idle.get(f"/jobs/{job}/request").json
    assert document["inputs"] == {
        "literal": "x", "bbox": {"bbox": [9, 45, 10, 46],
                                 "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
        "numbers": [1, 2], "complex": {"value": "<a/>"}, "pause": 0,
    }  # fmt: skip
    again = idle.post(EXECUTION, json=document, headers={"Prefer": "respond-async"})
    assert again.status_code == 201
    assert idle.get(f"/jobs/{again.json['jobID']}/request").json == document
