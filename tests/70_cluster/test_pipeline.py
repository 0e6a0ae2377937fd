"""The demo's optical pipeline in a cluster, by OWSLib: from products in a bucket to layers."""

import io
import re

import numpy as np
import pytest
import rasterio
import requests
from clusters import until
from owslib.wcs import WebCoverageService
from owslib.wms import WebMapService
from owslib.wps import ComplexDataInput, WebProcessingService, WPSExecution, monitorExecution
from PIL import Image

from candela.demo.accuracy import accuracy


@pytest.fixture(scope="session")
def wps(deployment) -> WebProcessingService:
    return WebProcessingService(f"{deployment.url}/wps")


def execute(wps, process: str, **inputs: str) -> dict[str, WPSExecution]:
    """Run a process; return its outputs by name."""
    given = [(name, ComplexDataInput(href)) for name, href in inputs.items()]
    execution = wps.execute(process, given, output=None)
    monitorExecution(execution, sleepSecs=1)
    assert execution.isSucceded(), [error.text for error in execution.errors]
    return {output.identifier: output for output in execution.processOutputs}


def job_of(output) -> str:
    """Return the id of the job that made an output."""
    (job_id,) = re.findall("outputs/([0-9a-f-]+)/", output.reference)
    return job_id


@pytest.fixture(scope="session")
def images(wps, products):
    hrefs = [f"s3://products/{product.name}" for product in (products.before, products.after)]
    return [execute(wps, "Jpeg2Tiff", product=href) for href in hrefs]


@pytest.fixture(scope="session")
def change(wps, images):
    before, after = (image["image"].reference for image in images)
    return execute(wps, "ChangeDetect", before=before, after=after)


def test_each_request_ran_in_a_job_of_its_own(deployment, change, images):
    for output in (images[0]["image"], images[1]["image"], change["change"]):
        selector = f"candela/job={job_of(output)}"
        until(
            lambda selector=selector: (
                deployment.objects("jobs", selector)[0]["status"].get("succeeded") == 1
            )
        )
        (job,) = deployment.objects("jobs", selector)
        spec = job["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False


def test_the_results_are_in_the_bucket(deployment, change):
    job_id = job_of(change["change"])
    keys = deployment.keys(job_id)
    assert f"{job_id}/result.json" in keys
    assert f"{job_id}/log.txt" in keys
    assert any(key.startswith(f"{job_id}/outputs/") and key.endswith(".tif") for key in keys)


def test_the_pairs_are_found_from_what_is_in_the_bucket(wps, images):
    hrefs = [image["image"].reference for image in images]
    execution = wps.execute(
        "ExtractInfo", [("images", ComplexDataInput(href)) for href in hrefs], output=None
    )
    monitorExecution(execution, sleepSecs=1)
    assert execution.isSucceded()
    outputs = {output.identifier: output for output in execution.processOutputs}
    assert "T31TCJ" in str(outputs["table"].data)


def test_the_map_finds_what_changed(change, products):
    answer = requests.get(change["change"].reference, timeout=60)
    with rasterio.MemoryFile(answer.content) as memory, memory.open() as dataset:
        probability = dataset.read(1)
        with rasterio.open(products.truth) as truth:
            assert dataset.transform == truth.transform
            found = accuracy(probability, truth.read(1) > 0)
    assert found.auc > 0.9


def test_the_layer_is_shown_by_every_gateway(change):
    service = WebMapService(change["change_wms"].reference, version="1.3.0")
    (name,) = service.contents
    layer = service[name]
    for _ in range(6):  # the Service takes one gateway or the other
        answer = service.getmap(
            layers=[name],
            styles=[""],
            srs="EPSG:4326",
            bbox=layer.boundingBoxWGS84,
            size=(200, 200),
            format="image/png",
            transparent=True,
        )
        opacity = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA"))[..., 3]
        assert (opacity > 0).any()


def test_the_coverage_can_be_taken(change):
    service = WebCoverageService(change["change_wcs"].reference, version="2.0.1")
    assert len(service.contents) == 1
