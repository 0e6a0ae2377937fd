"""Jobs as WPS 2.0 shows them: StatusInfo and Result (OGC 14-065r2, 9.7.2, 9.9.2)."""

import datetime as dt
from base64 import b64encode

from lxml import etree

from candela.contract.job import Box
from candela.errors import NotFoundError, StorageError
from candela.gateway.protocols.crs import corners_of
from candela.gateway.protocols.wps20.xml import OWS, TEXT, WPS, XML
from candela.gateway.protocols.xml import HREF, clean, embedded, has_many_marks
from candela.gateway.results import Addresses, JobOutput, literal_text, outputs_of
from candela.jobs.model import Job, JobSummary, State, now
from candela.spec import ProcessSpec
from candela.storage.base import Storage

NEXT_POLL = dt.timedelta(seconds=3)
STATUS = {
    State.ACCEPTED: "Accepted",
    State.DISPATCHING: "Accepted",
    State.RUNNING: "Running",
    State.PUBLISHING: "Running",
    State.SUCCEEDED: "Succeeded",
    State.FAILED: "Failed",
    State.DISMISSED: "Dismissed",
}


def status_info(job: JobSummary) -> etree._Element:
    """Return the StatusInfo of a job as it is now."""
    info = WPS.StatusInfo(WPS.JobID(job.id), WPS.Status(STATUS[job.state]))
    if job.expires and job.state.is_final:
        info.append(WPS.ExpirationDate(_time(job.expires)))
    if not job.state.is_final:
        info.append(WPS.NextPoll(_time(now() + NEXT_POLL)))
        info.append(WPS.PercentCompleted(str(job.whole_percent)))
    return info


def result(job: Job, spec: ProcessSpec, storage: Storage, addresses: Addresses) -> etree._Element:
    """Return the Result of a job that has succeeded.

    Raises
    ------
    NotFoundError
        If none of the outputs that were asked for was made.
    """
    made = outputs_of(job, spec, addresses)  # without optional ones that were not made
    names = [name for name in job.request.outputs or made if name in made]
    if not names:
        missing = next(iter(job.request.outputs), "")
        raise NotFoundError(f"output {missing!r} was not made by these inputs", missing)
    root = WPS.Result(WPS.JobID(job.id))
    if job.expires:
        root.append(WPS.ExpirationDate(_time(job.expires)))
    for name in names:
        root.append(WPS.Output(_output(made[name], job, storage, addresses), id=name))
    return root


def value_element(value: Box | float | str) -> etree._Element:
    """Return a literal or a bounding box as an element."""
    if not isinstance(value, Box):
        return WPS.LiteralValue(clean(literal_text(value)))
    crs, corners = corners_of(value)
    return OWS.BoundingBox(
        OWS.LowerCorner(f"{corners[0]} {corners[1]}"),
        OWS.UpperCorner(f"{corners[2]} {corners[3]}"),
        crs=crs,
        dimensions="2",
    )


def _time(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _output(output: JobOutput, job: Job, storage: Storage, addresses: Addresses) -> etree._Element:
    requested = job.request.outputs.get(output.name)
    if output.is_inline(requested):
        data = _file(output, output.content(storage, job.id))
        return _reference(output.href, output.media_type) if data is None else data
    if output.href:
        return _reference(output.href, output.media_type)
    assert output.value is not None
    if requested and requested.transmission_mode == "reference":
        href = addresses.output(job.id, output.name)
        return _reference(href, "application/json" if isinstance(output.value, Box) else TEXT)
    if requested and requested.media_type == TEXT and not isinstance(output.value, Box):
        return WPS.Data(clean(literal_text(output.value)), mimeType=TEXT)
    return WPS.Data(value_element(output.value), mimeType=XML)


def _reference(href: str, media_type: str) -> etree._Element:
    return WPS.Reference({HREF: href}, mimeType=media_type)


def _file(output: JobOutput, content: bytes) -> etree._Element | None:
    """Return a file as Data, or None where it is XML too large for a response."""
    is_xml = "xml" in output.media_type
    if is_xml and has_many_marks(content):
        return None
    if not output.is_text:
        text = b64encode(content).decode()
        return WPS.Data(text, mimeType=output.media_type, encoding="base64")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise StorageError(f"{output.href} is no UTF-8: {error}") from error
    data = WPS.Data(mimeType=output.media_type)
    element = embedded(text) if is_xml else None
    if element is None:
        data.text = clean(text)
    else:
        data.append(element)
    return data


def raw_output(job: Job, spec: ProcessSpec, addresses: Addresses) -> JobOutput:
    """Return the output of a raw response.

    Raises
    ------
    NotFoundError
        If it was not made.
    """
    (name,) = job.request.outputs
    output = outputs_of(job, spec, addresses).get(name)
    if output is None:
        raise NotFoundError(f"output {name!r} was not made by these inputs", name)
    return output
