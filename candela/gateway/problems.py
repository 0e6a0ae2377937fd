"""Errors that no route answers itself: as a page, as JSON, or in the words of the OGC."""

from flask import Blueprint, jsonify, request
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import NotFoundError, PublicError
from candela.gateway.access.browsers import wants_html
from candela.gateway.console import page
from candela.gateway.faults import INTERNAL, Fault, fault_of
from candela.gateway.parameters import shown
from candela.gateway.protocols.wps10.service import fault_response
from candela.settings import Metadata

IN_XML = ("/wps", "/ows")
CODES = {400: "InvalidParameterValue", 405: "OperationNotSupported", 413: "FileSizeExceeded"}


def blueprint(metadata: Metadata) -> Blueprint:
    """Return the answers to errors of an application."""
    routes = Blueprint("problems", __name__)

    @routes.app_errorhandler(PublicError)
    def refused(error: PublicError) -> BaseResponse:
        fault = fault_of(error)
        if isinstance(error, NotFoundError):  # of a resource with an address of its own
            fault = fault._replace(status=404)
        return answer(fault, metadata)

    @routes.app_errorhandler(HTTPException)
    def unanswered(error: HTTPException) -> BaseResponse:
        status = error.code or 500
        if isinstance(error, InternalServerError):
            fault = INTERNAL
        else:
            code = CODES.get(status, "NoApplicableCode")
            text = error.description or error.name
            if status == 404:
                text = f"nothing is served at {shown(request.path)}"
            fault = Fault(code, status, text)
        response = answer(fault, metadata)
        for name, value in error.get_headers():
            if name.lower() in {"allow", "retry-after", "content-range"}:
                response.headers[name] = value
        return response

    return routes


def answer(fault: Fault, metadata: Metadata) -> BaseResponse:
    """Answer with an error, in the form that the client takes."""
    response: BaseResponse
    if request.path.startswith(IN_XML):
        return fault_response(fault)
    if wants_html():
        response = page("problem.html", metadata=metadata, fault=fault)
        response.status_code = fault.status
    else:
        response = jsonify(title=fault.message, status=fault.status, code=fault.code)
        response.status_code = fault.status
    response.headers.extend(fault.headers)
    return response
