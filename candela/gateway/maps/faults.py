"""Exception reports of WMS, WCS and WFS, each as its version wants it."""

import re
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from flask import Response

from candela.errors import (
    CandelaError,
    InvalidValueError,
    NotFoundError,
    PublicationError,
    PublicError,
    RequestError,
    TooLargeError,
    UnsupportedError,
)

Kind = Literal["wms", "wcs", "wfs"]


class OwsError(RequestError):
    """A request that a standard refuses with a code of its own.

    Parameters
    ----------
    code : str
        The code of WMS and of WCS 1.0.0, which newer standards may have another one for.
    """

    def __init__(self, code: str, message: str, locator: str = "") -> None:
        super().__init__(message, locator)
        self.code = code


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
STATUS: dict[type[CandelaError], tuple[int, str]] = {
    NotFoundError: (404, "NotFound"),
    InvalidValueError: (400, "InvalidParameterValue"),
    TooLargeError: (413, "InvalidParameterValue"),
    UnsupportedError: (415, "OperationNotSupported"),
    PublicationError: (503, "NoApplicableCode"),
}
MISSING_STATUS = {"CoverageNotDefined": 404, "InvalidAxisLabel": 404}
OWS_CODES = {
    "InvalidFormat": "InvalidParameterValue",
    "InvalidDimensionValue": "InvalidParameterValue",
    "CoverageNotDefined": "NoSuchCoverage",
}  # what reports with locators call it
INSTANCE = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
SCHEMAS = "http://schemas.opengis.net"
NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
REFUSALS: tuple[type[CandelaError], ...] = (OwsError, *STATUS)


def exception_report(error: CandelaError, kind: Kind | None, version: str) -> Response:
    """Write an error as a standard wants it.

    Parameters
    ----------
    kind : str or None
        The service, if it is known.
    version : str
        The version that was asked for, if any.
    """
    status, code = _status(error)
    message = error.message if isinstance(error, PublicError) else "the map server is away"
    text = escape(NOT_XML.sub("\ufffd", message))
    locator = error.locator if isinstance(error, PublicError) else ""
    mimetype = "text/xml"
    version = version or (LATEST[kind] if kind else "")
    report = next(
        (r for (k, prefix), r in REPORTS.items() if k == kind and version.startswith(prefix)), None
    )
    place = f" locator={quoteattr(locator)}" if locator else ""
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
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n', status=status, mimetype=mimetype
    )


def _status(error: CandelaError) -> tuple[int, str]:
    if isinstance(error, OwsError):
        return MISSING_STATUS.get(error.code, 400), error.code
    return next(value for cls, value in STATUS.items() if isinstance(error, cls))
