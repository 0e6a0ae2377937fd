"""The client against a real gateway."""

import re

import pytest

from candela.client import (
    Client,
    InputValueError,
    JobDismissedError,
    NotFoundError,
    RequestRefusedError,
    ServerAnswerError,
    ServerUnreachableError,
    Status,
    WaitTimeoutError,
)
from candela.demo.gateway import LocalGateway, free_port


def test_all_processes_are_listed(client: Client) -> None:
    processes = {process.identifier: process for process in client.processes()}
    assert {"Echo", "Jpeg2Tiff", "ExtractInfo", "ChangeDetect"} <= set(processes)
    assert processes["Echo"].version == "1.1.0"
    assert "Echo for conformance tests" in repr(client.processes())
    assert "<td" in client.processes()._repr_html_()


def test_a_description_tells_types_choices_limits_and_defaults(client: Client) -> None:
    inputs = client.describe("Jpeg2Tiff").inputs
    assert inputs["product"].type == "file"
    assert inputs["product"].is_required
    assert inputs["bands"].max_occurs == 13
    assert "B8A" in inputs["bands"].allowed
    assert inputs["resolution"].type == "integer"
    assert inputs["resolution"].default == 10
    assert inputs["resolution"].unit == "m"
    assert inputs["area"].type == "bbox"
    pause = client.describe("Echo").inputs["pause"]
    assert (pause.minimum, pause.maximum) == (0, 600)
    outputs = client.describe("Jpeg2Tiff").outputs
    assert outputs["image"].media_type == "image/tiff; subtype=geotiff"
    assert outputs["image_wms"].media_type == "application/x-ogc-wms"
    assert "resampling" in repr(client.describe("Jpeg2Tiff"))
    assert "resampling" in client.describe("Jpeg2Tiff")._repr_html_()


def test_an_unknown_process_is_refused_with_those_there_are(client: Client) -> None:
    with pytest.raises(RequestRefusedError, match=r"Nothing.*Echo") as caught:
        client.describe("Nothing")
    assert caught.value.code == "InvalidParameterValue"


def test_values_come_back_as_they_were_sent(client: Client) -> None:
    job = client.execute(
        "Echo", literal="größer & <kleiner>", numbers=[1, 2.5, -3e-7], bbox=(1.5, 43.0, 2, 44)
    ).wait()
    assert job.succeeded
    assert job.percent == 100
    assert job.outputs["literalOutput"].value == "größer & <kleiner>"
    assert job.outputs["sum"].value == pytest.approx(3.4999997)
    assert job.outputs["bboxOutput"].value == {"bbox": [1.5, 43.0, 2.0, 44.0], "crs": "EPSG:4326"}
    assert "complexOutput" not in job.outputs
    assert "literalOutput" in job._repr_html_()
    assert "succeeded" in repr(job)


def test_a_text_file_travels_in_the_request(client: Client) -> None:
    job = client.execute("Echo", complex="<a><b>1</b></a>").wait()
    output = job.outputs["complexOutput"]
    assert output.media_type == "text/xml"
    assert re.sub(r"\s", "", output.text()).endswith("<a><b>1</b></a>")


def test_an_output_is_an_input_of_the_next_job(client: Client) -> None:
    first = client.execute("Echo", complex="<a/>", literal="once").wait()
    second = client.execute(
        "Echo", complex=first.outputs["complexOutput"], literal=first.outputs["literalOutput"]
    ).wait()
    assert second.outputs["literalOutput"].value == "once"
    assert second.outputs["complexOutput"].text() == first.outputs["complexOutput"].text()


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (
            {"literl": "x"},
            r"no input 'literl' \(inputs: literal, bbox, .*, complex, pause\)",
        ),
        ({"pause": True}, "of type float"),
        ({"pause": 601}, "from 0 to 600"),
        ({"numbers": list(range(11))}, "up to 10, found 11"),
        ({"bbox": (1, 2, 3)}, "bounding box"),
        ({"complex": object()}, "is a file"),
    ],
)
def test_wrong_inputs_are_refused_before_anything_is_sent(
    client: Client, inputs: dict[str, object], reason: str
) -> None:
    before = len(client.jobs())
    with pytest.raises(InputValueError, match=reason):
        client.execute("Echo", **inputs)
    assert len(client.jobs()) == before


def test_what_only_the_server_knows_is_refused_by_the_server(client: Client) -> None:
    with pytest.raises(RequestRefusedError, match="lower corner") as caught:
        client.execute("Echo", bbox=(3, 2, 1, 4))
    assert caught.value.code == "InvalidParameterValue"
    assert caught.value.locator == "bbox"


