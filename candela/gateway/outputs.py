"""Results by address, with Range and ETag.

/outputs/<job>/<file>            for those who see the job
/outputs/<job>/<output>          the same, of an output that is a value
/outputs/<token>/<job>/<file>    for a GeoServer that reads by HTTP, where owners are identified
"""

import hmac
from collections.abc import Iterator
from mimetypes import guess_type

from flask import Blueprint, Response, abort, request, send_file
from werkzeug.datastructures import ContentRange
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import parse_range_header
from werkzeug.wrappers import Response as BaseResponse

from candela.contract.job import OUTPUTS_FOLDER, Box, OutputFile, job_key
from candela.errors import GoneError, NotFoundError
from candela.gateway.access.identity import principal_of
from candela.gateway.results import literal_text
from candela.jobs.principal import SYSTEM, Principal
from candela.jobs.service import JobService
from candela.jobs.tokens import map_server_token
from candela.settings import Settings
from candela.storage.base import Storage


def token_of_map_server(settings: Settings) -> str:
    """Return the token by which a map server reads outputs; empty where it needs none."""
    is_reader = settings.publisher == "geoserver" and settings.geoserver_mode == "http"
    return map_server_token(settings.signing_key) if is_reader and settings.owner_header else ""


def blueprint(jobs: JobService, *, map_server: str = "") -> Blueprint:
    """Return the routes of the results.

    Parameters
    ----------
    map_server : str, optional
        The token by which a map server reads all of them.
    """
    routes = Blueprint("outputs", __name__)

    @routes.get("/outputs/<job_id>/<file>")
    def output(job_id: str, file: str) -> BaseResponse:
        return _output(jobs, principal_of(request), job_id, file)

    if map_server:

        @routes.get("/outputs/<token>/<job_id>/<file>")
        def output_for_maps(token: str, job_id: str, file: str) -> BaseResponse:
            if not hmac.compare_digest(token.encode(errors="replace"), map_server.encode()):
                abort(404)
            return _output(jobs, SYSTEM, job_id, file)

    return routes


def _output(jobs: JobService, principal: Principal, job_id: str, file: str) -> BaseResponse:
    try:
        made = jobs.output(principal, job_id, file)
        if isinstance(made, OutputFile):
            return file_response(jobs.storage, job_id, made)
    except GoneError:
        raise
    except NotFoundError:
        raise NotFoundError(f"there is no output {file!r} of a job {job_id!r}") from None
    if isinstance(made, Box):
        return Response(made.to_json(), mimetype="application/json")
    return Response(literal_text(made.value), mimetype="text/plain")


def file_response(storage: Storage, job_id: str, made: OutputFile) -> BaseResponse:
    """Answer with an output file, or the part of it that is asked for.

    Raises
    ------
    NotFoundError
        If the file is not in storage.
    """
    key = job_key(job_id, OUTPUTS_FOLDER, made.file)
    media_type = made.media_type or guess_type(made.file)[0] or "application/octet-stream"
    path = storage.local_path(key)
    if path is not None:
        if not path.is_file():
            raise NotFoundError(f"there is no file {key}")
        response: BaseResponse = send_file(
            path, download_name=made.file, conditional=True, etag=made.sha256
        )
    else:
        response = _streamed(storage, key, made)
    # NOTE: set afterwards, as it stands: clients compare "image/tiff; subtype=geotiff" letter by
    # letter.
    response.headers["Content-Type"] = media_type
    return response


def _streamed(storage: Storage, key: str, made: OutputFile) -> BaseResponse:
    wanted = parse_range_header(request.headers.get("Range"))
    span = wanted.range_for_length(made.size) if wanted else None
    if wanted and span is None:
        raise RequestedRangeNotSatisfiable(made.size)
    start, stop = span or (0, made.size)
    content: Iterator[bytes] = storage.open(key, start, stop)
    response = Response(content, status=206 if span else 200)
    response.set_etag(made.sha256)
    response.content_length = stop - start
    response.headers["Accept-Ranges"] = "bytes"
    if span:
        response.content_range = ContentRange("bytes", start, stop, made.size)
        return response
    return response.make_conditional(request)
