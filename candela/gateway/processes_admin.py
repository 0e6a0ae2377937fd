"""Add, replace and remove processes at run time; for operators, and experimental.

OGC API - Processes, Part 2 has these methods at the same addresses; the body here is a
process.yaml.
"""

from flask import Blueprint, Response, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import InvalidValueError, TooLargeError
from candela.gateway.access.identity import principal_of, require_operator
from candela.gateway.parameters import query_of_request, shown
from candela.gateway.registration import MOST_BYTES, NAME, Registration
from candela.jobs.catalogue import ProcessCatalogue
from candela.spec import ProcessSpec

MEDIA_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "application/json")


def blueprint(catalogue: ProcessCatalogue, registration: Registration, base_url: str) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("processes_admin", __name__)

    @routes.post("/processes")
    def add() -> BaseResponse:
        require_operator()
        spec = registration.checked(_body())
        is_new = catalogue.add(spec, principal_of(request).name, most=registration.most)
        return _answer(spec, base_url, 201 if is_new else 200)

    @routes.put("/processes/<identifier>")
    def replace(identifier: str) -> BaseResponse:
        require_operator()
        spec = registration.checked(_body())
        if spec.identifier != identifier:
            raise InvalidValueError(
                f"identifier is {spec.identifier!r}, expected {shown(identifier)}", "identifier"
            )
        catalogue.replace(spec, principal_of(request).name)
        return _answer(spec, base_url, 200)

    @routes.delete("/processes/<identifier>")
    def remove(identifier: str) -> BaseResponse:
        require_operator()
        query_of_request()
        catalogue.remove(identifier)
        return Response(status=204)

    return routes


def _answer(spec: ProcessSpec, base_url: str, status: int) -> BaseResponse:
    """Say what is offered now, and where its description is."""
    answer = jsonify(id=spec.identifier, version=spec.version, title=spec.title)
    answer.status_code = status
    address = f"{base_url}/processes/{spec.identifier}"
    answer.headers["Location" if status == 201 else "Content-Location"] = address
    return answer


def _body() -> bytes:
    """Return the body; NOTE: of media types that a form of another site cannot send."""
    query_of_request()
    if request.mimetype not in MEDIA_TYPES:
        found = shown(request.mimetype or "nothing")
        raise InvalidValueError(f"the body is {found}, expected {MEDIA_TYPES[0]}", "body")
    if (request.content_length or 0) > MOST_BYTES:
        raise TooLargeError(f"a {NAME} has at most {MOST_BYTES} bytes", "body")
    request.max_content_length = MOST_BYTES
    return request.get_data()
