"""Jobs by address: JSON in the words of OGC API - Processes, or a page for browsers."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from candela.contract.job import Box, Inline, Reference, StoredValue, Value
from candela.contract.names import without_secrets
from candela.errors import InvalidValueError, NotFoundError, TokenError
from candela.gateway.access.browsers import wants_html
from candela.gateway.access.identity import principal_of
from candela.gateway.console.job_pages import job_page, landing_page
from candela.gateway.parameters import finite, json_document, plain_text, query_of_request
from candela.gateway.problems import problem_of_failure
from candela.gateway.results import STATUS, Addresses, JobOutput, outputs_of
from candela.jobs.accounting import Consumption
from candela.jobs.model import JobOutcome, State
from candela.jobs.principal import SYSTEM
from candela.jobs.service import JobService
from candela.jobs.tokens import is_valid
from candela.settings import Metadata

MAX_JOBS = 1000
MAX_REPORT_BYTES = 64 * 1024


@dataclass(frozen=True)
class JobsApi:
    """The routes of jobs."""

    jobs: JobService
    metadata: Metadata
    addresses: Addresses
    key: bytes
    maps_url: str

    def status_info(self, job: JobOutcome) -> dict[str, Any]:
        """Return the statusInfo of a job, with its state here and its links beside it."""
        info: dict[str, Any] = {
            "jobID": job.id,
            "processID": job.process,
            "type": "process",
            "status": STATUS[job.state],
            "state": job.state,
            "message": job.message,
            "progress": 100 if job.state is State.SUCCEEDED else job.whole_percent,
            "created": _time(job.created),
            "updated": _time(job.updated),
            "links": [
                {"href": self.addresses.job(job.id), "rel": "self"},
                {"href": self.addresses.status(job.id), "rel": "alternate", "type": "text/xml"},
            ],
        }
        if job.title:
            info["title"] = job.title
        if job.started:
            info["started"] = _time(job.started)
        if job.finished:
            info["finished"] = _time(job.finished)
        if job.state.is_final and job.started:
            info["usage"] = _usage(Consumption.of(job))
        if job.error:
            problem = problem_of_failure(job.error)
            info["exception"] = {"code": problem.code, "locator": problem.locator}
        if job.state is State.SUCCEEDED:
            info["outputs"] = self.outputs(job)
        return info

    def outputs(self, job: JobOutcome) -> dict[str, Any]:
        """Return the outputs of a job by name: values, or links."""
        outputs = outputs_of(job, self.jobs.spec(job), self.addresses)
        return {name: _output(output) for name, output in outputs.items()}


def _output(output: JobOutput) -> Any:  # noqa: ANN401 - JSON
    if output.href:
        link: dict[str, Any] = {"href": output.href, "type": output.media_type}
        return link | ({"length": output.file.size} if output.file else {})
    return output.value.model_dump() if isinstance(output.value, Box) else output.value


def _input_document(value: Value) -> Any:  # noqa: ANN401 - JSON
    """Return an input without content, and an address without what may be secret in it."""
    if isinstance(value, Reference):
        return {"href": without_secrets(value.href)}
    if isinstance(value, Inline):
        return {"mediaType": value.media_type or "", "length": len(value.value)}
    if isinstance(value, StoredValue):
        return {"length": value.size}
    return value.model_dump() if isinstance(value, Box) else value


def _time(time: Any) -> str:  # noqa: ANN401
    return str(time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def _usage(used: Consumption) -> dict[str, float]:
    return {
        "wallSeconds": used.wall_s,
        "cpuSeconds": used.cpu_s,
        "gigabyteSeconds": used.gb_s,
        "inputBytes": used.input_bytes,
        "outputBytes": used.output_bytes,
    }


def _is_of_worker(jobs: JobService, key: bytes, job_id: str, token: str) -> bool:
    """Tell whether a token is that of the attempt under way; also of a job that is not there."""
    try:
        attempt = jobs.summary(SYSTEM, job_id).attempt
    except NotFoundError:
        return False
    return is_valid(key, job_id, attempt, token)


def blueprint(api: JobsApi) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("jobs", __name__)
    jobs = api.jobs

    @routes.get("/")
    def landing() -> BaseResponse:
        principal = principal_of(request)
        return landing_page(jobs, principal, api.metadata, api.addresses.base_url, api.maps_url)

    @routes.get("/jobs")
    def job_list() -> BaseResponse:
        query = query_of_request("limit", "offset", "status", "processID")
        limit = query.whole_number("limit", 100, 0, MAX_JOBS)
        offset = query.whole_number("offset", 0, 0, 2**31)
        status = query.choice("status", tuple(dict.fromkeys(STATUS.values())))
        states = [key for key, value in STATUS.items() if value == status] if status else None
        process = query.text("processID") or None
        principal = principal_of(request)
        found = jobs.outcomes(principal, states=states, process=process, limit=limit, offset=offset)
        return jsonify(
            jobs=[api.status_info(job) for job in found],
            numberTotal=jobs.count(principal, states=states, process=process),
            links=[{"href": api.addresses.jobs, "rel": "self"}],
        )

    @routes.get("/usage")
    def usage() -> BaseResponse:
        query = query_of_request("since", "until")
        since, until = query.instant("since"), query.instant("until")
        found = jobs.consumption(principal_of(request), since=since, until=until)
        return jsonify(
            usage=[
                {
                    "owner": each.owner,
                    "processID": each.process,
                    "jobs": each.jobs,
                    **_usage(each),
                }
                for each in found
            ]
        )

    @routes.get("/jobs/<job_id>")
    def job(job_id: str) -> BaseResponse:
        principal = principal_of(request)
        found = jobs.with_place(jobs.get(principal, job_id))
        if wants_html():
            return job_page(jobs, principal, api.metadata, api.addresses, found)
        query_of_request()
        info = api.status_info(found)
        info["inputs"] = {
            name: [_input_document(value) for value in values]
            for name, values in found.request.inputs.items()
        }
        if found.error and found.error.log:
            info["exception"]["log"] = found.error.log
        return jsonify(info)

    @routes.delete("/jobs/<job_id>")
    def dismiss(job_id: str) -> BaseResponse:
        return jsonify(api.status_info(jobs.dismiss(principal_of(request), job_id)))

    @routes.get("/jobs/<job_id>/log")
    def log(job_id: str) -> BaseResponse:
        query_of_request()
        return Response(jobs.log_tail(principal_of(request), job_id), mimetype="text/plain")

    @routes.get("/jobs/<job_id>/events")
    def events(job_id: str) -> BaseResponse:
        query_of_request()
        return jsonify(
            events=[
                {"time": _time(event.time), "state": event.state, "message": event.message}
                for event in jobs.events(principal_of(request), job_id)
            ]
        )

    @routes.post("/jobs/<job_id>/progress")
    def progress(job_id: str) -> BaseResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not _is_of_worker(jobs, api.key, job_id, token):
            raise TokenError("this token does not belong to the job", "Authorization")
        report = json_document(MAX_REPORT_BYTES)
        if not isinstance(report, dict):
            raise InvalidValueError("expected {percent: number, message: text}", "body")
        percent = finite(report.get("percent"), "percent")
        message = plain_text(report.get("message"), "message", MAX_REPORT_BYTES)[:500]
        jobs.report(SYSTEM, job_id, min(100.0, max(0.0, percent)), message)
        return Response(status=204)

    return routes
