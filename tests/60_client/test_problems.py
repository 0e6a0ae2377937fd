"""What servers say of requests that they do not fulfil."""

import json

import pytest

from candela.client.problems import Problem, read_problem

OWS = """<?xml version="1.0"?>
<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" version="1.0.0">
  <ows:Exception exceptionCode="InvalidParameterValue" locator="bbox">
    <ows:ExceptionText>the lower corner
      is above the upper one</ows:ExceptionText>
  </ows:Exception>
</ows:ExceptionReport>"""
WMS = """<ServiceExceptionReport version="1.3.0" xmlns="http://www.opengis.net/ogc">
  <ServiceException code="LayerNotDefined">no layer x</ServiceException>
</ServiceExceptionReport>"""
RFC_9457 = {
    "type": "https://example.org/problems/invalid-input",
    "title": "Invalid input",
    "status": 400,
    "detail": "pause goes from 0 to 600, found 601",
    "instance": "urn:uuid:70390b11-d562-451c-b8cc-7a36bb74f3bb",
    "code": "InvalidParameterValue",
    "locator": "pause",
}


@pytest.mark.parametrize(
    ("media_type", "body", "problem"),
    [
        (
            "application/problem+json; charset=utf-8",
            json.dumps(RFC_9457),
            Problem(
                message="pause goes from 0 to 600, found 601",
                code="InvalidParameterValue",
                locator="pause",
                type="https://example.org/problems/invalid-input",
                title="Invalid input",
                instance="urn:uuid:70390b11-d562-451c-b8cc-7a36bb74f3bb",
            ),
        ),
        (
            "application/json",
            '{"title": "there is no job x", "status": 404, "code": "NoSuchJob"}',
            Problem("there is no job x", "NoSuchJob", title="there is no job x"),
        ),
        ("application/json", '{"code": 5, "description": "old"}', Problem("old")),
        ("application/json", "[1]", Problem()),
        ("application/json", "{", Problem()),
        (
            "text/xml",
            OWS,
            Problem(
                "the lower corner is above the upper one", "InvalidParameterValue", locator="bbox"
            ),
        ),
        ("application/vnd.ogc.se_xml", WMS, Problem("no layer x", "LayerNotDefined")),
        ("text/xml", "<a/>", Problem()),
        ("text/xml", "<a", Problem()),
        ("text/plain; charset=utf-8", "two\n lines", Problem("two lines")),
        ("text/html", "<h1>Bad gateway</h1>", Problem()),
        ("", "", Problem()),
    ],
)
def test_the_dialects_of_servers_are_read(media_type: str, body: str, problem: Problem) -> None:
    assert read_problem(body.encode(), media_type) == problem


def test_an_exception_without_a_text_is_told_by_its_code() -> None:
    bare = OWS.replace("the lower corner\n      is above the upper one", "")
    assert read_problem(bare.encode(), "text/xml").message == "InvalidParameterValue"
