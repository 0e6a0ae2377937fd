"""The checks of an Execute request."""

from base64 import b64encode

import pytest

from candela.contract.job import Box, Inline, Reference
from candela.errors import InvalidValueError, MissingValueError, RequestError, TooLargeError
from candela.jobs.request import ExecuteRequest, OutputRequest, checked
from candela.spec import find_spec, load_specs

SPECS = load_specs()
IMAGE = Reference(href="http://host/a.tif")
TIFF = Reference(href="http://host/a.tif", type="image/tiff")


def check(process, *, outputs=None, response="document", **inputs):
    request = ExecuteRequest(inputs=inputs, outputs=outputs or {}, response=response)
    return checked(find_spec(SPECS, process), request, max_input_bytes=100)


def test_literals_get_their_type_and_defaults_are_filled_in():
    request = check("Echo", literal="a", numbers=["1", "2.5"])
    assert request.inputs == {"literal": ["a"], "numbers": [1.0, 2.5], "pause": [0]}


def test_text_for_a_file_is_taken_as_inline_value():
    assert check("Echo", complex="<a/>").inputs["complex"] == [Inline(value="<a/>")]


@pytest.mark.parametrize(
    ("process", "inputs", "locator", "reason"),
    [
        ("Echo", {"colour": "red"}, "colour", "has no input 'colour'"),
        ("Echo", {"pause": "long"}, "pause", "'long' is not of type float"),
        ("Echo", {"pause": "-1"}, "pause", "below the minimum 0"),
        ("Echo", {"pause": ["1", "2"]}, "pause", "at most 1 value, found 2"),
        ("Echo", {"numbers": ["1"] * 11}, "numbers", "at most 10 values, found 11"),
        ("Echo", {"literal": TIFF}, "literal", "has media type 'image/tiff', expected text/plain"),
        ("Echo", {"literal": Reference(href="x")}, "literal", "no address that can be"),
        ("Echo", {"bbox": "1,2,3,4"}, "bbox", "is a bounding box"),
        ("Echo", {"bbox": Box(bbox=(3, 2, 1, 4))}, "bbox", "not below and left"),
        ("Echo", {"complex": Reference(href="ftp://x/y")}, "complex", "no address that can be"),
        ("Echo", {"complex": Inline(value="%%", encoding="base64")}, "complex", "not valid base64"),
        (
            "Echo",
            {"complex": Inline(value="{}", media_type="application/json")},
            "complex",
            "expected one of: text/xml, application/xml",
        ),
    ],
)
def test_a_wrong_input_is_refused_with_its_name(process, inputs, locator, reason):
    with pytest.raises(RequestError, match=reason) as caught:
        check(process, **inputs)
    assert isinstance(caught.value, InvalidValueError)
    assert caught.value.locator == locator


def test_a_missing_input_is_named():
    with pytest.raises(MissingValueError, match="'after' needs at least 1 value") as caught:
        check("ChangeDetect", before=IMAGE)
    assert caught.value.locator == "after"


@pytest.mark.parametrize("encoding", [None, "base64"])
def test_an_inline_input_above_the_limit_is_refused(encoding):
    text = "x" * 101 if encoding is None else b64encode(b"x" * 101).decode()
    with pytest.raises(TooLargeError, match="101 bytes, at most 100"):
        check("Echo", complex=Inline(value=text, encoding=encoding))


def test_an_unknown_output_is_refused():
    with pytest.raises(InvalidValueError, match="no output 'product'") as caught:
        check("Echo", outputs={"product": OutputRequest()})
    assert caught.value.locator == "product"


def test_a_link_to_a_layer_is_an_output():
    wanted = {"change_wms": OutputRequest()}
    assert check("ChangeDetect", before=IMAGE, after=IMAGE, outputs=wanted).outputs == wanted


def test_a_media_type_that_is_not_offered_is_refused():
    wanted = {"change": OutputRequest(media_type="image/png")}
    with pytest.raises(InvalidValueError, match="is offered as image/tiff; subtype=geotiff"):
        check("ChangeDetect", before=IMAGE, after=IMAGE, outputs=wanted)


def test_the_inputs_of_an_alias_get_their_own_names():
    request = check("org.n52.javaps.test.EchoProcess", literalInput="a")
    assert request.inputs == {"literal": ["a"], "pause": [0]}


def test_the_inputs_of_an_alias_are_blamed_by_its_names():
    with pytest.raises(InvalidValueError, match="has no input 'literal'") as caught:
        check("org.n52.javaps.test.EchoProcess", literal="a")
    assert caught.value.locator == "literal"


def test_the_text_of_a_literal_may_stand_elsewhere():
    text = Reference(href="https://example.org/number.txt", type="text/plain; charset=utf-8")
    assert check("Echo", pause=text).inputs["pause"] == [text]
