"""What clients of the field rely on, and engines before this one got wrong."""

import dataclasses
import datetime as dt
import sys
import threading
from pathlib import Path

import pytest
from statements import recorded_statements

from candela.contract.job import Failure, OutputFile, OutputLiteral, ResultDocument
from candela.gateway import app
from candela.gateway.protocols.waiting import WAITING_GRACE
from candela.jobs.model import UNFINISHED, State
from candela.jobs.store import JobStore
from candela.runners.local import LocalRunner
from candela.settings import Settings

NS = {"wps": "http://www.opengis.net/wps/1.0.0", "ows": "http://www.opengis.net/ows/1.1"}
CAPABILITIES = "/wps?service=WPS&request=GetCapabilities"
DESCRIBE = "/wps?service=WPS&version=1.0.0&request=DescribeProcess&identifier=all"
EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs="
)
INSTANT = Path(__file__).parents[2] / "benchmarks" / "_instant_worker.py"


def job_of(response):
    return response.root.get("statusLocation").rpartition("/")[2]


def test_forty_requests_at_the_same_time_all_come_to_their_end(tmp_path, monkeypatch):
    def runner(settings, storage, specs):
        command = (sys.executable, "-I", "-S", str(INSTANT))
        return LocalRunner(storage, settings.folder / "work", command=command)

    monkeypatch.setattr(app, "make_runner", runner)
    gateway = app.Gateway.assemble(Settings(data=tmp_path, grace_s=0))
    gateway.start()
    wsgi = gateway.application()
    answers = []

    def ask(number):
        answers.append(wsgi.test_client().get(f"{EXECUTE}literal=job{number}"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 40
    store = gateway.jobs.store
    jobs = [store.wait(job.id, 120) for job in store.jobs(limit=100)]
    made = {job.result.outputs["literalOutput"].value for job in jobs}
    gateway.stop()
    assert {job.state for job in jobs} == {State.SUCCEEDED}
    assert made == {f"job{number}" for number in range(40)}


def test_capabilities_are_made_once_and_read_one_number_at_most(idle_gateway, idle):
    first = idle.get(CAPABILITIES).data
    with recorded_statements() as said:
        idle.get(CAPABILITIES)
    counter = "SELECT process_catalogue.revision"  # whether an operator has added a process
    assert [text for text in said if not text.startswith(counter)] == []
    assert len(said) <= 1
    assert idle.get(CAPABILITIES).data == first


def test_an_execute_is_one_write(idle):
    with recorded_statements() as said:
        idle.get(EXECUTE)
    assert len([text for text in said if text.startswith("BEGIN")]) == 1
    written = [text.split()[2] for text in said if text.startswith(("INSERT", "UPDATE"))]
    assert written == ["job", "job_event"]


def test_the_address_of_the_service_is_escaped_once_and_times_are_utc(idle):
    response = idle.get(EXECUTE)
    assert response.root.get("serviceInstance").count("&") == 2
    assert b"&amp;amp;" not in response.data
    told = response.root.find("wps:Status", NS).get("creationTime")
    assert told.endswith("Z")
    created = dt.datetime.fromisoformat(told)
    assert abs((dt.datetime.now(dt.UTC) - created).total_seconds()) < 60


def test_any_gateway_on_the_store_serves_the_status(idle, idle_gateway, tmp_path):
    job_id = job_of(idle.get(EXECUTE))
    settings = idle_gateway.settings.model_copy(update={"data": tmp_path / "other"})
    settings = settings.model_copy(update={"database": idle_gateway.settings.database_url})
    other = app.Gateway.assemble(settings)
    answer = other.application().test_client().get(f"/wps/status/{job_id}")
    other.stop()
    assert (answer.status_code, b"ProcessAccepted" in answer.data) == (200, True)


def test_answers_that_are_held_back_are_few(idle, idle_gateway, monkeypatch):
    held = []

    def wait(job_id, timeout_s, *, owner):
        held.append(timeout_s)  # and the next one comes while this one is held back
        assert idle.application.test_client().get(EXECUTE).status_code == 200
        return idle_gateway.jobs.store.get(job_id)

    monkeypatch.setattr(idle_gateway.jobs.store, "wait", wait)
    for _ in range(2):
        assert idle.get(EXECUTE).status_code == 200
    assert held == [0] * 2 * WAITING_GRACE


def test_xml_is_the_answer_whatever_is_accepted(idle):
    for accept in ("*/*", "application/json", ""):
        answer = idle.get(CAPABILITIES, headers={"Accept": accept})
        assert answer.content_type == "text/xml; charset=utf-8"


def test_the_status_document_has_a_whole_percentage_and_the_prefix_that_clients_look_for(
    idle, idle_gateway
):
    job_id = job_of(idle.get(EXECUTE))
    store = idle_gateway.jobs.store
    store.move(job_id, [State.ACCEPTED], State.DISPATCHING)
    store.move(job_id, [State.DISPATCHING], State.RUNNING, percent=12.7, message="half")
    response = idle.get(f"/wps/status/{job_id}")
    started = response.root.find(".//wps:ProcessStarted", NS)
    assert started.get("percentCompleted") == "12"
    assert b'wps:processVersion="1.1.0"' in response.data
    assert response.root.find(".//wps:ProcessAccepted", NS) is None
    assert b"<wps:ExecuteResponse" in response.data
    assert response.root.get("version") == "1.0.0"


def test_descriptions_are_as_the_clients_of_qgis_read_them(idle):
    root = idle.get(DESCRIBE).root
    assert root.get("version") == "1.0.0"
    for process in root.iter("ProcessDescription"):
        assert process.get("storeSupported") == process.get("statusSupported") == "true"
        assert (
            len(process.findall("ows:Title", NS)) == len(process.findall("ows:Abstract", NS)) == 1
        )
        for child in process.iter("Input", "Output"):
            assert child.getparent().tag in {"DataInputs", "ProcessOutputs"}  # unqualified
            for literal in child.iter("LiteralData"):
                choices = ("ows:AllowedValues", "ows:AnyValue")
                assert sum(literal.find(each, NS) is not None for each in choices) == 1


def test_titles_stand_only_where_clients_count_them(idle):
    root = idle.get(CAPABILITIES).root
    processes = root.findall("wps:ProcessOfferings/wps:Process", NS)
    service = root.find("ows:ServiceIdentification", NS)
    assert len(root.findall(".//ows:Title", NS)) == len(processes) + 1
    assert len(root.findall(".//ows:Abstract", NS)) == len(processes) + 1
    assert len(service.findall("ows:Title", NS)) == len(service.findall("ows:Abstract", NS)) == 1


@pytest.fixture
def finished(idle, idle_gateway):
    """Return a function that ends a job of a process with outputs, and gives its document."""

    def finish(process, outputs):
        job = idle_gateway.jobs.store.get(job_of(idle.get(EXECUTE)))
        job = dataclasses.replace(
            job,
            id=f"{len(process):08}",
            process=process,
            description=idle_gateway.jobs.specs.version(process).digest,
            request=job.request.model_copy(update={"inputs": {}}),
            state=State.SUCCEEDED,
            message="succeeded",
            result=ResultDocument(job=job.id, status="succeeded", outputs=outputs),
        )
        idle_gateway.jobs.store.add(job)
        return idle.get(f"/wps/status/{job.id}")

    return finish


def test_rasters_are_references_with_the_exact_media_type_and_a_clean_address(finished):
    geotiff = "image/tiff; subtype=geotiff"
    change = OutputFile(file="change map.tif", media_type=geotiff, size=9, sha256="0")
    response = finished("ChangeDetect", {"change": change})
    (reference,) = response.root.findall(".//wps:Reference", NS)
    assert reference.get("mimeType") == geotiff
    assert reference.get("href").endswith("/change%20map.tif")
    assert "?" not in reference.get("href") + response.root.get("statusLocation")


def test_literals_stand_in_the_document(finished):
    response = finished("Echo", {"sum": OutputLiteral(value=1.5)})
    assert response.root.findtext(".//wps:LiteralData", namespaces=NS) == "1.5"


def test_the_first_text_of_an_exception_is_the_sentence(idle, idle_gateway):
    job_id = job_of(idle.get(EXECUTE))
    failure = Failure(kind="InputError", message="band 3 missing", locator="x", log="line\nline")
    idle_gateway.jobs.store.move(job_id, UNFINISHED, State.FAILED, error=failure, message="no")
    response = idle.get(f"/wps/status/{job_id}")
    texts = [text.text for text in response.root.iter(f"{{{NS['ows']}}}ExceptionText")]
    assert texts == ["band 3 missing", "The log ends with:\nline\nline"]
    report = response.root.find(".//wps:ProcessFailed", NS)[0]
    assert report.tag == f"{{{NS['ows']}}}ExceptionReport"


def test_a_store_that_is_opened_twice_is_one_store(idle, idle_gateway):
    job_id = job_of(idle.get(EXECUTE))
    other = JobStore(idle_gateway.settings.database_url)
    assert other.get(job_id) == idle_gateway.jobs.store.get(job_id)
    other.close()
