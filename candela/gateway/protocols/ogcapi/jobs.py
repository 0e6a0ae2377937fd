"""Jobs: their list, their status, their results and their end."""

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from candela.contract.job import Failure
from candela.errors import NotFoundError, ResultNotReadyError
from candela.gateway.access.identity import principal_of
from candela.gateway.parameters import query_of_request
from candela.gateway.problems import json_response, problem_of_failure
from candela.gateway.protocols.ogcapi.execute_request import request_document
from candela.gateway.protocols.ogcapi.openapi import FORM
from candela.gateway.protocols.ogcapi.operations import Answer, Operation, documented
from candela.gateway.protocols.ogcapi.result_documents import Results
from candela.gateway.protocols.ogcapi.service import BOTH, OgcApi, is_page, json_answer
from candela.gateway.protocols.ogcapi.status import (
    estimate_document,
    event_document,
    input_value,
    job_usage,
    output_value,
    status_info,
    whole_status,
)
from candela.gateway.protocols.ogcapi.vocabulary import (
    EXECUTE,
    JSON,
    TEXT,
)
from candela.gateway.results import STATUS, outputs_of
from candela.jobs.model import Job, State
from candela.jobs.request import ExecuteRequest, OutputRequest
from candela.jobs.tombstones import check_kept


def results_answer(api: OgcApi, job: Job) -> BaseResponse:
    """Answer with the results of a job, or with the error that it ended with.

    Raises
    ------
    ResultNotReadyError, GoneError
        If it has not ended, or its results were removed.
    """
    if job.error is not None and job.state is State.FAILED:
        return _failure(job.error)
    return _results(api, job, job.request).response()


def _failure(failure: Failure) -> BaseResponse:
    """Answer with the error of a job; an internal one is the server's."""
    problem = problem_of_failure(failure)
    if failure.kind == "InternalError":
        problem = problem._replace(kind=problem.kind._replace(status=500))
    return json_response(problem)


def _results(api: OgcApi, job: Job, asked: ExecuteRequest) -> Results:
    check_kept(job)
    if job.state is not State.SUCCEEDED:
        raise ResultNotReadyError(f"job {job.id} is {STATUS[job.state]}: {job.message}")
    outputs = outputs_of(job, api.spec(job), api.addresses)
    return Results(job, asked, outputs, api.jobs.storage, api.addresses)


def add_job_routes(routes: Blueprint, api: OgcApi) -> None:
    """Add the routes of jobs."""
    _add_status_routes(routes, api)
    _add_result_routes(routes, api)
    _add_further_routes(routes, api)


def _add_status_routes(routes: Blueprint, api: OgcApi) -> None:
    jobs, addresses = api.jobs, api.addresses

    @routes.get("/jobs/<job_id>")
    @documented(
        Operation(
            "getStatus",
            "Jobs",
            "The status of a job.",
            {200: Answer("Its status, inputs without contents, outputs", "statusInfo", BOTH)},
            {"f": FORM},
        )
    )
    def status(job_id: str) -> BaseResponse:
        principal = principal_of(request)
        query = query_of_request("f")
        job = jobs.get(principal, job_id)
        estimate = jobs.estimate(job)
        placed = jobs.with_place(job, estimate)
        if is_page(query):
            return api.pages.job(principal, placed)
        info = whole_status(placed, api.spec(job), addresses)
        if job.state.is_final and (used := jobs.usage(principal, job_id)):
            info["usage"] = info.get("usage", {}) | job_usage(used)
        return json_answer(info | estimate_document(estimate))

    @routes.delete("/jobs/<job_id>")
    @documented(
        Operation(
            "dismiss",
            "Jobs",
            "Dismiss a job: end it, or remove what is left of one that has ended.",
            {200: Answer("Its last status", "statusInfo")},
        )
    )
    def dismiss(job_id: str) -> BaseResponse:
        query_of_request()
        job = jobs.dismiss(principal_of(request), job_id)
        return json_answer(status_info(job, api.spec(job), addresses))


