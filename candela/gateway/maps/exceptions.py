"""Exception reports of WMS, WCS and WFS, each as its version wants it."""

import re
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from flask import Response

from candela.errors import CandelaError, RequestError
from candela.gateway.problems import Kind as ProblemKind
from candela.gateway.problems import Problem, problem_of

Kind = Literal["wms", "wcs", "wfs"]


class OwsError(RequestError):
    """A request that a standard refuses with a code of its own.

    Parameters
    ----------
    code : str
        The code of WMS and of WCS 1.0.0, which newer standards may have another one for.
    status : int
        The HTTP status.
    """

    def __init__(self, code: str, message: str, locator: str = "", *, status: int = 400) -> None:
        super().__init__(message, locator)
        self.code = code
        self.status = MISSING_STATUS.get(code, status)


class Report(NamedTuple):
    """An exception report of OWS Common."""

    namespace: str
    schema: str
    version: str


REPORTS: dict[tuple[Kind | None, str], Report] = {
    ("wcs", "2"): Report("http://www.opengis.net/ows/2.0", "ows/2.0", "2.0.1"),
    ("wfs", "2"): Report("http://www.opengis.net/ows/1.1", "ows/1.1.0", "2.0.0"),
    ("wfs", "1.1"): Report("http://www.opengis.net/ows", "ows/1.0.0", "1.1.0"),
    (None, ""): Report("http://www.opengis.net/ows/1.1", "ows/1.1.0", "1.1.0"),
}  # all others have a service exception report
LATEST: dict[Kind, str] = {"wms": "1.3.0", "wcs": "2.0.1", "wfs": "2.0.0"}
CODES = {"FileSizeExceeded": "InvalidParameterValue"}  # which map services do not have
MISSING_STATUS = {"CoverageNotDefined": 404, "InvalidAxisLabel": 404}
OWS_CODES = {
    "InvalidFormat": "InvalidParameterValue",
    "InvalidDimensionValue": "InvalidParameterValue",
    "CoverageNotDefined": "NoSuchCoverage",
}  # what reports with locators call it
INSTANCE = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
SCHEMAS = "http://schemas.opengis.net"
NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def problem_of_request(error: CandelaError) -> Problem:
    """Return the problem of a request to a map service."""
    problem = problem_of(error)
    if isinstance(error, OwsError):
        return problem._replace(kind=ProblemKind(error.code, error.status))
    return problem


def exception_report(problem: Problem, kind: Kind | None, version: str) -> Response:
    """Write a problem as a standard wants it.

    Parameters
    ----------
    kind : str or None
        The service, if it is known.
    version : str
        The version that was asked for, if any.
    """
    code = CODES.get(problem.code, problem.code)
    text = escape(NOT_XML.sub("\ufffd", problem.detail))
    mimetype = "text/xml"
    version = version or (LATEST[kind] if kind else "")
    report = next(
        (r for (k, prefix), r in REPORTS.items() if k == kind and version.startswith(prefix)), None
    )
    place = f" locator={quoteattr(problem.locator)}" if problem.locator else ""
    if report:
        body = (
            f'<ows:ExceptionReport xmlns:ows="{report.namespace}" version="{report.version}" '
            f'{INSTANCE} xsi:schemaLocation="{report.namespace} '
            f'{SCHEMAS}/{report.schema}/owsExceptionReport.xsd">'
            f'<ows:Exception exceptionCode="{OWS_CODES.get(code, code)}"{place}>'
            f"<ows:ExceptionText>{text}</ows:ExceptionText>"
            "</ows:Exception></ows:ExceptionReport>"
        )
    else:
        root = 'xmlns="http://www.opengis.net/ogc" version="1.2.0"'
        if kind == "wms" and version.startswith("1.1"):
            root, mimetype = 'version="1.1.1"', "application/vnd.ogc.se_xml"
        elif kind == "wms":
            root = root.replace("1.2.0", LATEST["wms"])
        body = (
            f"<ServiceExceptionReport {root}>"
            f'<ServiceException code="{code}"{place}>{text}</ServiceException>'
            "</ServiceExceptionReport>"
        )
    response = Response(
        f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n',
        status=problem.status,
        mimetype=mimetype,
    )
    response.headers.extend(problem.headers)
    return response
