"""Where workers report their progress; a token of the attempt under way says who they are."""

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import InvalidValueError, NotFoundError, TokenError
from candela.gateway.parameters import finite, json_document, plain_text
from candela.jobs.principal import SYSTEM
from candela.jobs.service import JobService
from candela.jobs.tokens import is_valid

MAX_REPORT_BYTES = 64 * 1024


def blueprint(jobs: JobService, key: bytes) -> Blueprint:
    """Return the route; ``key`` signs the tokens."""
    routes = Blueprint("progress", __name__)

    @routes.post("/jobs/<job_id>/progress")
    def progress(job_id: str) -> BaseResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not _is_of_worker(jobs, key, job_id, token):
            raise TokenError("this token does not belong to the job", "Authorization")
        report = json_document(MAX_REPORT_BYTES)
        if not isinstance(report, dict):
            raise InvalidValueError("expected {percent: number, message: text}", "body")
        percent = finite(report.get("percent"), "percent")
        message = plain_text(report.get("message"), "message", MAX_REPORT_BYTES)[:500]
        jobs.report(SYSTEM, job_id, min(100.0, max(0.0, percent)), message)
        return Response(status=204)

    return routes


def _is_of_worker(jobs: JobService, key: bytes, job_id: str, token: str) -> bool:
    """Tell whether a token is that of the attempt under way; also of a job that is not there."""
    try:
        attempt = jobs.summary(SYSTEM, job_id).attempt
    except NotFoundError:
        return False
    return is_valid(key, job_id, attempt, token)
