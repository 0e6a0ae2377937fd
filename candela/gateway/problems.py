"""Errors of requests and jobs: what each becomes, and its JSON document (RFC 9457).

``TABLE`` is the only place from an error to its exception code and HTTP status. A codec writes the
``Problem`` in the document and the dialect of its standard; all else is JSON, or a page for
browsers.
"""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Blueprint, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from candela import errors
from candela.contract.job import Failure
from candela.gateway.access.browsers import wants_html
from candela.gateway.parameters import shown
from candela.jobs.uploads import ChecksumError, FullError, OffsetError, PartUnderWayError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
JSON = "application/json"
NO_TYPE = "about:blank"  # the HTTP status says it all
OGC_TYPES = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
PASSED_ON = frozenset({"allow", "retry-after", "content-range"})  # headers of HTTP's own errors


class Kind(NamedTuple):
    """What errors of a class have in common.

    Attributes
    ----------
    code : str
        The exception code of OWS Common or WPS 1.0.0.
    status : int
        The HTTP status.
    type, title : str
        The problem type of RFC 9457, where a standard names one.
    retry_after_s : int
        When the same request may succeed; 0 where it will not.
    detail : str
        What is shown of errors whose own message is for the log alone.
    wps20 : str
        The exception code of WPS 2.0 (OGC 14-065r2), where it has one of its own.
    """

    code: str
    status: int
    type: str = NO_TYPE
    title: str = ""
    retry_after_s: int = 0
    detail: str = ""
    wps20: str = ""


TABLE: dict[type[errors.CandelaError], Kind] = {
    errors.PublicError: Kind("NoApplicableCode", 400),
    errors.MissingValueError: Kind("MissingParameterValue", 400),
    errors.InvalidValueError: Kind("InvalidParameterValue", 400),
    errors.NoSuchInputError: Kind("InvalidParameterValue", 400, wps20="NoSuchInput"),
    errors.NoSuchOutputError: Kind("InvalidParameterValue", 400, wps20="NoSuchOutput"),
    errors.NoSuchFormatError: Kind("InvalidParameterValue", 400, wps20="NoSuchFormat"),
    errors.NoSuchModeError: Kind("InvalidParameterValue", 400, wps20="NoSuchMode"),
    errors.TooManyInputsError: Kind("InvalidParameterValue", 400, wps20="TooManyInputs"),
    errors.TooManyOutputsError: Kind("InvalidParameterValue", 400, wps20="TooManyOutputs"),
    OffsetError: Kind("InvalidParameterValue", 409),
    errors.UnsupportedError: Kind("OperationNotSupported", 400),
    errors.VersionError: Kind("VersionNegotiationFailed", 400),
    errors.TooLargeError: Kind("FileSizeExceeded", 413, wps20="SizeExceeded"),
    errors.BusyError: Kind("ServerBusy", 429, retry_after_s=10),
    errors.ConflictError: Kind("NoApplicableCode", 409),
    PartUnderWayError: Kind("ServerBusy", 423, retry_after_s=2),
    FullError: Kind("NotEnoughStorage", 507, retry_after_s=60),
    errors.OtherSiteError: Kind("NoApplicableCode", 403),
    errors.TokenError: Kind("NoApplicableCode", 403),
    errors.NotFoundError: Kind("NotFound", 404),
    errors.NoSuchJobError: Kind(
        "NotFound", 404, f"{OGC_TYPES}/no-such-job", "No such job", wps20="NoSuchJob"
    ),
    errors.ResultNotReadyError: Kind(
        "ResultNotReady", 404, f"{OGC_TYPES}/result-not-ready", "Result not ready", retry_after_s=2
    ),
    errors.GoneError: Kind("NotFound", 410, wps20="NoSuchJob"),
    errors.JobDismissedError: Kind("JobDismissed", 410, title="Job dismissed", wps20="NoSuchJob"),
    errors.JobExpiredError: Kind("JobExpired", 410, title="Results expired", wps20="NoSuchJob"),
    errors.NoSuchProcessError: Kind(
        "NotFound",
        404,
        f"{OGC_TYPES}/no-such-process",
        "No such process",
        wps20="NoSuchProcess",
    ),
    errors.InputError: Kind("InvalidParameterValue", 400, wps20="WrongInputData"),
    ChecksumError: Kind("InvalidParameterValue", 422),
    errors.ReferenceUnavailableError: Kind("InvalidParameterValue", 400, wps20="DataNotAccessible"),
    errors.UnavailableError: Kind("NoApplicableCode", 503, retry_after_s=10),
    errors.StorageError: Kind(
        "NoApplicableCode",
        503,
        retry_after_s=10,
        detail="the storage does not answer; please try again later",
    ),
    errors.PublicationError: Kind(
        "NoApplicableCode", 503, retry_after_s=10, detail="the map server is away"
    ),
    errors.CandelaError: Kind(
        "NoApplicableCode", 500, detail="internal error; the log of the gateway has the reason"
    ),
}  # subclasses share the entry of their parent
UNKNOWN_VALUE = TABLE[errors.InvalidValueError]  # a parameter that names what is not there
HTTP_CODES = {
    400: "InvalidParameterValue",
    404: "NotFound",
    405: "OperationNotSupported",
    413: "FileSizeExceeded",
}

