"""OWSLib, the client that most people have, against a real gateway."""

from pathlib import Path

import pytest
from owslib.util import ServiceException
from owslib.wps import (
    BoundingBoxDataInput,
    ComplexDataInput,
    WebProcessingService,
    monitorExecution,
)

from candela.spec import load_specs


@pytest.fixture(scope="module")
def wps(gateway):
    return WebProcessingService(f"{gateway.url}/wps")


def outputs(execution):
    return {output.identifier: output for output in execution.processOutputs}


def test_the_capabilities_can_be_read(wps):
    assert wps.identification.type == "WPS"
    assert wps.identification.title == "CANDELA"
    assert [process.identifier for process in wps.processes] == list(load_specs())


def test_a_description_can_be_read(wps):
    process = wps.describeprocess("Jpeg2Tiff")
    inputs = {given.identifier: given for given in process.dataInputs}
    assert inputs["product"].dataType == "ComplexData"
    assert inputs["resolution"].defaultValue == 10
    assert inputs["bands"].maxOccurs == 13
    assert "B8A" in inputs["bands"].allowedValues
    assert (process.storeSupported, process.statusSupported) == (True, True)


@pytest.mark.parametrize("output", [None, []])
def test_a_process_can_be_executed(wps, output):
    given = [
        ("literal", "a=b;c & <d>"),
        ("numbers", "1"),
        ("numbers", "2.5"),
        ("complex", ComplexDataInput("<a><b/></a>", mimeType="text/xml")),
        ("bbox", BoundingBoxDataInput([7, 51, 8, 53], crs="EPSG:4326")),
    ]
    execution = wps.execute("Echo", given, output=output)
    monitorExecution(execution, sleepSecs=1)
    assert execution.isSucceded()
    made = outputs(execution)
    assert made["literalOutput"].data == ["a=b;c & <d>"]
    assert made["sum"].data == ["3.5"]
    assert b"<b/>" in made["complexOutput"].data[0]
    box = made["bboxOutput"].data[0]
    assert [float(x) for x in (box.minx, box.miny, box.maxx, box.maxy)] == [7, 51, 8, 53]


def test_progress_is_seen_while_a_job_runs(wps):
    execution = wps.execute("Echo", [("pause", "4")], output=[])
    seen = []
    while not execution.isComplete():
        execution.checkStatus(sleepSecs=0.2)
        seen.append((execution.percentCompleted, execution.statusMessage))
    assert execution.isSucceded()
    assert any(0 < percent < 100 and "pausing" in (text or "") for percent, text in seen)


def test_an_output_by_reference_can_be_fetched(wps, tmp_path):
    given = [("complex", ComplexDataInput("<a/>", mimeType="text/xml"))]
    execution = wps.execute("Echo", given, output=[("complexOutput", True)])
    monitorExecution(execution, sleepSecs=1)
    reference = outputs(execution)["complexOutput"]
    assert reference.retrieveData() == b"<a/>"
    reference.writeToDisk(f"{tmp_path}/")
    assert Path(reference.filePath).read_bytes() == b"<a/>"


def test_the_user_sees_why_a_request_is_refused(wps):
    with pytest.raises(ServiceException, match="Echo has no input 'pauze'"):
        wps.execute("Echo", [("pauze", "4")])


def test_the_user_sees_why_a_job_failed(wps):
    given = [("complex", ComplexDataInput("http://127.0.0.1:9/x.xml", mimeType="text/xml"))]
    execution = wps.execute("Echo", given, output=[])
    monitorExecution(execution, sleepSecs=1)
    (error,) = execution.errors
    assert (error.code, error.locator) == ("InvalidParameterValue", "complex")
    assert "127.0.0.1:9" in error.text
