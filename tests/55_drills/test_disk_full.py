"""Full disks: jobs wait or fail with a true reason, and go on when there is room."""

import sys
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from webserver import Answer, web_server

from candela.contract.documents import read_result
from candela.contract.job import Inline, JobDocument, OutputFile, Reference, ResultDocument
from candela.errors import LimitError, StorageError
from candela.jobs.model import Job, State, new_id, now
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest
from candela.runners.base import Limits
from candela.runners.local import LocalRunner
from candela.storage.folder import MARKER, FolderStorage

TRIAL = Path(__file__).parents[1] / "35_runners" / "trial_worker.py"
HASTY = Path(__file__).with_name("hasty_worker.py")

LARGE = Inline(value="<a>" + "x" * 3_000_000 + "</a>")


EXECUTE = """<wps:Execute service="WPS" version="1.0.0" xmlns:wps="http://www.opengis.net/wps/1.0.0"
 xmlns:ows="http://www.opengis.net/ows/1.1"><ows:Identifier>Echo</ows:Identifier><wps:DataInputs>
 <wps:Input><ows:Identifier>complex</ows:Identifier><wps:Data><wps:ComplexData>{}</wps:ComplexData>
 </wps:Data></wps:Input></wps:DataInputs><wps:ResponseForm>
 <wps:ResponseDocument storeExecuteResponse="true" status="true"/></wps:ResponseForm>
 </wps:Execute>"""


