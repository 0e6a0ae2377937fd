"""Images that claim much, in a worker with its limits: their job fails, the gateway goes on."""

import pytest
from hostile_images import IMAGES, damaged_scene, endless_scene, jp2

from candela.contract.job import Reference
from candela.errors import InputError, LimitError
from candela.jobs.model import State
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest
from candela.models.encoder import BANDS

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def worker(drill, tmp_path):
    """Return a function that runs a process on files within small limits, and its gateway."""
    drill = drill(input_folders=(tmp_path,))

    def run(process: str, *, timeout: float = 60, memory: str = "2Gi", **files: object):
        specs = drill.gateway.jobs.specs
        limits = {"timeout": timeout, "memory": memory}
        run = specs[process].run.model_copy(update=limits)
        specs.install(specs[process].model_copy(update={"run": run}))
        inputs = {
            name: [Reference(href=path.as_uri()) for path in paths] for name, paths in files.items()
        }
        job_id = drill.gateway.jobs.submit(SYSTEM, process, ExecuteRequest(inputs=inputs)).id
        return drill.finished(job_id)

    yield run
    assert drill.away() == []
    for path in ("/layers.json", "/jobs", "/ows?service=WMS&request=GetCapabilities"):
        assert drill.http.get(path).status_code == 200


def test_all_of_them_at_once_fail_one_job(worker, tmp_path) -> None:
    paths = []
    for name, content in IMAGES.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content(NOWHERE))
    job = worker("ExtractInfo", images=paths)
    assert (job.state, job.error.kind) == (State.FAILED, InputError.__name__)
    assert "nothing of what was given can be used" in job.message
    assert all(name in job.message for name in IMAGES)


def test_a_scene_that_lies_nowhere_fails_before_anything_is_computed(worker, tmp_path) -> None:
    path = tmp_path / "far.tif"
    path.write_bytes(IMAGES["far.tif"](NOWHERE))
    job = worker("ChangeDetect", before=[path], after=[path])
    assert (job.state, job.error.kind) == (State.FAILED, InputError.__name__)
    assert job.error.locator == "before"
    assert "lies outside its reference system" in job.message


def test_a_scene_without_its_pixels_is_the_users_mistake(worker, tmp_path) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(damaged_scene(BANDS))
    job = worker("ChangeDetect", before=[path], after=[path])
    assert (job.state, job.error.kind) == (State.FAILED, InputError.__name__)
    assert "truncated or damaged" in job.message


def test_a_scene_without_end_ends_with_its_time(worker, tmp_path) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(endless_scene(BANDS))
    job = worker("ChangeDetect", timeout=8, before=[path], after=[path])
    assert (job.state, job.error.kind) == (State.FAILED, LimitError.__name__)
    assert "ran longer than the 8 s" in job.message


def test_a_product_whose_band_claims_to_be_larger_fails(worker, tmp_path, write_product) -> None:
    product = write_product()
    bands = list(product.rglob("*_B02*.jp2"))
    assert bands
    for path in bands:
        path.write_bytes(jp2(width=60_000, height=60_000))
    job = worker("Jpeg2Tiff", product=[product])
    assert (job.state, job.error.kind) == (State.FAILED, InputError.__name__)
    assert "_B02_" in job.message
