"""Processes without a server: values in, outputs as files in a folder."""

from pathlib import Path

import boto3
import pytest

from candela.contract.job import Box, Inline, Reference
from candela.errors import InputError, InvalidValueError, MissingValueError
from candela.spec import load_specs
from candela.worker.local_run import run_locally

SPECS = load_specs()
ECHO = SPECS["Echo"]


def test_echo_returns_its_inputs(tmp_path):
    (tmp_path / "note.xml").write_text("<a/>")
    inputs = {
        "literal": ["a=b"],
        "numbers": ["1", "2.5"],
        "complex": [Reference(href=(tmp_path / "note.xml").as_uri())],
        "bbox": [Box(bbox=(1, 2, 3, 4), crs="EPSG:3857")],
    }
    outputs = run_locally(ECHO, inputs, tmp_path / "outputs")
    assert outputs["literalOutput"] == "a=b"
    assert outputs["sum"] == 3.5
    assert outputs["bboxOutput"] == Box(bbox=(1, 2, 3, 4), crs="EPSG:3857")
    assert outputs["complexOutput"] == tmp_path / "outputs" / "complexOutput.xml"
    assert outputs["complexOutput"].read_text() == "<a/>"


def test_nothing_but_outputs_is_left(tmp_path):
    run_locally(ECHO, {"literal": ["a"]}, tmp_path / "outputs")
    assert list((tmp_path / "outputs").iterdir()) == []


def test_the_folder_of_outputs_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = run_locally(ECHO, {"complex": [Inline(value="<a/>")]}, Path("outputs"))
    assert outputs["complexOutput"] == tmp_path / "outputs" / "complexOutput.xml"


def test_an_address_is_fetched(tmp_path, web, answer):
    href = web.serve("/a.xml", answer(b"<b/>"))
    outputs = run_locally(ECHO, {"complex": [Reference(href=href)]}, tmp_path)
    assert outputs["complexOutput"].read_text() == "<b/>"


def test_a_bucket_is_read_with_the_rights_of_the_user(tmp_path, bucket):
    boto3.client("s3").put_object(Bucket=bucket, Key="in/a.xml", Body=b"<b/>")
    inputs = {"complex": [Reference(href=f"s3://{bucket}/in/a.xml")]}
    outputs = run_locally(ECHO, inputs, tmp_path)
    assert outputs["complexOutput"].read_text() == "<b/>"


def test_progress_is_told(tmp_path):
    told = []

    def note(percent: float, message: str) -> None:
        told.append((percent, message))

    run_locally(ECHO, {"pause": ["0.3"]}, tmp_path, progress=note)
    assert told[0] == (0, "fetching inputs")
    assert any(percent > 50 for percent, _ in told)


@pytest.mark.parametrize(
    ("text", "message"), [("soon", "'soon' is not of type float"), ("-1", "below the minimum")]
)
def test_a_wrong_input_is_named(tmp_path, text, message):
    with pytest.raises(InvalidValueError, match=message) as caught:
        run_locally(ECHO, {"pause": [text]}, tmp_path)
    assert caught.value.locator == "pause"


def test_a_refused_content_is_raised_as_what_it_was(tmp_path):
    with pytest.raises(InputError, match="is not of type xml"):
        run_locally(ECHO, {"complex": [Inline(value="<a>")]}, tmp_path)


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(MissingValueError) as caught:
        run_locally(SPECS["Jpeg2Tiff"], {}, tmp_path)
    assert caught.value.locator == "product"