_PUBLIC = {error.__name__: error for error in TABLE if issubclass(error, errors.PublicError)}


class Problem(NamedTuple):
    """An error as a client sees it.

    Attributes
    ----------
    kind : Kind
        Code, status and type.
    detail : str
        What was found, what was expected, and where.
    locator : str
        The parameter, input or output that is to blame.
    log : str
        The last lines of the log of a job that failed.
    """

    kind: Kind
    detail: str
    locator: str = ""
    log: str = ""

    @property
    def code(self) -> str:
        """The exception code."""
        return self.kind.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    @property
    def title(self) -> str:
        """The title of the type: the phrase of the HTTP status where it has none of its own."""
        return self.kind.title or HTTPStatus(self.status).phrase

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with it."""
        retry_after_s = self.kind.retry_after_s
        return {"Retry-After": str(retry_after_s)} if retry_after_s else {}


INTERNAL = Problem(TABLE[errors.CandelaError], TABLE[errors.CandelaError].detail)

Writer = Callable[[Problem], BaseResponse]


def problem_of(error: errors.CandelaError) -> Problem:
    """Return what a client sees of an error."""
    kind = TABLE[next(known for known in type(error).__mro__ if known in TABLE)]
    if not isinstance(error, errors.PublicError):  # its text names files and hosts
        logger.warning("%s: %s", kind.detail, error)
        return Problem(kind, kind.detail)
    if type(error) is errors.NotFoundError and error.locator:
        kind = UNKNOWN_VALUE
    return Problem(kind, error.message, error.locator)


def problem_of_failure(failure: Failure) -> Problem:
    """Return what a client sees of a job that failed."""
    kind = TABLE[_PUBLIC.get(failure.kind, errors.PublicError)]
    return Problem(kind, failure.message, failure.locator, failure.log or "")


def problem_of_http(error: HTTPException) -> Problem:
    """Return what a client sees of an error of HTTP itself."""
    status = error.code or 500
    if status == 500:
        return INTERNAL
    text = error.description or error.name
    if status == 404:
        text = f"nothing is served at {shown(request.path)}"
    return Problem(Kind(HTTP_CODES.get(status, "NoApplicableCode"), status), text)


def json_response(problem: Problem) -> BaseResponse:
    """Answer with a problem document."""
    document: dict[str, Any] = {
        "type": problem.kind.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
        "code": problem.code,
    }
    if problem.locator:
        document["locator"] = problem.locator
    response = jsonify(document)
    response.status_code = problem.status
    response.mimetype = _media_type()
    response.vary.add("Accept")
    response.headers.extend(problem.headers)
    return response


def _media_type() -> str:
    """Return the media type of a problem: that of all JSON for who accepts no other."""
    return request.accept_mimetypes.best_match([MEDIA_TYPE, JSON], default=MEDIA_TYPE)


def blueprint(page: Writer, codecs: Mapping[str, Writer]) -> Blueprint:
    """Return the answers to errors that no route answers itself.

    Parameters
    ----------
    page : Writer
        Writes a problem for people.
    codecs : mapping of str to Writer
        Who writes problems of addresses below a path, such as ``/wps``.
    """
    routes = Blueprint("problems", __name__)

    def answer(problem: Problem) -> BaseResponse:
        for path, writer in codecs.items():
            if request.path == path or request.path.startswith(f"{path}/"):
                return writer(problem)
        return page(problem) if wants_html() else json_response(problem)

    @routes.app_errorhandler(errors.PublicError)
    @routes.app_errorhandler(errors.StorageError)
    @routes.app_errorhandler(errors.PublisherAwayError)
    def refused(error: errors.CandelaError) -> BaseResponse:
        return answer(problem_of(error))

    @routes.app_errorhandler(HTTPException)
    def unanswered(error: HTTPException) -> BaseResponse:
        response = answer(problem_of_http(error))
        for name, value in error.get_headers():
            if name.lower() in PASSED_ON:
                response.headers[name] = value
        return response

    return routes
