"""OGC API - Processes with clients that others have made: curl and OWSLib."""

import pytest
from owslib.ogcapi.processes import Processes
from recipes import assert_recipes


def test_the_recipes_of_the_page_answer_what_it_says(gateway, tmp_path):
    assert_recipes("ogcapi.md", gateway.url, tmp_path)


@pytest.fixture(scope="module")
def owslib(gateway):
    return Processes(gateway.url)


def test_owslib_reads_landing_page_conformance_and_api(owslib):
    assert {"self", "service-desc", "conformance"} <= {link["rel"] for link in owslib.links}
    assert any(uri.endswith("/conf/core") for uri in owslib.conformance()["conformsTo"])
    assert owslib.api()["openapi"] == "3.0.3"


def test_owslib_reads_processes(owslib):
    assert "ChangeDetect" in [process["id"] for process in owslib.processes()]
    inputs = owslib.process("Jpeg2Tiff")["inputs"]
    assert inputs["resolution"]["schema"]["default"] == 10
    assert "B8A" in inputs["bands"]["schema"]["items"]["enum"]


def test_owslib_executes_a_process(owslib):
    results = owslib.execute("Echo", inputs={"literal": "by OWSLib", "numbers": [1, 2]})
    assert results == {"literalOutput": "by OWSLib", "sum": 3}
    headers = owslib.response_headers
    assert headers["Preference-Applied"] == "respond-sync"


def test_owslib_submits_a_job(owslib, client):
    owslib.execute("Echo", inputs={"literal": "a job"}, async_=True)
    job = client.job(owslib.response_headers["Location"].rpartition("/")[2])
    assert job.wait().outputs["literalOutput"].value == "a job"
