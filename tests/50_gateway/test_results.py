"""The outcome of a job as all codecs and pages take it."""

import datetime as dt

import pytest

from candela.contract.job import Box, OutputFile, OutputLiteral, ResultDocument
from candela.errors import InvalidValueError
from candela.gateway.results import (
    INLINE_BYTES,
    INLINE_TEXT_BYTES,
    Addresses,
    JobOutput,
    literal_text,
    outputs_of,
    states_of,
)
from candela.jobs.model import JobOutcome, Link, State
from candela.jobs.request import OutputRequest
from candela.spec import ProcessSpec

ADDRESSES = Addresses("https://candela.example")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BOX = Box(bbox=(10, 48, 11, 49))


def outcome(**outputs):
    return JobOutcome(
        "7", "Test", "1.0.0", NOW, NOW,
        state=State.SUCCEEDED,
        result=ResultDocument(job="7", status="succeeded", outputs=outputs),
        links={"image": Link("Test_7_image", "https://maps/wms", "https://maps/wcs")},
    )  # fmt: skip


@pytest.fixture
def spec():
    return ProcessSpec.model_validate(
        {
            "identifier": "Test", "version": "1.0.0", "title": "Test", "abstract": "A test.",
            "outputs": {
                "image": {"title": "Image", "type": "raster", "publish": {"style": "grey"}},
                "share": {"title": "Share", "abstract": "Of all.", "type": "float"},
                "extent": {"title": "Extent", "type": "bbox"},
            },
        }
    )  # fmt: skip


def file(size=1, media_type="image/tiff; subtype=geotiff"):
    return OutputFile(file="a b.tif", media_type=media_type, size=size, sha256="0" * 64)


def test_outputs_have_titles_and_addresses_and_layer_links_come_last(spec):
    job = outcome(share=OutputLiteral(value=0.5), image=file(), extent=BOX)
    outputs = outputs_of(job, spec, ADDRESSES)
    assert list(outputs) == ["share", "image", "extent", "image_wms", "image_wcs"]
    share, image, extent, _, coverage = outputs.values()
    assert (share.title, share.abstract, share.value, share.href) == ("Share", "Of all.", 0.5, "")
    assert image.href == "https://candela.example/outputs/7/a%20b.tif"
    assert (image.media_type, image.value) == ("image/tiff; subtype=geotiff", None)
    assert extent.value == BOX
    assert (coverage.href, coverage.media_type) == ("https://maps/wcs", "application/x-ogc-wcs")


def test_a_link_to_a_service_that_a_layer_lacks_is_left_out(spec):
    job = outcome()
    job.links["image"] = Link("Test_7_image", "https://maps/wms")
    assert list(outputs_of(job, spec, ADDRESSES)) == ["image_wms"]


def test_outputs_of_a_process_that_is_gone_have_their_names_as_titles():
    (share,) = outputs_of(outcome(share=OutputLiteral(value=1)), None, ADDRESSES).values()
    assert (share.name, share.title) == ("share", "share")


@pytest.mark.parametrize(
    ("is_text", "size", "mode", "is_inline"),
    [
        (True, INLINE_TEXT_BYTES, None, True),
        (True, INLINE_TEXT_BYTES + 1, None, False),
        (True, INLINE_BYTES, "value", True),
        (True, INLINE_BYTES + 1, "value", False),
        (True, 1, "reference", False),
        (False, 1, None, False),
        (False, 1, "value", True),
    ],
)
def test_a_file_stands_in_the_response_as_requested_within_limits(is_text, size, mode, is_inline):
    output = JobOutput("x", "x", href="https://x", file=file(size), is_text=is_text)
    assert output.is_inline(OutputRequest(transmission_mode=mode)) is is_inline


def test_a_literal_is_written_as_xml_schema_has_it():
    assert [literal_text(value) for value in (True, 1.5, "True")] == ["true", "1.5", "True"]


@pytest.mark.parametrize(
    ("words", "states"),
    [
        (["accepted"], {State.ACCEPTED, State.DISPATCHING}),
        (["running"], {State.RUNNING, State.PUBLISHING}),
        (["successful", "failed"], {State.SUCCEEDED, State.FAILED}),
        (["dispatching", "succeeded"], {State.DISPATCHING, State.SUCCEEDED}),
        (["dismissed"], {State.DISMISSED}),
        ([], set()),
    ],
)
def test_a_status_of_the_standard_or_of_ours_means_states(words, states):
    assert states_of(words) == states


def test_an_unknown_status_is_refused_with_those_that_are_known():
    with pytest.raises(
        InvalidValueError, match=r"'done' is no status \(known: accepted.*publishing"
    ):
        states_of(["running", "done"])