def fill(folder):
    """Leave no room on a disk; return the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


def submit(drill, value):
    return drill.gateway.jobs.submit(SYSTEM, "Echo", ExecuteRequest(inputs={"complex": [value]})).id


def test_a_job_that_fills_the_disk_fails_and_says_so(disk, drill, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "work").symlink_to(disk.folder)
    drill = drill()
    job = drill.finished(submit(drill, LARGE))
    assert (job.state, job.error.kind) == (State.FAILED, LimitError.__name__)
    assert job.message == "the disk that jobs work on is full"
    assert [path for path in disk.folder.iterdir() if path.name.startswith(job.id)] == []
    assert drill.finished(submit(drill, Inline(value="<a/>"))).state is State.SUCCEEDED


def test_a_request_whose_inputs_find_no_room_is_refused_and_leaves_nothing(disk, drill):
    drill = drill(storage=disk.folder.as_uri())
    body = EXECUTE.format(LARGE.value)
    answer = drill.http.post("/wps", data=body, content_type="text/xml")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert drill.store.count() == 0
    left = {path.name for path in disk.folder.rglob("*") if path.is_file()}
    assert left <= {MARKER}
    disk.resize("64m")
    answer = drill.http.post("/wps", data=body, content_type="text/xml")
    assert answer.status_code == 200, answer.data
    (job,) = drill.store.jobs()
    assert drill.finished(job.id).state is State.SUCCEEDED


def test_a_job_waits_while_the_storage_is_full(disk, drill):
    drill = drill(storage=disk.folder.as_uri())
    ballast = fill(disk.folder)
    job_id = submit(drill, Inline(value="<a/>"))
    job = drill.until(job_id, lambda job: "waiting for the storage" in job.message)
    assert job.state is State.DISPATCHING
    ballast.unlink()
    job = drill.finished(job_id)
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)


def test_a_result_that_finds_no_room_is_made_again(disk, drill, tmp_path, monkeypatch):
    image = tmp_path / "large.xml"
    image.write_text(LARGE.value)
    drill = drill(storage=disk.folder.as_uri(), input_folders=(tmp_path,))
    monkeypatch.setattr(drill.gateway.jobs.runner, "_command", (sys.executable, str(HASTY)))
    job_id = submit(drill, Reference(href=image.as_uri()))
    job = drill.until(job_id, lambda job: job.attempt > 1)
    assert "the storage did not work; waiting for try 2" in [
        event.message for event in drill.store.events(job.id)
    ]
    disk.resize("64m")
    job = drill.finished(job_id)
    assert job.state is State.SUCCEEDED, job.message
    assert job.result.outputs["complexOutput"].size > 3_000_000


def test_no_job_is_accepted_that_cannot_be_written_down(disk, drill):
    drill = drill(database=f"sqlite:///{disk.folder / 'jobs.db'}")
    first = drill.submit("literal=x;pause=0.5")
    ballast = fill(disk.folder)
    known = {job.id for job in drill.store.jobs()}
    answer = drill.http.get(
        "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
        f"&storeExecuteResponse=true&status=true&DataInputs=literal={'y' * 40_000}"
    )
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert b"the job database does not answer" in answer.data
    assert {job.id for job in drill.store.jobs()} == known
    ballast.unlink()
    assert drill.finished(first).state is State.SUCCEEDED
    assert drill.finished(drill.submit("literal=z")).state is State.SUCCEEDED


def test_an_upload_that_finds_no_room_leaves_no_part_and_goes_on(disk, drill):
    drill = drill(storage=disk.folder.as_uri())
    content = LARGE.value.encode()
    told = {"filename": "large.xml", "sha256": sha256(content).hexdigest()}
    metadata = ",".join(f"{k} {b64encode(v.encode()).decode()}" for k, v in told.items())
    begun = drill.http.post(
        "/uploads", headers={"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    )
    before = drill.gateway.jobs.storage.list("uploads")

    def send():
        return drill.http.patch(
            begun.headers["Location"],
            data=content,
            headers={"Upload-Offset": "0"},
            content_type="application/offset+octet-stream",
        )

    refused = send()
    assert (refused.status_code, refused.headers["Retry-After"]) == (507, "60")
    assert "disk" in refused.json["detail"]
    assert drill.gateway.jobs.storage.list("uploads") == before
    assert list((disk.folder / ".scratch").iterdir()) == []
    disk.resize("64m")
    assert send().status_code == 204
    href = drill.http.get(begun.headers["Location"]).json["href"]
    assert drill.finished(submit(drill, Reference(href=href))).state is State.SUCCEEDED


def test_an_input_by_reference_that_finds_no_room_fails_the_job_and_says_so(disk, drill, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "work").symlink_to(disk.folder)
    drill = drill(allowed_hosts=("127.0.0.1",))
    with web_server() as web:
        href = web.serve("/large.xml", Answer(LARGE.value.encode()))
        job = drill.finished(submit(drill, Reference(href=href)))
        assert (job.state, job.attempt) == (State.FAILED, 1)
        assert job.message == "the disk that jobs work on is full"
        assert [path for path in disk.folder.iterdir() if path.name.startswith(job.id)] == []
        disk.resize("64m")
        assert drill.finished(submit(drill, Reference(href=href))).state is State.SUCCEEDED


def test_a_log_that_finds_no_room_fails_the_job_and_says_so(disk, tmp_path):
    class Bucket(FolderStorage):
        def local_path(self, *_):
            return None

    storage = Bucket(tmp_path / "storage")
    runner = LocalRunner(storage, disk.folder, command=(sys.executable, str(TRIAL)))
    try:
        document = JobDocument(
            id="1", process="Trial", version="1.0.0", inputs={"action": ["talk"]}, cpu=1
        )
        reference = runner.submit(document, Limits(cpu=1, memory_bytes=2**30, timeout_s=60))
        end, is_running = time.monotonic() + 60, True
        while is_running:
            assert time.monotonic() < end, runner.logs("1")[-1000:]
            time.sleep(0.05)
            with suppress(StorageError):  # its end is noted when the log has left the disk
                is_running = runner.state(reference).is_running
    finally:
        runner.close()
    assert read_result(storage, "1").error.message == "the disk that jobs work on is full"
    assert 500_000 < storage.size("jobs/1/log.txt") < 2**20
    assert [path.name for path in disk.folder.iterdir() if path.name[0] == "1"] == []


@pytest.mark.parametrize("folder", ["ows", "cache"])
def test_a_result_is_not_lost_while_the_disk_of_maps_is_full(
    disk, drill, tmp_path, monkeypatch, folder
):
    data, path = tmp_path / "data", tmp_path / "change.tif"
    data.mkdir()
    (data / folder).symlink_to(disk.folder)
    noise = np.random.default_rng(0).random((1, 700, 700), "float32")
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, height=700, width=700, nodata=np.nan,
        crs="EPSG:32632", transform=Affine(10, 0, 6e5, 0, -10, 5.4e6),
    ) as dataset:  # fmt: skip
        dataset.write(noise)
    drill = drill()
    service = drill.gateway.jobs
    monkeypatch.setattr(service.storage, "local_path", lambda _: None)  # as in a bucket
    ballast = fill(disk.folder)
    made = OutputFile(file=path.name, media_type="image/tiff", size=1, sha256="0")
    job = Job(
        new_id(), "ChangeDetect", "1.0.0", now(), now(), state=State.PUBLISHING,
        runner=service.runner.name,
    )  # fmt: skip
    job = replace(
        job, result=ResultDocument(job=job.id, status="succeeded", outputs={"change": made})
    )
    service.storage.put(f"jobs/{job.id}/outputs/{made.file}", path)
    drill.store.add(job)
    waiting = drill.until(job.id, lambda job: "(try 2 to publish)" in job.message)
    assert waiting.state is State.PUBLISHING
    assert waiting.message.startswith("waiting for the ")
    assert str(tmp_path) not in waiting.message
    ballast.unlink()
    disk.resize("64m")
    job = drill.finished(job.id)
    assert (job.state, set(job.links)) == (State.SUCCEEDED, {"change"})
