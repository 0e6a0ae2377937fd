"""Results by address: /outputs/<job>/<file>, with Range and ETag."""

from collections.abc import Iterator
from mimetypes import guess_type

from flask import Blueprint, Response, request, send_file
from werkzeug.datastructures import ContentRange
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import parse_range_header
from werkzeug.wrappers import Response as BaseResponse

from candela.contract.job import OUTPUTS_FOLDER, OutputFile, job_key
from candela.errors import NotFoundError
from candela.jobs.service import JobService
from candela.jobs.store import JobStore
from candela.storage.base import Storage


def blueprint(jobs: JobService) -> Blueprint:
    """Return the route of the results."""
    routes = Blueprint("outputs", __name__)

    @routes.get("/outputs/<job_id>/<file>")
    def output(job_id: str, file: str) -> BaseResponse:
        try:
            return file_response(jobs.storage, job_id, _made(jobs.store, job_id, file))
        except NotFoundError:
            raise NotFoundError(f"there is no output {file!r} of a job {job_id!r}") from None

    return routes


def _made(store: JobStore, job_id: str, file: str) -> OutputFile:
    """Return the output of a finished job that is this file; no other file is served."""
    result = store.outcome(job_id).result
    for made in result.outputs.values() if result else ():
        if isinstance(made, OutputFile) and made.file == file:
            return made
    raise NotFoundError(f"there is no output {file!r}")


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
