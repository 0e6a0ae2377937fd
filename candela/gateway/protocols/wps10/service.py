"""The WPS 1.0.0 endpoint: PyWPS's service with our engine and our documents."""

from contextlib import suppress

from flask import Blueprint, Response, request
from pywps import Service
from pywps.exceptions import NoApplicableCode
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as BaseResponse

from candela.contract.job import Box, Failure
from candela.errors import (
    InvalidValueError,
    MissingValueError,
    NotFoundError,
    UnavailableError,
)
from candela.gateway.access.browsers import OF_OURS, Sites, refuse_other_sites
from candela.gateway.access.identity import principal_of
from candela.gateway.front.large import release_large_body
from candela.gateway.outputs import file_response
from candela.gateway.problems import problem_of_failure
from candela.gateway.protocols.reports import answer_in_reports
from candela.gateway.protocols.waiting import Waiting
from candela.gateway.protocols.wps10 import describe
from candela.gateway.protocols.wps10.exceptions import REPORTS, problem_of_pywps
from candela.gateway.protocols.wps10.execute import execute_response
from candela.gateway.protocols.wps10.request import Wps10Request
from candela.gateway.protocols.xml import MEDIA_TYPE, clean, document
from candela.gateway.request_preferences import RequestPreferences
from candela.gateway.results import Addresses, literal_text, outputs_of
from candela.jobs.model import Job, State
from candela.jobs.principal import Principal
from candela.jobs.service import JobService
from candela.jobs.tombstones import check_kept
from candela.settings import Metadata, Settings
from candela.spec import find_spec

ASK_ASYNCHRONOUSLY = "please ask asynchronously (storeExecuteResponse=true, status=true)"


class Wps10(Service):  # type: ignore[misc]  # PyWPS has no types
    """WPS 1.0.0 on the job store.

    Of PyWPS's service only the frame is used: its engine forks the web server and loses jobs.
    """

    def __init__(
        self, jobs: JobService, metadata: Metadata, settings: Settings, waiting: Waiting
    ) -> None:
        super().__init__()
        self.reports = REPORTS
        self._jobs = jobs
        self._sites = Sites.of(settings)
        self._settings = settings
        self._addresses = Addresses(settings.base_url)
        self._metadata = metadata
        self._capabilities: dict[str, tuple[int, bytes]] = {}  # with the number of the processes
        self._waiting = waiting

    def _capabilities_at(self, endpoint: str) -> bytes:
        """Return the capabilities; they are written when the processes have changed."""
        number = self._jobs.specs.number
        written, content = self._capabilities.get(endpoint, (None, b""))
        if written != number:
            content = document(describe.capabilities(self._jobs.specs, self._metadata, endpoint))
            self._capabilities[endpoint] = (number, content)
        return content

    def call(self, http_request: Request, *, endpoint: str = "") -> BaseResponse:
        """Answer any request.

        The capabilities lead to ``endpoint``, where it is another address than our own.

        Raises
        ------
        PublicError, StorageError
            What becomes an exception report.
        """
        try:
            wps_request = Wps10Request(
                http_request, self._jobs.specs, self._jobs.limits.max_request_bytes
            )
        except NoApplicableCode as error:
            return REPORTS.refuse(problem_of_pywps(error))
        if wps_request.operation == "getcapabilities":
            own = f"{self._settings.base_url}/wps"
            return _own(_xml(self._capabilities_at(endpoint or own)))
        if wps_request.operation == "describeprocess":
            return self.describe_processes(wps_request.identifiers)
        return self.execute_job(wps_request)

    def describe_processes(self, identifiers: list[str] | None) -> BaseResponse:
        """Answer DescribeProcess."""
        specs = self._jobs.specs
        names = list(dict.fromkeys(name for name in identifiers or [] if name))
        if not names:
            raise MissingValueError("the identifier of a process is missing", "Identifier")
        if [name.lower() for name in names] == ["all"]:
            names = list(specs)
        found = [find_spec(specs, name) for name in names]
        return _own(_xml(document(describe.descriptions(found))))

    def execute_job(self, wps_request: Wps10Request) -> BaseResponse:
        """Answer Execute: the job is on disk before anything is said about it."""
        refuse_other_sites(self._sites)
        assert wps_request.execute_request is not None  # the parser knows three operations
        principal = principal_of(wps_request.http_request)
        is_raw = wps_request.execute_request.request.response == "raw"
        if wps_request.execute_request.is_async:
            job = self._submit(principal, wps_request)
            return self.status(self._waiting.for_a_moment(principal, job))
        job = self._waiting.for_the_end(
            principal, lambda: self._submit(principal, wps_request), ASK_ASYNCHRONOUSLY
        )
        return self._raw(job) if is_raw else self.status(job)

    def _submit(self, principal: Principal, wps_request: Wps10Request) -> Job:
        """Make a job of a request, which is let go: nobody holds its inputs while the job runs."""
        asked, wps_request.execute_request = wps_request.execute_request, None
        assert asked is not None
        preferences = RequestPreferences.of(wps_request.http_request.headers)
        mode = "async" if asked.is_async else "sync"
        job = self._jobs.submit(
            principal, asked.process, asked.request, mode=mode, **preferences._asdict()
        )
        del asked
        release_large_body(request.environ)
        return job

    def status(self, job: Job) -> BaseResponse:
        """Answer with the status document of a job.

        Raises
        ------
        JobExpiredError
            If it has succeeded and its results are removed.
        """
        if job.state is State.SUCCEEDED:
            check_kept(job)
        with suppress(UnavailableError):  # what is known of the job already is the answer then
            job = self._jobs.with_place(job)
        if job.request.lineage:
            job = self._jobs.with_inputs(job)
        spec = self._jobs.spec(job)
        return _xml(document(execute_response(job, spec, self._jobs.storage, self._addresses)))

    def _raw(self, job: Job) -> BaseResponse:
        if job.state is not State.SUCCEEDED:
            error = job.error or Failure(kind="PublicError", message=job.message)
            return REPORTS.refuse(problem_of_failure(error))
        (name,) = job.request.outputs
        output = outputs_of(job, self._jobs.spec(job), self._addresses).get(name)
        if output is None:
            raise NotFoundError(f"output {name!r} was not made by these inputs", name)
        if output.file:
            return file_response(self._jobs.storage, job.id, output.file)
        if isinstance(output.value, Box):
            raise InvalidValueError(f"output {name!r} is a bounding box, it has no raw form", name)
        text = output.href if output.value is None else clean(literal_text(output.value))
        return Response(text, mimetype="text/plain")


def _xml(content: bytes) -> BaseResponse:
    return Response(content, content_type=MEDIA_TYPE)


def _own(response: BaseResponse) -> BaseResponse:
    """Mark a document that holds nothing of users."""
    response.headers["Content-Disposition"] = OF_OURS
    return response


def blueprint(service: Wps10, jobs: JobService) -> Blueprint:
    """Return the route of status documents."""
    routes = Blueprint("wps10", __name__)

    @routes.get("/wps/status/<job_id>")
    def status(job_id: str) -> BaseResponse:
        return service.status(jobs.get(principal_of(request), job_id))

    answer_in_reports(routes, lambda: REPORTS)
    return routes
