"""Processes without a server: inputs as name=value, outputs as files in a folder."""

from pathlib import Path

import pytest

from candela.contract.job import Box
from candela.errors import InputError, InvalidValueError, MissingValueError, NotFoundError
from candela.worker.local_run import run_locally


def test_echo_returns_its_inputs(tmp_path):
    (tmp_path / "note.xml").write_text("<a/>")
    outputs = run_locally(
        "Echo",
        [
            "literal=a=b",
            "numbers=1",
            "numbers=2.5",
            f"complex={tmp_path / 'note.xml'}",
            "bbox=1,2,3,4,EPSG:3857",
        ],
        tmp_path / "outputs",
    )
    assert outputs["literalOutput"] == "a=b"
    assert outputs["sum"] == 3.5
    assert outputs["bboxOutput"] == Box(bbox=(1, 2, 3, 4), crs="EPSG:3857")
    assert outputs["complexOutput"] == tmp_path / "outputs" / "complexOutput.xml"
    assert outputs["complexOutput"].read_text() == "<a/>"


def test_nothing_but_outputs_is_left(tmp_path):
    run_locally("Echo", ["literal=a"], tmp_path / "outputs")
    assert list((tmp_path / "outputs").iterdir()) == []


def test_the_folder_of_outputs_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.xml").write_text("<a/>")
    outputs = run_locally("Echo", ["complex=a.xml"], Path("outputs"))
    assert outputs["complexOutput"] == tmp_path / "outputs" / "complexOutput.xml"


def test_an_address_is_fetched(tmp_path, web, answer):
    href = web.serve("/a.xml", answer(b"<b/>"))
    outputs = run_locally("Echo", [f"complex={href}"], tmp_path)
    assert outputs["complexOutput"].read_text() == "<b/>"


def test_progress_is_told(tmp_path):
    told = []

    def note(percent: float, message: str) -> None:
        told.append((percent, message))

    run_locally("Echo", ["pause=0.3"], tmp_path, progress=note)
    assert told[0] == (0, "fetching inputs")
    assert any(percent > 50 for percent, _ in told)


@pytest.mark.parametrize(
    ("assignment", "error", "locator", "message"),
    [
        ("literal", InvalidValueError, "", "expected name=value"),
        ("nothing=1", InvalidValueError, "nothing", "has no input 'nothing'"),
        ("pause=soon", InvalidValueError, "pause", "'soon' is not of type float"),
        ("pause=-1", InvalidValueError, "pause", "below the minimum"),
        ("complex=nothing.xml", InvalidValueError, "complex", "there is no file 'nothing.xml'"),
        ("complex=", InvalidValueError, "complex", "there is no file ''"),
        ("bbox=1,2,3", InvalidValueError, "bbox", "is no bounding box"),
        ("bbox=a,b,c,d", InvalidValueError, "bbox", "is no bounding box"),
    ],
)
def test_a_wrong_input_is_named(tmp_path, assignment, error, locator, message):
    with pytest.raises(error, match=message) as caught:
        run_locally("Echo", [assignment], tmp_path)
    assert caught.value.locator == locator


def test_a_refused_content_is_raised_as_what_it_was(tmp_path):
    (tmp_path / "note.xml").write_text("<a>")
    with pytest.raises(InputError, match="is not of type xml"):
        run_locally("Echo", [f"complex={tmp_path / 'note.xml'}"], tmp_path)


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(MissingValueError) as caught:
        run_locally("Jpeg2Tiff", [], tmp_path)
    assert caught.value.locator == "product"


def test_an_unknown_process_lists_what_there_is(tmp_path):
    with pytest.raises(NotFoundError, match="Echo"):
        run_locally("Nothing", [], tmp_path)
