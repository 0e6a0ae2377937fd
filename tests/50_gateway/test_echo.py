"""Echo, with what the suites of the OGC send it."""

from base64 import b64decode, b64encode

import numpy as np
import pytest
import rasterio

from candela.contract.job import Box, Inline, OutputLiteral
from candela.jobs.model import State
from candela.jobs.principal import Principal
from candela.jobs.request import ExecuteRequest

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

ALIAS = "org.n52.javaps.test.EchoProcess"
NOBODY = Principal()


@pytest.fixture
def echoed(gateway):
    """Run Echo; return its job."""

    def run(process="Echo", **inputs):
        job = gateway.jobs.submit(NOBODY, process, ExecuteRequest(inputs=inputs))
        return gateway.jobs.wait(NOBODY, job.id, 30)

    return run


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Return a GeoTIFF without a coordinate reference system, as the suite has one, in base64."""
    path = tmp_path_factory.mktemp("image") / "image.tif"
    profile = {"driver": "GTiff", "width": 7, "height": 2, "count": 1, "dtype": "int16"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.arange(14, dtype="int16").reshape(1, 2, 7))
    return b64encode(path.read_bytes()).decode()


def content(gateway, job, name):
    made = job.result.outputs[name]
    return gateway.jobs.storage.read(f"jobs/{job.id}/outputs/{made.file}")


def test_all_kinds_of_inputs_come_back(gateway, echoed, image):
    box = Box(bbox=(345345345,) * 4, crs="urn:ogc:def:crs:EPSG:6.6:4326")
    job = echoed(
        literal="teststring",
        bbox=box,
        numbers=[1.5, 2],
        image=Inline(value=image, encoding="base64", media_type="image/tiff"),
        document=Inline(value='"teststring"'),
        mixed=Inline(value='{"value": "teststring"}'),
        complex=Inline(value="<testElement>hello</testElement>"),
    )
    assert job.state is State.SUCCEEDED, job.message
    outputs = job.result.outputs
    assert outputs["literalOutput"] == OutputLiteral(value="teststring")
    assert outputs["bboxOutput"] == box
    assert outputs["sum"] == OutputLiteral(value=3.5)
    assert content(gateway, job, "imageOutput") == b64decode(image)
    assert content(gateway, job, "documentOutput") == b'"teststring"'
    assert content(gateway, job, "mixedOutput") == b'{"value": "teststring"}'
    assert outputs["mixedOutput"].media_type == "application/json"
    assert content(gateway, job, "complexOutput") == b"<testElement>hello</testElement>"


def test_a_mixed_input_may_be_an_image(gateway, echoed, image):
    job = echoed(mixed=Inline(value=image, encoding="base64"))
    assert job.result.outputs["mixedOutput"].media_type == "image/tiff; subtype=geotiff"
    assert content(gateway, job, "mixedOutput") == b64decode(image)


def test_what_is_no_image_is_refused(echoed):
    job = echoed(image=Inline(value="text"))
    assert (job.error.kind, job.error.locator) == ("InputError", "image")


def test_the_job_of_an_alias_is_one_of_echo(echoed):
    job = echoed(ALIAS, literalInput="PASSED")
    assert (job.process, job.request.inputs["literal"]) == ("Echo", ["PASSED"])
    assert job.result.outputs["literalOutput"].value == "PASSED"


def test_an_alias_is_described_but_not_listed(http):
    query = f"/wps?service=WPS&version=1.0.0&identifier={ALIAS}&request="
    assert "literalInput" in http.get(f"{query}DescribeProcess").text
    assert ALIAS not in http.get(f"{query}GetCapabilities").text
