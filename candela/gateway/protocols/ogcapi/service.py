"""What the routes of OGC API - Processes share, and its first pages: /, /conformance and /api."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from flask import Blueprint, Response, current_app, request
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import NoSuchProcessError
from candela.gateway.access.browsers import wants_html
from candela.gateway.access.identity import principal_of
from candela.gateway.parameters import QueryParameters, query_of_request
from candela.gateway.protocols.ogcapi.openapi import FORM, Route, openapi_document
from candela.gateway.protocols.ogcapi.operations import (
    OPERATION,
    Answer,
    Operation,
    documented,
)
from candela.gateway.protocols.ogcapi.vocabulary import (
    CONFORMANCE,
    CONFORMS_TO,
    HTML,
    JOB_LIST,
    JSON,
    OPENAPI,
    PROCESSES,
    XML,
    Document,
    link,
    self_links,
)
from candela.gateway.protocols.waiting import Waiting
from candela.gateway.results import Addresses
from candela.jobs.model import Job, JobSummary
from candela.jobs.principal import Principal
from candela.jobs.service import JobService
from candela.settings import Metadata
from candela.spec import ProcessSpec

BOTH = (JSON, HTML)


class Pages(Protocol):
    """Writes for people what the routes answer."""

    def landing(self, principal: Principal) -> BaseResponse:
        """Draw the landing page."""

    def job(self, principal: Principal, job: Job) -> BaseResponse:
        """Draw the page of a job."""

    def document(self, title: str, document: Document, *, kind: str = "document") -> BaseResponse:
        """Draw any other document by its kind, such as ``jobs``; without one, its members."""


@dataclass(frozen=True)
class OgcApi:
    """OGC API - Processes on the job store."""

    jobs: JobService
    metadata: Metadata
    addresses: Addresses
    pages: Pages
    waiting: Waiting

    def spec(self, job: JobSummary) -> ProcessSpec | None:
        """Return the process of a job; None where that of an old job is offered no more."""
        try:
            return self.jobs.spec(job)
        except NoSuchProcessError:
            return None

    def answer(
        self, title: str, document: Document, query: QueryParameters, *, kind: str = "document"
    ) -> BaseResponse:
        """Answer with a document, or with its page."""
        if is_page(query):
            return self.pages.document(title, document, kind=kind)
        return json_answer(document)

    def landing(self) -> Document:
        """Return the landing page (landingPage.yaml)."""
        base = self.addresses.base_url
        return {
            "title": self.metadata.title,
            "description": self.metadata.abstract,
            "links": [
                *self_links(f"{base}/", "This document"),
                link(f"{base}/api", "service-desc", OPENAPI, "The API, as OpenAPI 3.0"),
                link(f"{base}/api?f=html", "service-doc", HTML, "The API, for people"),
                link(f"{base}/conformance", CONFORMANCE, JSON, "Conformance classes"),
                link(f"{base}/conformance", "conformance", JSON, "Conformance classes"),
                link(f"{base}/processes", PROCESSES, JSON, "Processes"),
                link(f"{base}/jobs", JOB_LIST, JSON, "Jobs"),
                link(f"{base}/stac", "related", JSON, "Results as a STAC catalogue"),
                link(f"{base}/wps?service=WPS&request=GetCapabilities", "alternate", XML, "WPS"),
            ],
        }


def is_page(query: QueryParameters) -> bool:
    """Tell whether the answer is to be a page: as ``f`` says, or else the Accept header."""
    if "f" not in query:
        return wants_html()
    return query.choice("f", ("json", "html"), default="json") == "html"


def json_answer(document: Document, *, status: int = 200, media_type: str = JSON) -> BaseResponse:
    """Answer with JSON; members keep their order."""
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Response(content, status=status, content_type=media_type)


def routes_of_application() -> Iterator[Route]:
    """Yield the described routes of the application that answers."""
    for rule in current_app.url_map.iter_rules():
        operation = getattr(current_app.view_functions[rule.endpoint], OPERATION, None)
        if operation is not None:
            (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            yield Route(method, rule.rule, operation)


def add_service_routes(routes: Blueprint, api: OgcApi) -> None:
    """Add the landing page, the conformance classes and the OpenAPI document."""

    @routes.get("/")
    @documented(
        Operation(
            "getLandingPage",
            "Service",
            "Where everything is.",
            {200: Answer("Links", "landingPage", BOTH)},
            {"f": FORM},
        )
    )
    def landing() -> BaseResponse:
        if is_page(query_of_request("f")):
            return api.pages.landing(principal_of(request))
        return json_answer(api.landing())

    @routes.get("/conformance")
    @documented(
        Operation(
            "getConformanceClasses",
            "Service",
            "The conformance classes of the standards.",
            {200: Answer("Their URIs", "confClasses", BOTH)},
            {"f": FORM},
        )
    )
    def conformance() -> BaseResponse:
        document = {"conformsTo": list(CONFORMS_TO)}
        return api.answer("Conformance", document, query_of_request("f"))

    @routes.get("/api")
    @documented(
        Operation(
            "getApi",
            "Service",
            "This document.",
            {200: Answer("The OpenAPI document", "text", (OPENAPI, HTML))},
            {"f": FORM},
        )
    )
    def openapi() -> BaseResponse:
        document = openapi_document(
            routes_of_application(), api.jobs.specs, api.metadata, api.addresses.base_url
        )
        if is_page(query_of_request("f")):
            return api.pages.document("The API", document, kind="api")
        return json_answer(document, media_type=OPENAPI)
