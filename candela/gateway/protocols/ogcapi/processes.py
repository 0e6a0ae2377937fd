"""Processes: their list, their descriptions, and their execution."""

from flask import Blueprint, request
from werkzeug.wrappers import Response as BaseResponse

from candela.gateway.access.identity import principal_of
from candela.gateway.front.large import release_large_body
from candela.gateway.parameters import json_document, query_of_request
from candela.gateway.protocols.ogcapi.descriptions import description, summary
from candela.gateway.protocols.ogcapi.execute_request import execute_request, request_document
from candela.gateway.protocols.ogcapi.jobs import results_answer
from candela.gateway.protocols.ogcapi.openapi import FORM
from candela.gateway.protocols.ogcapi.operations import Answer, Operation, documented
from candela.gateway.protocols.ogcapi.preferences import ExecutionPreferences
from candela.gateway.protocols.ogcapi.service import BOTH, OgcApi, json_answer
from candela.gateway.protocols.ogcapi.status import input_value, status_info
from candela.gateway.protocols.ogcapi.vocabulary import (
    JOB_LIST,
    JSON,
    PROCESSES,
    TEXT,
    Document,
    link,
    self_links,
)
from candela.gateway.request_preferences import KEY_HEADER, TITLE_HEADER, RequestPreferences
from candela.jobs.principal import Principal
from candela.jobs.request import ExecuteRequest
from candela.spec import ProcessSpec, find_spec

MOST_PROCESSES = 1000
LIMIT: Document = {
    "type": "integer",
    "minimum": 1,
    "maximum": MOST_PROCESSES,
    "default": MOST_PROCESSES,
    "description": "How many are listed, at most.",
}
OFFSET: Document = {
    "type": "integer",
    "minimum": 0,
    "maximum": 2**31,
    "default": 0,
    "description": "How many are left out before.",
}
PREFER = (
    "respond-async: answer at once with the job. wait=N: answer with the results if the job ends "
    "within N seconds. priority=N: more urgent among the jobs of one owner. dry-run: check only."
)
EXECUTION = Operation(
    "execute",
    "Processes",
    "Execute a process.",
    {
        200: Answer(
            "The results of a job that has ended: as asked for, a document, a raw value or parts.",
            "results",
            (JSON, "multipart/related", TEXT, "application/octet-stream"),
            {
                "Link": "With a stated preference: the job, rel=monitor.",
                "Preference-Applied": "The preferences that were followed.",
            },
        ),
        201: Answer(
            "A job was created, and has not ended.",
            "statusInfo",
            headers={"Location": "The job.", "Preference-Applied": "As above."},
        ),
        204: Answer("Raw results by reference.", headers={"Link": "One for each output."}),
    },
    headers={
        "Prefer": PREFER,
        KEY_HEADER: "The same request under the same key is the same job.",
        TITLE_HEADER: "What the job is called in lists; percent-encoded where it is not ASCII.",
    },
    body="execute",
    text="Without a preference the answer is synchronous. A job that does not end while an answer "
    "can be held back goes on: the answer is 201 with its address.",
)
VALIDATION = Operation(
    "validate",
    "Processes",
    "Check an execute document; nothing is executed.",
    {200: Answer("It is valid; defaults are filled in.", "validation")},
    body="execute",
    text="Beyond the standard. References are checked, not fetched. The same as Prefer: dry-run.",
)