def test_a_job_is_followed_listed_taken_up_and_dismissed(client: Client) -> None:
    job = client.execute("Echo", literal="slow", pause=600)
    assert job.status in {Status.ACCEPTED, Status.RUNNING}
    with pytest.raises(NotFoundError, match="no outputs yet"):
        _ = job.outputs
    with pytest.raises(WaitTimeoutError, match=job.id):
        job.wait(timeout_s=0.3)
    assert job.id in [each.id for each in client.jobs(process="Echo")]
    unfinished = [*client.jobs(status="running"), *client.jobs(status="accepted")]
    assert job.id in [each.id for each in unfinished]
    again = client.job(job.id)
    assert again.process == "Echo"
    again.dismiss()
    with pytest.raises(JobDismissedError, match="dismissed"):
        job.wait(timeout_s=30)
    assert not job.succeeded


def test_a_finished_job_has_a_log(client: Client) -> None:
    assert "Echo" in client.execute("Echo", literal="x").wait().log()


def test_an_unknown_job_is_not_found(client: Client) -> None:
    with pytest.raises(NotFoundError, match="no-such-job"):
        client.job("no-such-job")


def test_a_job_can_be_taken_up_by_its_status_document(client: Client) -> None:
    job = client.execute("Echo", literal="document", numbers=[1]).wait()
    again = client.job(f"{client.url}/wps/status/{job.id}").wait(timeout_s=10)
    assert again.outputs["literalOutput"].value == "document"
    assert again.process == "Echo"


def test_the_address_of_the_wps_will_do(gateway: LocalGateway) -> None:
    with Client(f"{gateway.url}/wps") as client:
        assert client.execute("Echo", literal="x").wait().succeeded


def test_a_server_that_is_away_is_named() -> None:
    port = free_port()
    with (
        Client(f"http://127.0.0.1:{port}") as client,
        pytest.raises(ServerUnreachableError, match=str(port)),
    ):
        client.processes()


def test_a_server_that_is_no_wps_is_told(gateway: LocalGateway) -> None:
    with (
        Client(gateway.url, endpoint=f"{gateway.url}/healthz") as client,
        pytest.raises(ServerAnswerError, match="is it a WPS"),
    ):
        client.processes()


def test_a_job_has_a_title_times_and_inputs(client: Client) -> None:
    job = client.execute("Echo", title="Überflutung, Wednesday", literal="hi", complex="<a/>")
    assert job.title == "Überflutung, Wednesday"
    assert job.results(progress=False)["literalOutput"].value == "hi"
    assert job["literalOutput"].value == "hi"
    with pytest.raises(KeyError, match=r"outputs: literalOutput, sum, complexOutput"):
        job["none"]
    assert job.created is not None
    assert job.duration is not None
    assert 0 <= job.duration.total_seconds() < 60
    assert job.inputs["literal"] == ["hi"]
    assert job.inputs["complex"] == [{"mediaType": "text/xml", "length": 4}]
    (listed,) = (each for each in client.jobs(process="Echo", limit=100) if each.id == job.id)
    assert listed.title == job.title
    assert listed.inputs["literal"] == ["hi"]


def test_the_inputs_of_a_job_show_no_secret(client: Client) -> None:
    secret = "http://user:pw@127.0.0.1:9/a.xml?sig=secret"
    job = client.execute("Echo", complex=secret)
    assert job.inputs["complex"] == [{"href": "http://127.0.0.1:9/a.xml"}]
    job.dismiss()


def test_a_title_that_cannot_be_is_refused(client: Client) -> None:
    for title in ("x" * 201, "a\tb"):
        with pytest.raises(RequestRefusedError):
            client.execute("Echo", title=title, literal="hi")


def test_to_cancel_ends_a_job_and_leaves_a_finished_one_alone(client: Client) -> None:
    job = client.execute("Echo", pause=600)
    job.cancel()
    assert job.status is Status.DISMISSED
    done = client.execute("Echo", literal="x").wait(progress=False)
    done.cancel()
    assert client.job(done.id).status is Status.SUCCEEDED


def test_jobs_are_a_table(client: Client) -> None:
    client.execute("Echo", title="first", literal="x").wait(progress=False)
    jobs = client.jobs(limit=3)
    assert "first" in repr(jobs)
    assert "<table>" in jobs._repr_html_()
    frame = jobs.to_dataframe()
    assert list(frame["job"]) == [job.id for job in jobs]
    assert frame["created"].notna().all()


def test_an_interrupted_wait_says_how_to_take_the_job_up_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    job = client.execute("Echo", pause=600)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as caught:
        patch.setattr("candela.client.waiting.time.sleep", interrupt)
        job.wait(progress=False)
    (note,) = caught.value.__notes__
    assert note == f"The job goes on: Client({client.url!r}).job({job.id!r})"
    assert eval(note.partition(": ")[2], {"Client": Client}).id == job.id
    job.dismiss()


def test_a_description_shows_what_abstracts_say(client: Client) -> None:
    described = client.describe("ChangeDetect")
    given = next(each for each in described.inputs.values() if each.abstract)
    words = given.abstract.split()[:4]
    assert " ".join(words) in " ".join(described._repr_html_().split())
    assert all(word in repr(described) for word in words)
