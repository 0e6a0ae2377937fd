"""Exception reports of WPS 1.0.0 (OGC 06-121r3, 8.2)."""

from flask import Blueprint, Response
from lxml import etree
from pywps.exceptions import NoApplicableCode
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import CandelaError, PublicError, StorageError
from candela.gateway.problems import INTERNAL, Kind, Problem, problem_of
from candela.gateway.protocols.wps10.xml import (
    LANG,
    LANGUAGE,
    MEDIA_TYPE,
    OWS,
    clean,
    document,
)

CODES = {  # which WPS 1.0.0 does not have
    "NotFound": "InvalidParameterValue",
    "JobDismissed": "InvalidParameterValue",
    "JobExpired": "InvalidParameterValue",
}


def exception_report(problem: Problem) -> etree._Element:
    """Return the ows:ExceptionReport of a problem."""
    texts = [problem.detail]
    if problem.log:
        texts.append(f"The log ends with:\n{problem.log}")
    exception = OWS.Exception(
        *(OWS.ExceptionText(clean(text)) for text in texts),
        exceptionCode=CODES.get(problem.code, problem.code),
    )
    if problem.locator:
        exception.set("locator", clean(problem.locator))
    report = OWS.ExceptionReport(exception, version="1.0.0")
    report.set(LANG, LANGUAGE)
    return report


def report_response(problem: Problem) -> BaseResponse:
    """Answer with an exception report."""
    report = document(exception_report(problem))
    response = Response(report, status=problem.status, content_type=MEDIA_TYPE)
    response.headers.extend(problem.headers)
    return response


def refusal_response(problem: Problem) -> BaseResponse:
    """Answer with an exception report and status 400 whatever the request's mistake is.

    NOTE: clients such as OWSLib show the text of a 400 and hide that of any other status.
    """
    if 400 <= problem.status < 500 and problem.status != 403:
        problem = problem._replace(kind=Kind(problem.code, 400))
    return report_response(problem)


def problem_of_pywps(error: NoApplicableCode) -> Problem:
    """Return the problem that PyWPS's parser has found."""
    return Problem(Kind(error.name, 400), str(error.description), str(error.locator or ""))


def answer_in_reports(routes: Blueprint) -> None:
    """Answer the errors of routes with exception reports."""

    @routes.errorhandler(PublicError)
    @routes.errorhandler(StorageError)
    def refused(error: CandelaError) -> BaseResponse:
        return refusal_response(problem_of(error))

    @routes.errorhandler(500)
    def broken(_: Exception) -> BaseResponse:
        return report_response(INTERNAL)
