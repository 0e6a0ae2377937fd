"""The Job of an attempt, as a whole document."""

import copy
from pathlib import Path

import pytest
import yaml

from candela.contract.job import JobDocument
from candela.errors import StorageError
from candela.runners.base import Limits
from candela.runners.manifest import (
    Images,
    TemplateError,
    job_manifest,
    job_name,
    load_template,
    warm_manifest,
)
from candela.spec import RunSpec

TEMPLATE = Path(__file__).parents[2] / "k8s/base/job-template.yaml"
EXPECTED = Path(__file__).with_name("job.yaml")
JOB = JobDocument(
    id="3f0c2a64-6a0e-4d0b-9d2e-0a6a6f1f7a11", process="ChangeDetect", version="1.0.0", attempt=2
)
LIMITS = Limits(cpu=1.5, memory_bytes=4 * 2**30, timeout_s=1800, gpu=1, image="train")


def manifest(**options):
    given = {"image": Images("example.org/", "1").name("train"), "storage_url": "s3://jobs/here"}
    return job_manifest(load_template(TEMPLATE), JOB, LIMITS, **{**given, **options})


def test_the_whole_job_is_as_expected():
    assert manifest(queue="fair") == yaml.safe_load(EXPECTED.read_text())


def test_the_template_stays_as_it_was():
    template = load_template(TEMPLATE)
    before = copy.deepcopy(template)
    job_manifest(template, JOB, LIMITS, image="a", storage_url="s3://b")
    assert template == before


def test_a_share_of_the_cores_is_requested_and_all_memory():
    (worker,) = manifest(cpu_share=0.5)["spec"]["template"]["spec"]["containers"]
    assert worker["resources"]["requests"]["cpu"] == "750m"
    assert worker["resources"]["requests"]["memory"] == worker["resources"]["limits"]["memory"]
    assert "cpu" not in worker["resources"]["limits"]


def test_variables_of_the_template_win():
    template = load_template(TEMPLATE)
    (worker,) = template["spec"]["template"]["spec"]["containers"]
    worker["env"] = [{"name": "OMP_NUM_THREADS", "value": "7"}]
    made = job_manifest(template, JOB, LIMITS, image="a", storage_url="s3://b")
    (worker,) = made["spec"]["template"]["spec"]["containers"]
    assert [each["value"] for each in worker["env"] if each["name"] == "OMP_NUM_THREADS"] == ["7"]


@pytest.mark.parametrize("process", ["Echo", "DMG-DF", "Change_Detect.v2", "A" * 80])
def test_names_are_valid_and_always_the_same(process):
    name = job_name(process, JOB.id, 1)
    assert name == job_name(process, JOB.id, 1)
    assert name.endswith(f"-{JOB.id}-1")
    assert len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize("job_id", ["", "../1", "a/b", "A", "-", "x" * 70])
def test_an_id_that_makes_no_name_is_refused(job_id):
    with pytest.raises(StorageError, match="no valid job id"):
        job_name("Echo", job_id, 1)


@pytest.mark.parametrize("text", ["", "kind: Job", "[1, 2]", "a: b: c", "spec: {template: {}}"])
def test_a_template_that_cannot_be_filled_in_is_refused(text, tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=r"template\.yaml"):
        load_template(path)


def test_an_image_by_digest_is_taken_as_it_is_and_has_no_network_unless_it_is_declared():
    image = f"registry.example.org/shout@sha256:{64 * 'a'}"
    assert Images("example.org/", "1").name(image) == image
    given = {"image": image, "storage_url": "s3://jobs/here"}
    for network, label in ((False, None), (True, "public")):
        limits = Limits.of(RunSpec(image=image, network=network))
        pod = job_manifest(load_template(TEMPLATE), JOB, limits, **given)["spec"]["template"]
        assert pod["metadata"]["labels"].get("candela/network") == label
        assert [each["image"] for each in pod["spec"]["containers"]] == [image]
        warm = warm_manifest(load_template(TEMPLATE), "Shout", limits, gateway_url="", **given)
        assert warm["metadata"]["labels"].get("candela/network") == label
