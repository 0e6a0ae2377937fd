"""Exception reports of OWS Common, which the versions of WPS write in their own namespace."""

from collections.abc import Callable
from typing import NamedTuple

from flask import Blueprint, Response
from lxml import etree
from lxml.builder import ElementMaker
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import CandelaError, PublicError, StorageError
from candela.gateway.problems import INTERNAL, Problem, problem_of
from candela.gateway.protocols.xml import LANG, LANGUAGE, MEDIA_TYPE, clean, document


class Reports(NamedTuple):
    """How a protocol writes exception reports.

    Attributes
    ----------
    ows : ElementMaker
        Of the namespace of its OWS Common.
    version : str
        Of the reports.
    code : callable
        Returns the exception code that the protocol has for a problem.
    """

    ows: ElementMaker
    version: str
    code: Callable[[Problem], str]

    def element(self, problem: Problem) -> etree._Element:
        """Return the ows:ExceptionReport of a problem."""
        texts = [problem.detail]
        if problem.log:
            texts.append(f"The log ends with:\n{problem.log}")
        exception = self.ows.Exception(
            *(self.ows.ExceptionText(clean(text)) for text in texts),
            exceptionCode=self.code(problem),
        )
        if problem.locator:
            exception.set("locator", clean(problem.locator))
        report = self.ows.ExceptionReport(exception, version=self.version)
        report.set(LANG, LANGUAGE)
        return report

    def answer(self, problem: Problem) -> BaseResponse:
        """Answer with an exception report."""
        report = document(self.element(problem))
        response = Response(report, status=problem.status, content_type=MEDIA_TYPE)
        response.headers.extend(problem.headers)
        return response

    def refuse(self, problem: Problem) -> BaseResponse:
        """Answer with an exception report and status 400 whatever the request's mistake is.

        NOTE: clients such as OWSLib show the text of a 400 and hide that of any other status.
        """
        if 400 <= problem.status < 500 and problem.status != 403:
            problem = problem._replace(kind=problem.kind._replace(status=400, retry_after_s=0))
        return self.answer(problem)


def answer_in_reports(routes: Blueprint, reports: Callable[[], Reports]) -> None:
    """Answer the errors of routes with exception reports: those of the present request."""

    @routes.errorhandler(PublicError)
    @routes.errorhandler(StorageError)
    def refused(error: CandelaError) -> BaseResponse:
        return reports().refuse(problem_of(error))

    @routes.errorhandler(500)
    def broken(_: Exception) -> BaseResponse:
        return reports().answer(INTERNAL)
