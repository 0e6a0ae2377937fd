"""The landing page and the page of a job: what the job service knows, for people."""

from dataclasses import dataclass, fields
from typing import Any

from candela.contract.job import Box, Inline, Reference, StoredValue, Value
from candela.contract.names import address_name, without_secrets
from candela.errors import NoSuchProcessError, PublisherAwayError
from candela.gateway.access.browsers import Page
from candela.gateway.console import PageLink, PageOutput, PageValue, file_size, page
from candela.gateway.problems import problem_of_failure
from candela.gateway.results import Addresses, JobOutput, literal_text, outputs_of
from candela.jobs.model import Job, JobOutcome, JobSummary
from candela.jobs.principal import Principal
from candela.jobs.service import JobService
from candela.publish.base import ServedLayer
from candela.settings import Metadata
from candela.spec import ProcessSpec

NEWEST_JOBS = 20
INLINE_SHOWN = 200  # characters of an inline value

LINKS = (
    PageLink("/wps?service=WPS&request=GetCapabilities", "WPS", "What a WPS client reads first"),
    PageLink("/ows?service=WMS&request=GetCapabilities", "WMS", "All layers as maps"),
    PageLink("/ows?service=WCS&request=GetCapabilities", "WCS", "All layers as coverages"),
    PageLink("/ows?service=WFS&request=GetCapabilities", "WFS", "All layers of polygons"),
    PageLink("/api?f=html", "API", "OGC API - Processes, for programs"),
    PageLink("/jobs?f=html", "Jobs", "All jobs"),
)


@dataclass(frozen=True)
class JobPages:
    """Draws for people what the routes of jobs and processes answer."""

    jobs: JobService
    metadata: Metadata
    addresses: Addresses
    maps_url: str

    def landing(self, principal: Principal) -> Page:
        """Draw the landing page."""
        return landing_page(
            self.jobs, principal, self.metadata, self.addresses.base_url, self.maps_url
        )

    def job(self, principal: Principal, job: Job) -> Page:
        """Draw the page of a job."""
        return job_page(self.jobs, principal, self.metadata, self.addresses, job)

    def document(self, title: str, document: dict[str, Any], *, kind: str = "document") -> Page:
        """Draw any other document by its kind, such as ``jobs``; without one, its members."""
        return page(f"{kind}.html", metadata=self.metadata, title=title, document=document)


def landing_page(
    jobs: JobService, principal: Principal, metadata: Metadata, base_url: str, maps_url: str
) -> Page:
    """Draw the landing page."""
    return page(
        "landing.html",
        metadata=metadata,
        specs=jobs.specs,
        jobs=[_shown(job) for job in jobs.newest(principal, NEWEST_JOBS)],
        job_count=jobs.count(principal),
        links=LINKS,
        base_url=base_url,
        maps_url=maps_url,
    )


def job_page(
    jobs: JobService, principal: Principal, metadata: Metadata, addresses: Addresses, job: Job
) -> Page:
    """Draw the page of a job."""
    try:
        spec = jobs.spec(job)
    except NoSuchProcessError:  # of a job of an earlier version
        spec = None
    return page(
        "job.html",
        metadata=metadata,
        job=_shown(job),
        spec=spec,
        inputs=[
            _input(name, spec, value)
            for name, values in job.request.inputs.items()
            for value in values
        ],
        outputs=[_output(output) for output in outputs_of(job, spec, addresses).values()],
        layers=_layers(jobs, job),
        log=jobs.log_tail(principal, job.id),
    )


def _layers(jobs: JobService, job: JobOutcome) -> list[ServedLayer]:
    """Return a job's layers; the page does without them while the map server is away."""
    try:
        served = jobs.publisher.layers() if job.links else []
    except PublisherAwayError:
        return []
    return [layer for layer in served if layer.job_id == job.id]


def _shown(job: JobSummary) -> dict[str, Any]:
    problem = problem_of_failure(job.error) if job.error else None
    return {
        **{each.name: getattr(job, each.name) for each in fields(JobSummary)},
        "state": str(job.state),
        "error_code": problem.code if problem else None,
        "error_message": problem.detail if problem else None,
    }


def _input(name: str, spec: ProcessSpec | None, value: Value) -> PageValue:
    title = spec.inputs[name].title if spec and name in spec.inputs else name
    if isinstance(value, Reference):
        shown = without_secrets(value.href)
        is_whole = shown == value.href and shown.startswith(("http://", "https://"))
        return PageValue(name, title, address_name(shown) or shown, shown if is_whole else None)
    if isinstance(value, Inline):
        more = " …" if len(value.value) > INLINE_SHOWN else ""
        return PageValue(name, title, value.value[:INLINE_SHOWN] + more)
    if isinstance(value, StoredValue):
        return PageValue(name, title, f"inline, {file_size(value.size)}")
    if isinstance(value, Box):
        return PageValue(name, title, _box(value))
    return PageValue(name, title, literal_text(value))


def _box(box: Box) -> str:
    return f"{', '.join(f'{number:g}' for number in box.bbox)} ({box.crs})"


def _output(output: JobOutput) -> PageOutput:
    name, title, media_type = output.name, output.title, output.media_type
    if output.href:
        size = output.file.size if output.file else None
        return PageOutput(name, title, media_type, output.href, size)
    assert output.value is not None
    text = _box(output.value) if isinstance(output.value, Box) else literal_text(output.value)
    return PageOutput(name, title, media_type, text=text)
