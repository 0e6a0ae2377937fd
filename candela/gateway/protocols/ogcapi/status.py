"""The status of a job (statusInfo.yaml), with what this gateway says beyond the standard."""

import datetime as dt
from typing import Any

from candela.contract.job import Box, Inline, Reference, StoredValue, Value
from candela.contract.names import without_secrets
from candela.gateway.problems import problem_of_failure
from candela.gateway.protocols.ogcapi.result_documents import box_document, reference
from candela.gateway.protocols.ogcapi.vocabulary import (
    CRS84,
    EXCEPTIONS,
    HTML,
    JSON,
    RESULTS,
    TEXT,
    XML,
    Document,
    link,
)
from candela.gateway.results import STATUS, Addresses, JobOutput, outputs_of, usage_document
from candela.jobs.accounting import Consumption, JobUsage
from candela.jobs.estimates import Estimate
from candela.jobs.footprints import TURN, Footprint
from candela.jobs.model import Event, Job, JobOutcome, State
from candela.spec import ProcessSpec


def status_info(job: JobOutcome, spec: ProcessSpec | None, addresses: Addresses) -> Document:
    """Return the statusInfo of a job; beyond the standard its state here, outputs and usage."""
    info: Document = {
        "jobID": job.id,
        "processID": job.process,
        "type": "process",
        "status": STATUS[job.state],
        "state": job.state,
        "message": job.message,
        "progress": 100 if job.state is State.SUCCEEDED else job.whole_percent,
        "created": time_text(job.created),
        "updated": time_text(job.updated),
    }
    if job.title:
        info["title"] = job.title
    if job.started:
        info["started"] = time_text(job.started)
    if job.finished:
        info["finished"] = time_text(job.finished)
    if job.expires and job.state.is_final:
        info["expires"] = time_text(job.expires)
    if job.removed:
        info["removed"] = time_text(job.removed)
    if job.footprint:
        info["footprint"] = _footprint(job.footprint)
    if job.state.is_final and job.started:
        info["usage"] = usage_document(Consumption.of(job))
    if job.error:
        problem = problem_of_failure(job.error)
        info["exception"] = {"code": problem.code, "locator": problem.locator}
    if job.state is State.SUCCEEDED:
        outputs = outputs_of(job, spec, addresses)
        info["outputs"] = {name: output_value(output) for name, output in outputs.items()}
    return info | {"links": _links(job, addresses)}


def _links(job: JobOutcome, addresses: Addresses) -> list[Document]:
    address, results = addresses.job(job.id), addresses.results(job.id)
    links = [
        link(address, "self", JSON, "The status of this job"),
        link(address, "monitor", JSON, "The status of this job"),
        link(f"{address}?f=html", "alternate", HTML, "This job as a page"),
    ]
    if job.state is State.SUCCEEDED:
        links.append(link(results, RESULTS, JSON, "The results"))
    if job.state is State.FAILED:
        links.append(link(results, EXCEPTIONS, JSON, "The error"))
    return links


def _further_links(job: JobOutcome, addresses: Addresses) -> list[Document]:
    """Return the links that the status of a single job has beside."""
    address = addresses.job(job.id)
    return [
        link(addresses.status(job.id), "alternate", XML, "The status document of WPS 1.0.0"),
        link(addresses.jobs, "up", JSON, "All jobs"),
        link(addresses.process(job.process), "process", JSON, "The process"),
        link(f"{address}/request", "request", JSON, "The execute document, to be sent again"),
        link(f"{address}/log", "log", TEXT, "The end of the log"),
        link(f"{address}/events", "events", JSON, "What happened to this job"),
    ]


def whole_status(job: Job, spec: ProcessSpec | None, addresses: Addresses) -> Document:
    """Return the statusInfo of a job at its own address: with its inputs, without contents."""
    info = status_info(job, spec, addresses)
    info["inputs"] = {
        name: [_input(value) for value in values] for name, values in job.request.inputs.items()
    }
    if job.error and job.error.log:
        info["exception"]["log"] = job.error.log
    info["links"] += _further_links(job, addresses)
    return info


def output_value(output: JobOutput) -> Any:  # noqa: ANN401 - JSON
    """Return an output without the content of files."""
    if output.href:
        return reference(output) | ({"length": output.file.size} if output.file else {})
    return output.value.model_dump() if isinstance(output.value, Box) else output.value


def _input(value: Value) -> Any:  # noqa: ANN401 - JSON
    """Return an input without content, and an address without what may be secret in it."""
    if isinstance(value, Reference):
        return {"href": without_secrets(value.href)}
    if isinstance(value, Inline):
        return {"mediaType": value.media_type or "", "length": len(value.value)}
    if isinstance(value, StoredValue):
        return {"length": value.size}
    return value.model_dump() if isinstance(value, Box) else value


def input_value(value: Value) -> Any:  # noqa: ANN401 - JSON
    """Return an input as an execute document has it; of an address, what is not secret."""
    if isinstance(value, Reference):
        return {"href": without_secrets(value.href)} | ({"type": value.type} if value.type else {})
    if isinstance(value, Inline):
        qualified: Document = {"value": value.value}
        if value.media_type:
            qualified["mediaType"] = value.media_type
        if value.encoding:
            qualified["encoding"] = value.encoding
        return qualified
    return box_document(value) if isinstance(value, Box) else value


def job_usage(used: JobUsage) -> Document:
    """Return what a job has used, which is known when its result is removed, too."""
    return {
        "wallSeconds": used.wall_s,
        "cpuSeconds": used.cpu_s,
        "peakMemoryBytes": used.peak_memory_bytes,
        "inputBytes": used.input_bytes,
        "outputBytes": used.output_bytes,
    }


def _footprint(footprint: Footprint) -> Document:
    west, south, east, north = footprint
    return {"bbox": [west, south, east - TURN if east > TURN / 2 else east, north], "crs": CRS84}


def estimate_document(estimate: Estimate) -> Document:
    """Return the place of a job in the queue, and when it will start and end as far as is known."""
    found: Document = {}
    if estimate.ahead is not None:
        found["jobsAhead"] = estimate.ahead
        if estimate.start:
            found["estimatedStart"] = time_text(estimate.start)
    if estimate.end:
        found["estimatedEnd"] = time_text(estimate.end)
    return found


def event_document(event: Event) -> Document:
    """Return something that happened to a job."""
    found = {"time": time_text(event.time), "state": event.state, "message": event.message}
    return found | ({"cause": event.cause} if event.cause else {})


def time_text(time: dt.datetime) -> str:
    """Return a time as RFC 3339 writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
