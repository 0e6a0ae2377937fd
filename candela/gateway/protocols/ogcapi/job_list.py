"""The list of jobs: its filters, and pages that stay the same while jobs arrive."""

from urllib.parse import urlencode

from flask import Blueprint, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from candela.gateway.access.identity import principal_of
from candela.gateway.parameters import QueryParameters, query_of_request
from candela.gateway.protocols.ogcapi.openapi import FORM
from candela.gateway.protocols.ogcapi.operations import Answer, Operation, documented
from candela.gateway.protocols.ogcapi.schemas import TEXT, listed
from candela.gateway.protocols.ogcapi.service import BOTH, OgcApi
from candela.gateway.protocols.ogcapi.status import status_info
from candela.gateway.protocols.ogcapi.vocabulary import JSON, Document, link, self_links
from candela.gateway.results import STATUS, states_of
from candela.jobs.listing import LONGEST_S, MOST_LISTED, PROCESS, JobQuery, TimeInterval

WORDS = tuple(dict.fromkeys(STATUS.values()))
LISTS = ("type", "processID", "status")
DURATION: Document = {"type": "integer", "minimum": 0, "maximum": int(LONGEST_S)}
LIST_PARAMETERS: dict[str, Document] = {
    "type": listed({"type": "string", "enum": [PROCESS]}) | {"description": "What is executed."},
    "processID": listed(TEXT) | {"description": "Only jobs of these processes."},
    "status": listed({"type": "string", "enum": list(WORDS)})
    | {"description": "Only jobs of these statuses."},
    "datetime": TEXT
    | {"description": "When they were created: a time, or an interval such as 2026-01-31/.."},
    "minDuration": DURATION | {"description": "How long they have run at least, in seconds."},
    "maxDuration": DURATION | {"description": "How long they have run at most, in seconds."},
    "bbox": listed({"type": "number"})
    | {
        "minItems": 4,
        "maxItems": 4,
        "description": "West, south, east and north edge in degrees, which their results touch "
        "(beyond the standard).",
    },
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_LISTED,
        "default": 100,
        "description": "How many are listed, at most.",
    },
    "token": TEXT | {"description": "Of the page before: follow the link next."},
    "f": FORM,
}


def add_job_list(routes: Blueprint, api: OgcApi) -> None:
    """Add the route of the list."""
    jobs, addresses = api.jobs, api.addresses

    @routes.get("/jobs")
    @documented(
        Operation(
            "getJobs",
            "Jobs",
            "List the jobs, the newest first.",
            {200: Answer("Their status", "jobList", BOTH)},
            LIST_PARAMETERS,
        )
    )
    def job_list() -> BaseResponse:
        query = query_of_request(*LIST_PARAMETERS, lists=LISTS)
        wanted = _job_query(query)
        principal = principal_of(request)
        page = jobs.page(principal, wanted)
        document = {
            "jobs": [status_info(job, api.spec(job), addresses) for job in page.jobs],
            "numberTotal": jobs.matches(principal, wanted),
            "links": _list_links(addresses.jobs, query.given, page.next_token),
        }
        return api.answer("Jobs", document, query, kind="jobs")


def _job_query(query: QueryParameters) -> JobQuery:
    """Return which jobs are asked for."""

    def seconds(name: str) -> int | None:
        return query.whole_number(name, 0, 0, int(LONGEST_S)) if name in query else None

    edges = query.numbers("bbox", 4) if "bbox" in query else None
    return JobQuery(
        types=query.choices("type", (PROCESS,)) or None,
        processes=query.texts("processID") or None,
        states=states_of(query.choices("status", WORDS)) or None,
        created=TimeInterval.parse(query.text("datetime"))
        if "datetime" in query
        else TimeInterval(),
        min_duration_s=seconds("minDuration"),
        max_duration_s=seconds("maxDuration"),
        bbox=(edges[0], edges[1], edges[2], edges[3]) if edges else None,
        limit=query.whole_number("limit", 100, 1, MOST_LISTED),
        token=query.text("token"),
    )


def _list_links(address: str, query: MultiDict[str, str], next_token: str) -> list[Document]:
    def page(**changes: str) -> str:
        pairs = [pair for pair in query.items(multi=True) if pair[0] not in changes]
        text = urlencode([*pairs, *changes.items()])
        return f"{address}?{text}" if text else address

    links = self_links(page())
    if next_token:
        links.append(link(page(token=next_token), "next", JSON, "Older jobs"))
    if "token" in query:
        first = [pair for pair in query.items(multi=True) if pair[0] != "token"]
        href = f"{address}?{urlencode(first)}" if first else address
        links.append(link(href, "first", JSON, "The newest jobs"))
    return [*links, link(address.rpartition("/")[0] + "/", "up", JSON, "The landing page")]
