"""The WPS 2.0 endpoint."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Request, Response, request
from werkzeug.wrappers import Response as BaseResponse

from candela.contract.job import Box, Failure
from candela.errors import NotFoundError, ResultNotReadyError
from candela.gateway.access.browsers import OF_OURS, Sites, refuse_other_sites
from candela.gateway.access.identity import principal_of
from candela.gateway.front.large import release_large_body
from candela.gateway.outputs import file_response
from candela.gateway.problems import problem_of_failure
from candela.gateway.protocols.waiting import Waiting
from candela.gateway.protocols.wps20 import describe
from candela.gateway.protocols.wps20.exceptions import REPORTS
from candela.gateway.protocols.wps20.request import Execute, operation_of, spec_of
from candela.gateway.protocols.wps20.results import (
    raw_output,
    result,
    status_info,
    value_element,
)
from candela.gateway.protocols.wps20.xml import TEXT
from candela.gateway.protocols.xml import MEDIA_TYPE, clean, document
from candela.gateway.request_preferences import RequestPreferences
from candela.gateway.results import Addresses, JobOutput, literal_text
from candela.jobs.model import Job, State, now
from candela.jobs.principal import Principal
from candela.jobs.service import JobService
from candela.jobs.tombstones import check_kept
from candela.settings import Metadata, Settings

ASK_ASYNCHRONOUSLY = "please ask asynchronously (mode=async)"
YOUNG = dt.timedelta(seconds=10)  # a job whose first GetStatus waits for a moment
RESULT_GRACES = 4  # graces that GetResult waits


class Wps20:
    """WPS 2.0 on the job store."""

    def __init__(
        self, jobs: JobService, metadata: Metadata, settings: Settings, waiting: Waiting
    ) -> None:
        self.reports = REPORTS
        self._jobs = jobs
        self._sites = Sites.of(settings)
        self._waiting = waiting
        self._endpoint = f"{settings.base_url}/wps"
        self._addresses = Addresses(settings.base_url)
        self._metadata = metadata
        self._capabilities: dict[str, tuple[int, bytes]] = {}  # with the number of the processes

    def call(self, http_request: Request, *, endpoint: str = "") -> BaseResponse:
        """Answer any request.

        The capabilities lead to ``endpoint``, where it is another address than our own.

        Raises
        ------
        PublicError, StorageError
            What becomes an exception report.
        """
        asked = operation_of(http_request, self._jobs.specs, self._jobs.limits.max_request_bytes)
        principal = principal_of(http_request)
        if asked.execute is not None:
            refuse_other_sites(self._sites)
            return self._execute(principal, http_request, asked.execute)
        if asked.name == "GetCapabilities":
            return _own(self._capabilities_at(endpoint or self._endpoint))
        if asked.name == "DescribeProcess":
            return self._describe(asked.identifiers)
        if asked.name == "GetStatus":
            return self._status(principal, asked.job)
        if asked.name == "GetResult":
            return self._result(principal, asked.job)
        refuse_other_sites(self._sites)
        with _called_job_id():
            return _xml(document(status_info(self._jobs.dismiss(principal, asked.job))))

    def _capabilities_at(self, endpoint: str) -> bytes:
        """Return the capabilities; they are written when the processes have changed."""
        specs = self._jobs.specs
        written, content = self._capabilities.get(endpoint, (None, b""))
        if written != specs.number:
            written = specs.number
            content = document(describe.capabilities(specs.values(), self._metadata, endpoint))
            self._capabilities[endpoint] = (written, content)
        return content

    def _describe(self, identifiers: tuple[str, ...]) -> BaseResponse:
        specs = self._jobs.specs
        is_all = [name.upper() for name in identifiers] == ["ALL"]
        names = list(specs) if is_all else identifiers
        return _own(document(describe.offerings(spec_of(specs, name) for name in names)))

    def _execute(self, principal: Principal, http_request: Request, asked: Execute) -> BaseResponse:
        """Answer Execute: the job is on disk before anything is said about it."""
        if asked.mode == "sync":
            job = self._waiting.for_the_end(
                principal,
                lambda: self._submit(principal, http_request, asked),
                ASK_ASYNCHRONOUSLY,
            )
            return self._answer(job)
        job = self._waiting.for_a_moment(principal, self._submit(principal, http_request, asked))
        if asked.mode == "auto" and job.state.is_final:
            return self._answer(job)
        return _xml(document(status_info(job)))

    def _submit(self, principal: Principal, http_request: Request, asked: Execute) -> Job:
        """Make a job of a request, which is let go: nobody holds its inputs while the job runs."""
        preferences = RequestPreferences.of(http_request.headers)
        job = self._jobs.submit(
            principal,
            asked.process,
            asked.release(),
            mode="sync" if asked.mode == "sync" else "async",
            **preferences._asdict(),
        )
        release_large_body(request.environ)
        return job

    def _status(self, principal: Principal, job_id: str) -> BaseResponse:
        with _called_job_id():
            job = self._jobs.get(principal, job_id)
        if now() - job.created < YOUNG:
            job = self._waiting.for_a_moment(principal, job)
        return _xml(document(status_info(job)))

    def _result(self, principal: Principal, job_id: str) -> BaseResponse:
        with _called_job_id():
            job = self._jobs.get(principal, job_id)
        timeout_s = RESULT_GRACES * self._waiting.grace_s
        job = self._waiting.for_a_moment(principal, job, timeout_s)
        if not job.state.is_final:
            raise ResultNotReadyError(f"job {job.id} has not ended yet ({job.state})", "JobID")
        return self._answer(job)

    def _answer(self, job: Job) -> BaseResponse:
        """Answer with what came of a job that has ended."""
        if job.state is State.FAILED:
            error = job.error or Failure(kind="PublicError", message=job.message)
            return REPORTS.refuse(problem_of_failure(error))
        check_kept(job)
        spec = self._jobs.spec(job)
        if job.request.response == "raw" and len(job.request.outputs) == 1:
            return self._raw(job, raw_output(job, spec, self._addresses))
        return _xml(document(result(job, spec, self._jobs.storage, self._addresses)))

    def _raw(self, job: Job, output: JobOutput) -> BaseResponse:
        if output.file:
            return file_response(self._jobs.storage, job.id, output.file)
        if output.value is None:
            return Response(output.href, mimetype=TEXT)
        requested = job.request.outputs[output.name].media_type
        if requested == TEXT and not isinstance(output.value, Box):
            return Response(clean(literal_text(output.value)), mimetype=TEXT)
        return _xml(document(value_element(output.value)))


@contextmanager
def _called_job_id() -> Iterator[None]:
    """Name the parameter that a job was asked for by as WPS 2.0 does."""
    try:
        yield
    except NotFoundError as error:
        error.locator = "JobID"
        raise


def _xml(content: bytes) -> BaseResponse:
    return Response(content, content_type=MEDIA_TYPE)


def _own(content: bytes) -> BaseResponse:
    """Answer with a document that holds nothing of users."""
    response = _xml(content)
    response.headers["Content-Disposition"] = OF_OURS
    return response
