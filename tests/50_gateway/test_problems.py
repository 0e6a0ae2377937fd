"""One table from error to code and status, and how each codec writes it."""

from xml.etree import ElementTree

import pytest
from flask import Flask
from werkzeug.exceptions import RequestEntityTooLarge

from candela import errors
from candela.contract.job import Failure
from candela.gateway import problems
from candela.gateway.maps.exceptions import OwsError, exception_report, problem_of_request
from candela.gateway.protocols.wps10.exceptions import REPORTS
from candela.gateway.protocols.wps20 import exceptions as wps20
from candela.jobs.uploads import ChecksumError, FullError

SECRET = "bucket s3://inner/secret"
TYPES = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"


@pytest.fixture
def http():
    """Return a client of routes that raise an error."""
    app = Flask(__name__)
    codecs = {"/wps": REPORTS.answer}
    app.register_blueprint(problems.blueprint(lambda _: "a page", codecs))
    raised = {
        "value": errors.InvalidValueError("x is 7", "x"),
        "missing": errors.NotFoundError("there is no layer 'a'"),
        "unknown": errors.NotFoundError("there is no label 'a'", "label"),
        "job": errors.NoSuchJobError("there is no job '7'", "jobId"),
        "large": errors.TooLargeError("too large"),
        "busy": errors.BusyError("busy"),
        "full": FullError("full"),
        "site": errors.OtherSiteError("another site"),
        "token": errors.TokenError("not yours"),
        "input": errors.InputError("no raster"),
        "checksum": ChecksumError("another content"),
        "limit": errors.LimitError("too slow"),
        "away": errors.UnavailableError("away"),
        "storage": errors.StorageError(SECRET),
        "maps": errors.PublisherAwayError(SECRET),
        "http": RequestEntityTooLarge(),
        "defect": ZeroDivisionError(SECRET),
    }

    def fail(name):
        raise raised[name]

    app.add_url_rule("/<name>", "fail", fail)
    return app.test_client()


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("value", 400, "InvalidParameterValue"),
        ("missing", 404, "NotFound"),
        ("unknown", 400, "InvalidParameterValue"),
        ("job", 404, "NotFound"),
        ("large", 413, "FileSizeExceeded"),
        ("busy", 429, "ServerBusy"),
        ("full", 507, "NotEnoughStorage"),
        ("site", 403, "NoApplicableCode"),
        ("token", 403, "NoApplicableCode"),
        ("input", 400, "InvalidParameterValue"),
        ("checksum", 422, "InvalidParameterValue"),
        ("limit", 400, "NoApplicableCode"),
        ("away", 503, "NoApplicableCode"),
        ("storage", 503, "NoApplicableCode"),
        ("maps", 503, "NoApplicableCode"),
        ("http", 413, "FileSizeExceeded"),
        ("defect", 500, "NoApplicableCode"),
        ("no/route", 404, "NotFound"),
    ],
)
def test_an_error_has_one_status_and_one_code(http, name, status, code):
    answer = http.get(f"/{name}")
    assert answer.mimetype == "application/problem+json"
    assert (answer.status_code, answer.json["status"], answer.json["code"]) == (
        status, status, code,
    )  # fmt: skip
    assert answer.json["instance"] == f"/{name}"
    assert answer.json["detail"]
    assert SECRET not in answer.text


def test_a_problem_document_says_what_is_to_blame(http):
    assert http.get("/value").json == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "x is 7",
        "instance": "/value",
        "code": "InvalidParameterValue",
        "locator": "x",
    }


def test_a_type_of_the_ogc_has_its_own_title(http):
    problem = http.get("/job").json
    assert (problem["type"], problem["title"]) == (f"{TYPES}/no-such-job", "No such job")


def test_a_client_learns_when_to_ask_again(http):
    waits = {name: http.get(f"/{name}").headers.get("Retry-After") for name in ("away", "full")}
    assert waits == {"away": "10", "full": "60"}
    assert "Retry-After" not in http.get("/value").headers