def add_process_routes(routes: Blueprint, api: OgcApi) -> None:
    """Add the routes of processes."""
    jobs, addresses = api.jobs, api.addresses

    @routes.get("/processes")
    @documented(
        Operation(
            "getProcesses",
            "Processes",
            "List the processes.",
            {200: Answer("Their summaries", "processList", BOTH)},
            {"limit": LIMIT, "offset": OFFSET, "f": FORM},
        )
    )
    def process_list() -> BaseResponse:
        query = query_of_request("limit", "offset", "f")
        limit = query.whole_number("limit", MOST_PROCESSES, 1, MOST_PROCESSES)
        offset = query.whole_number("offset", 0, 0, 2**31)
        specs = list(jobs.specs.values())
        document = {
            "processes": [summary(spec, addresses) for spec in specs[offset : offset + limit]],
            "numberTotal": len(specs),
            "links": _list_links(f"{addresses.base_url}/processes", limit, offset, len(specs)),
        }
        return api.answer("Processes", document, query, kind="processes")

    @routes.get("/processes/<process_id>")
    @documented(
        Operation(
            "getProcessDescription",
            "Processes",
            "Describe a process.",
            {200: Answer("Its inputs and outputs", "process", BOTH)},
            {"f": FORM},
        )
    )
    def process(process_id: str) -> BaseResponse:
        query = query_of_request("f")
        spec = find_spec(jobs.specs, process_id)
        document = description(spec, addresses)
        document["links"] += [
            link(f"{addresses.base_url}/processes", "up", JSON, "All processes"),
            link(f"{addresses.jobs}?processID={process_id}", JOB_LIST, JSON, "Its jobs"),
        ]
        return api.answer(spec.title, document, query, kind="process")

    @routes.post("/processes/<process_id>/execution")
    @documented(EXECUTION)
    def execution(process_id: str) -> BaseResponse:
        query_of_request()
        spec = find_spec(jobs.specs, process_id)
        preferences = ExecutionPreferences.of(request.headers)
        asked = _asked(api, spec)
        if preferences.is_dry_run:
            return _validation(api, principal_of(request), spec, asked)
        return _executed(api, principal_of(request), spec, asked, preferences)

    @routes.post("/processes/<process_id>/validation")
    @documented(VALIDATION)
    def validation(process_id: str) -> BaseResponse:
        query_of_request()
        spec = find_spec(jobs.specs, process_id)
        return _validation(api, principal_of(request), spec, _asked(api, spec))


def _list_links(address: str, limit: int, offset: int, total: int) -> list[Document]:
    def page(start: int) -> str:
        return f"{address}?limit={limit}&offset={start}"

    links = self_links(page(offset) if offset or limit < MOST_PROCESSES else address)
    if offset + limit < total:
        links.append(link(page(offset + limit), "next", JSON, "The next ones"))
    if offset:
        links.append(link(page(max(0, offset - limit)), "prev", JSON, "The ones before"))
    return [*links, link(address.rpartition("/")[0] + "/", "up", JSON, "The landing page")]


def _asked(api: OgcApi, spec: ProcessSpec) -> ExecuteRequest:
    return execute_request(json_document(api.jobs.limits.max_request_bytes), spec)


def _validation(
    api: OgcApi, principal: Principal, spec: ProcessSpec, asked: ExecuteRequest
) -> BaseResponse:
    found = api.jobs.check(principal, spec.identifier, asked)
    inputs = {name: [input_value(each) for each in values] for name, values in found.inputs.items()}
    return json_answer(
        {
            "processID": spec.identifier,
            "version": spec.version,
            "request": request_document(found, inputs),
            "links": [
                link(f"{api.addresses.base_url}/processes", PROCESSES, JSON, "All processes"),
                link(api.addresses.process(spec.identifier), "process", JSON, spec.title),
            ],
        }
    )


def _executed(
    api: OgcApi,
    principal: Principal,
    spec: ProcessSpec,
    asked: ExecuteRequest,
    preferences: ExecutionPreferences,
) -> BaseResponse:
    """Make a job of a request, and answer with its results or with its address."""
    job = api.jobs.submit(
        principal,
        spec.identifier,
        asked,
        mode="async" if preferences.is_async else "sync",
        **RequestPreferences.of(request.headers)._asdict(),
    )
    del asked
    release_large_body(request.environ)
    held_s = preferences.held_s(api.waiting.sync_timeout_s)
    held = api.waiting.for_a_while(principal, job, held_s) if held_s else None
    is_answered_async = held is None or not held.state.is_final
    job = held or job
    if is_answered_async:
        response = json_answer(status_info(job, spec, api.addresses), status=201)
        response.headers["Location"] = api.addresses.job(job.id)
    else:
        response = results_answer(api, job)
        if preferences.is_stated:
            # NOTE: ets-ogcapi-processes10 takes the address for a bare one, without the <> that
            # RFC 8288 asks for, and states no preference where it looks for this header.
            response.headers.add("Link", f"<{api.addresses.job(job.id)}>; rel=monitor")
    if applied := preferences.applied(is_answered_async=is_answered_async):
        response.headers["Preference-Applied"] = applied
    return response
