"""Whole jobs whose files are kept in a bucket, and inputs that are taken from one."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from candela.contract.job import Reference, job_key
from candela.errors import NotFoundError, PublicationError
from candela.gateway.app import Gateway
from candela.jobs.model import Job
from candela.jobs.principal import SYSTEM
from candela.jobs.publication import layers_of
from candela.jobs.request import ExecuteRequest
from candela.settings import ConfigurationError, Settings
from candela.storage import open_storage
from candela.storage.copies import LocalCopies

PATIENCE_S = 120
BASE = "http://candela.test"
GET_MAP = (
    "service=WMS&version=1.1.1&request=GetMap&styles=&format=image/png&width=64&height=64"
    "&srs=EPSG:32631&bbox=300000,4898000,302000,4900000"
)


@dataclass
class Engine:
    """A gateway whose jobs move when told."""

    gateway: Gateway

    def run(self, process: str, **inputs: object) -> Job:
        jobs = self.gateway.jobs
        job = jobs.submit(SYSTEM, process, ExecuteRequest(inputs=inputs))
        self.until(job, lambda: jobs.store.get(job.id).state.is_final)
        return jobs.store.get(job.id)

    def until(self, job: Job, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.gateway.jobs.log_tail(SYSTEM, job.id)
            self.gateway.dispatcher.round()
            time.sleep(0.05)


@pytest.fixture
def input_bucket(bucket):
    """Return a second bucket, with inputs."""
    name = f"{bucket}-inputs"[:63]
    boto3.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    return name


@pytest.fixture
def engine(bucket, input_bucket, s3_url, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    settings = Settings(
        url=BASE,
        data=tmp_path / "data",
        storage=f"s3://{bucket}/candela",
        s3_endpoint=s3_url,
        input_buckets=(f"{input_bucket}/open",),
    )
    gateway = Gateway.assemble(settings)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_url)  # for the test's own client
    yield Engine(gateway)
    for job in gateway.jobs.store.jobs():
        if not job.state.is_final:
            gateway.jobs.dismiss(SYSTEM, job.id)
    gateway.jobs.runner.close()
    gateway.jobs.publisher.stop()
    gateway.jobs.store.close()


def upload(bucket: str, folder: Path, prefix: str) -> None:
    client = boto3.client("s3")
    for path in folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(folder)}")


def keys(bucket: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return [each["Key"] for each in found]


def test_a_job_lives_in_a_bucket(engine, bucket, s3_url, tmp_path):
    job = engine.run("Echo", literal=["hello"], complex=["<a/>"])
    assert job.state == "succeeded", job.message
    assert job.result.outputs["literalOutput"].value == "hello"
    prefix = f"candela/jobs/{job.id}"
    assert keys(bucket) == [
        f"{prefix}/job.json",
        f"{prefix}/log.txt",
        f"{prefix}/outputs/complexOutput.xml",
        f"{prefix}/result.json",
    ]
    document = engine.gateway.jobs.storage.read(job_key(job.id, "job.json")).decode()
    assert s3_url not in document
    assert "secret" not in document
    assert "Attempt 1 succeeded" in engine.gateway.jobs.log_tail(SYSTEM, job.id)
    engine.gateway.jobs.dismiss(SYSTEM, job.id)
    assert keys(bucket) == []
    assert [path.name for path in (tmp_path / "data" / "work").glob("*.log")] == []


def test_a_second_attempt_goes_on_with_the_log(engine):
    jobs = engine.gateway.jobs
    job = jobs.submit(SYSTEM, "Echo", ExecuteRequest(inputs={"pause": [30]}))
    engine.until(job, lambda: "Attempt 1 of Echo" in jobs.log_tail(SYSTEM, job.id))
    pid = int(jobs.get(SYSTEM, job.id).backend.split(":")[1])
    os.kill(pid, signal.SIGKILL)
    engine.until(job, lambda: "Attempt 2 of Echo" in jobs.log_tail(SYSTEM, job.id))
    assert "Attempt 1 has ended: lost" in jobs.log_tail(SYSTEM, job.id)


def test_results_are_served_by_range(engine):
    job = engine.run("Echo", complex=["<a>0123456789</a>"])
    http = engine.gateway.application().test_client()
    address = f"/outputs/{job.id}/complexOutput.xml"
    assert http.get(address).data == b"<a>0123456789</a>"
    part = http.get(address, headers={"Range": "bytes=3-6"})
    assert (part.status_code, part.data) == (206, b"0123")
    beyond = http.get(address, headers={"Range": "bytes=17-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */17")
    assert beyond.mimetype == "application/problem+json"


def test_rasters_come_from_a_bucket_and_are_published_from_one(
    engine, input_bucket, write_product, tmp_path
):
    safe = write_product()
    upload(input_bucket, safe, f"open/2021/{safe.name}")
    href = f"s3://{input_bucket}/open/2021/{safe.name}"
    job = engine.run("Jpeg2Tiff", product=[Reference(href=href)])
    assert job.state == "succeeded", job.message
    jobs, made = engine.gateway.jobs, job.result.outputs["image"]
    (layer,) = jobs.publisher.layers()
    assert layer.path.is_relative_to(tmp_path / "data" / "cache")
    assert layer.path.stat().st_size == made.size
    http = engine.gateway.application().test_client()
    picture = http.get(f"/ows/{layer.name}/wms?{GET_MAP}&layers={layer.name}")
    assert picture.data.startswith(b"\x89PNG"), picture.data

    output = Reference(href=f"{BASE}/outputs/{job.id}/{made.file}")
    other = engine.run("ExtractInfo", images=[output])
    assert other.state == "succeeded", other.message
    assert b"T31TCJ" in jobs.storage.read(job_key(other.id, "outputs", "pairs.json"))
    assert other.result.usage.input_bytes == 0  # looked into where it is

    jobs.copies.remove(job_key(job.id))
    jobs.storage.delete(job_key(job.id, "outputs"))
    with pytest.raises(PublicationError, match="is not in the storage"):
        layers_of(jobs, job)


def test_nothing_of_a_removed_job_remains(engine, input_bucket, bucket, write_product):
    safe = write_product(archive=True)
    boto3.client("s3").upload_file(str(safe), input_bucket, f"open/{safe.name}")
    href = f"s3://{input_bucket}/open/{safe.name}"
    job = engine.run("Jpeg2Tiff", product=[Reference(href=href)])
    (layer,) = engine.gateway.jobs.publisher.layers()
    assert layer.path.exists()
    engine.gateway.jobs.dismiss(SYSTEM, job.id)
    assert engine.gateway.jobs.publisher.layers() == []
    assert not layer.path.exists()
    assert keys(bucket) == []


@pytest.mark.parametrize(
    "place", ["closed/x.xml", "openly/x.xml", "open/none.xml", "open/../x", ""]
)
def test_objects_elsewhere_are_refused(engine, input_bucket, place):
    boto3.client("s3").put_object(Bucket=input_bucket, Key="closed/x.xml", Body=b"<a/>")
    boto3.client("s3").put_object(Bucket=input_bucket, Key="openly/x.xml", Body=b"<a/>")
    job = engine.run("Echo", complex=[Reference(href=f"s3://{input_bucket}/{place}")])
    assert job.state == "failed"
    assert job.error.kind == "ReferenceUnavailableError"
    assert job.error.locator == "complex"


def test_an_object_is_an_input(engine, input_bucket):
    boto3.client("s3").put_object(Bucket=input_bucket, Key="open/a b?.xml", Body=b"<a/>")
    job = engine.run("Echo", complex=[Reference(href=f"s3://{input_bucket}/open/a b?.xml")])
    assert job.state == "succeeded", job.message


def test_the_place_of_the_jobs_is_no_place_for_inputs():
    for place in ("jobs", "jobs/a", "jobs/a/b"):
        with pytest.raises(ConfigurationError, match="jobs are kept there"):
            Settings.from_environment(storage="s3://jobs/a", input_buckets=(place,))
    Settings.from_environment(storage="s3://jobs/a", input_buckets=("jobs/ab", "job"))


def test_copies_are_made_once_and_removed(bucket, tmp_path):
    storage = open_storage(f"s3://{bucket}")
    storage.write("jobs/1/outputs/a.tif", b"pixels")
    copies = LocalCopies(storage, tmp_path / "cache")
    path = copies.path("jobs/1/outputs/a.tif")
    assert path.read_bytes() == b"pixels"
    storage.delete("jobs/1")
    assert copies.path("jobs/1/outputs/a.tif") == path
    copies.remove("jobs/1")
    assert not path.exists()
    with pytest.raises(NotFoundError):
        copies.path("jobs/1/outputs/a.tif")
    assert not any((tmp_path / "cache" / ".scratch").iterdir())


def test_a_folder_needs_no_copies(tmp_path):
    storage = open_storage((tmp_path / "storage").as_uri())
    storage.write("a", b"1")
    copies = LocalCopies(storage, tmp_path / "cache")
    assert copies.path("a") == storage.local_path("a")
    assert not (tmp_path / "cache").exists()