def _add_result_routes(routes: Blueprint, api: OgcApi) -> None:
    jobs = api.jobs

    @routes.get("/jobs/<job_id>/results")
    @documented(
        Operation(
            "getResult",
            "Results",
            "The results of a job, in the form that its request asked for.",
            {
                200: Answer(
                    "A document, a raw value, or parts",
                    "results",
                    (*BOTH, "multipart/related", TEXT, "application/octet-stream"),
                ),
                204: Answer("Raw by reference", headers={"Link": "One for each output."}),
            },
            {"f": FORM},
            text="404 with the type result-not-ready while the job has not ended, 410 after it was "
            "dismissed; the error of a job that failed.",
        )
    )
    def results(job_id: str) -> BaseResponse:
        query = query_of_request("f")
        job = jobs.get(principal_of(request), job_id)
        if is_page(query) and job.state is State.SUCCEEDED:
            outputs = outputs_of(job, api.spec(job), api.addresses)
            document = {name: output_value(output) for name, output in outputs.items()}
            return api.pages.document(f"Results of {job.title or job.process}", document)
        return results_answer(api, job)

    @routes.get("/jobs/<job_id>/results/<output>")
    @documented(
        Operation(
            "getOutput",
            "Results",
            "One output of a job, as it is.",
            {
                200: Answer("Its value", "text", (TEXT, JSON, "application/octet-stream")),
                204: Answer("A layer", headers={"Link": "Where it is served."}),
            },
            text="Beyond the standard.",
        )
    )
    def output(job_id: str, output: str) -> BaseResponse:
        query_of_request()
        job = jobs.get(principal_of(request), job_id)
        if job.error is not None and job.state is State.FAILED:
            return _failure(job.error)
        wanted = {output: OutputRequest(transmission_mode="value")}
        asked = ExecuteRequest(outputs=wanted, response="raw")
        try:
            return _results(api, job, asked).response()
        except NotFoundError as error:
            if type(error) is not NotFoundError:
                raise
            raise NotFoundError(f"job {job.id} has no output {output!r}") from None


def _add_further_routes(routes: Blueprint, api: OgcApi) -> None:
    """Add what is beyond the standard."""
    jobs = api.jobs

    @routes.get("/jobs/<job_id>/request")
    @documented(
        Operation(
            "getRequest",
            "Jobs",
            "The execute document of a job, to be sent again with changes.",
            {200: Answer("The document, with defaults filled in", "execute", BOTH)},
            {"f": FORM},
            text="Beyond the standard. Addresses stand there without user, password and query: "
            "what may be secret in them is shown to nobody.",
        )
    )
    def execute_document(job_id: str) -> BaseResponse:
        query = query_of_request("f")
        job = jobs.with_inputs(jobs.get(principal_of(request), job_id))
        inputs = {
            name: [input_value(value) for value in values]
            for name, values in job.request.inputs.items()
        }
        document = request_document(job.request, inputs)
        if is_page(query):
            return api.pages.document(f"The request of {job.title or job.process}", document)
        answer = json_answer(document)
        execution = f"{api.addresses.process(job.process)}/execution"
        answer.headers["Link"] = f'<{execution}>; rel="{EXECUTE}"'
        return answer

    @routes.get("/jobs/<job_id>/log")
    @documented(
        Operation(
            "getLog",
            "Jobs",
            "The end of the log of a job.",
            {200: Answer("Lines", "text", (TEXT,))},
            text="Beyond the standard.",
        )
    )
    def log(job_id: str) -> BaseResponse:
        query_of_request()
        return Response(jobs.log_tail(principal_of(request), job_id), mimetype=TEXT)

    @routes.get("/jobs/<job_id>/events")
    @documented(
        Operation(
            "getEvents",
            "Jobs",
            "What happened to a job, in order.",
            {200: Answer("Events", "events", BOTH)},
            {"f": FORM},
            text="Beyond the standard.",
        )
    )
    def events(job_id: str) -> BaseResponse:
        query = query_of_request("f")
        found = jobs.events(principal_of(request), job_id)
        document = {"events": [event_document(event) for event in found]}
        return api.answer("Events", document, query)