def test_people_get_a_page_and_codecs_their_document(http):
    assert http.get("/value", headers={"Accept": "text/html"}).text == "a page"
    report = http.get("/wps/nothing", headers={"Accept": "text/html"})
    assert (report.status_code, report.mimetype) == (404, "text/xml")
    assert b"ExceptionReport" in report.data
    assert http.get("/wpsx/nothing").mimetype == "application/problem+json"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NoSuchJobError("x", "jobId"), 400, "InvalidParameterValue"),
        (errors.TooLargeError("x"), 400, "FileSizeExceeded"),
        (errors.BusyError("x"), 400, "ServerBusy"),
        (errors.OtherSiteError("x"), 403, "NoApplicableCode"),
        (errors.UnavailableError("x"), 503, "NoApplicableCode"),
    ],
)
def test_wps_refuses_with_400_which_clients_show(error, status, code):
    answer = REPORTS.refuse(problems.problem_of(error))
    (exception,) = ElementTree.fromstring(answer.data)
    assert (answer.status_code, exception.get("exceptionCode")) == (status, code)
    assert exception.get("locator") == (error.locator or None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoSuchProcessError("x"), "NoSuchProcess"),
        (errors.NoSuchModeError("x"), "NoSuchMode"),
        (errors.NoSuchInputError("x"), "NoSuchInput"),
        (errors.NoSuchOutputError("x"), "NoSuchOutput"),
        (errors.NoSuchFormatError("x"), "NoSuchFormat"),
        (errors.TooManyInputsError("x"), "TooManyInputs"),
        (errors.TooManyOutputsError("x"), "TooManyOutputs"),
        (errors.TooLargeError("x"), "SizeExceeded"),
        (errors.ReferenceUnavailableError("x"), "DataNotAccessible"),
        (errors.InputError("x"), "WrongInputData"),
        (errors.NoSuchJobError("x"), "NoSuchJob"),
        (errors.ResultNotReadyError("x"), "ResultNotReady"),
        (errors.MissingValueError("x"), "MissingParameterValue"),
        (errors.NotFoundError("x"), "InvalidParameterValue"),
        (errors.BusyError("x"), "ServerBusy"),
    ],
)
def test_wps_2_0_has_codes_of_its_own(error, code):
    answer = wps20.REPORTS.refuse(problems.problem_of(error))
    (exception,) = ElementTree.fromstring(answer.data)
    assert (answer.status_code, exception.get("exceptionCode")) == (400, code)


def test_a_report_of_wps_has_the_log_of_a_job_that_failed():
    failure = Failure(kind="InputError", message="no raster", locator="scene", log="line 1\nline 2")
    report = REPORTS.element(problems.problem_of_failure(failure))
    texts = [text.text for text in report.iter("{*}ExceptionText")]
    assert texts == ["no raster", "The log ends with:\nline 1\nline 2"]


@pytest.mark.parametrize(
    ("error", "kind", "version", "status", "code"),
    [
        (errors.NotFoundError("x"), "wms", "1.3.0", 404, "NotFound"),
        (errors.TooLargeError("x"), "wfs", "2.0.0", 413, "InvalidParameterValue"),
        (errors.PublicationError(SECRET), "wms", "1.1.1", 503, "NoApplicableCode"),
        (OwsError("CoverageNotDefined", "x"), "wcs", "1.0.0", 404, "CoverageNotDefined"),
        (OwsError("CoverageNotDefined", "x"), "wcs", "2.0.1", 404, "NoSuchCoverage"),
        (OwsError("InvalidFormat", "x"), "wms", "1.3.0", 400, "InvalidFormat"),
        (OwsError("InvalidFormat", "x", status=415), "wms", "", 415, "InvalidFormat"),
    ],
)  # fmt: skip
def test_map_services_have_codes_of_their_own(error, kind, version, status, code):
    answer = exception_report(problem_of_request(error), kind, version)
    (exception,) = ElementTree.fromstring(answer.data)
    assert answer.status_code == status
    assert (exception.get("code") or exception.get("exceptionCode")) == code
    assert SECRET.encode() not in answer.data


def test_an_address_without_a_route_is_named(http):
    assert http.get("/no/route").json["detail"] == "nothing is served at '/no/route'"
