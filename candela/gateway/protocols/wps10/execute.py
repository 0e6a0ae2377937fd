"""The answer to an Execute request of WPS 1.0.0, which is the status document too."""

from base64 import b64encode

from lxml import etree

from candela.contract.job import Box, Inline, Reference, StoredValue, Value
from candela.contract.names import without_secrets
from candela.errors import StorageError
from candela.gateway.problems import problem_of_failure
from candela.gateway.protocols.crs import corners_of
from candela.gateway.protocols.wps10.describe import PROCESS_VERSION, process_titles
from candela.gateway.protocols.wps10.exceptions import REPORTS
from candela.gateway.protocols.wps10.xml import OWS, VERSION, WPS
from candela.gateway.protocols.xml import (
    HREF,
    LANG,
    LANGUAGE,
    clean,
    embedded,
    has_many_marks,
)
from candela.gateway.results import (
    Addresses,
    JobOutput,
    OfferedOutput,
    literal_text,
    offered_outputs,
    outputs_of,
)
from candela.jobs.model import Job, State
from candela.jobs.request import OutputRequest
from candela.spec import InputSpec, ProcessSpec
from candela.storage.base import Storage


def execute_response(
    job: Job, spec: ProcessSpec, storage: Storage, addresses: Addresses
) -> etree._Element:
    """Return the ExecuteResponse of a job as it is now (OGC 05-007r7, 10.3)."""
    root = WPS.ExecuteResponse(
        WPS.Process({PROCESS_VERSION: job.version}, *process_titles(spec)),
        _status(job),
        service="WPS",
        version=VERSION,
        serviceInstance=f"{addresses.base_url}/wps?service=WPS&version={VERSION}&request=GetCapabilities",
    )
    root.set(LANG, LANGUAGE)
    if job.mode == "async":
        root.set("statusLocation", addresses.status(job.id))
    offered = offered_outputs(spec)
    names = job.request.outputs or offered
    if job.request.lineage:
        if job.request.inputs:
            root.append(
                WPS.DataInputs(
                    *(
                        _input(name, spec.inputs[name], value)
                        for name, values in job.request.inputs.items()
                        for value in values
                    )
                )
            )
        root.append(
            WPS.OutputDefinitions(
                *(_definition(name, offered[name], job.request.outputs.get(name)) for name in names)
            )
        )
    if job.state is State.SUCCEEDED:
        outputs = outputs_of(job, spec, addresses)  # without optional ones that were not made
        root.append(
            WPS.ProcessOutputs(
                *(_output(outputs[name], job, storage) for name in names if name in outputs)
            )
        )
    return root


def _status(job: Job) -> etree._Element:
    status = WPS.Status(creationTime=job.updated.strftime("%Y-%m-%dT%H:%M:%SZ"))
    message = clean(job.message)
    if job.state is State.ACCEPTED:
        status.append(WPS.ProcessAccepted(message))
    elif job.state is State.SUCCEEDED:
        status.append(WPS.ProcessSucceeded(message))
    elif job.state is State.DISMISSED:
        report = OWS.ExceptionReport(
            OWS.Exception(OWS.ExceptionText(message), exceptionCode="NoApplicableCode"),
            version="1.0.0",
        )
        status.append(WPS.ProcessFailed(report))
    elif job.error is not None:
        status.append(WPS.ProcessFailed(REPORTS.element(problem_of_failure(job.error))))
    else:
        status.append(WPS.ProcessStarted(message, percentCompleted=str(job.whole_percent)))
    return status


def _titles(name: str, title: str, abstract: str) -> list[etree._Element]:
    return [OWS.Identifier(name), OWS.Title(title), OWS.Abstract(abstract)]


def _definition(
    name: str, offered: OfferedOutput, requested: OutputRequest | None
) -> etree._Element:
    definition = WPS.Output(*_titles(name, offered.title, offered.abstract))
    if requested and requested.transmission_mode:
        as_reference = requested.transmission_mode == "reference"
        definition.set("asReference", "true" if as_reference else "false")
    if requested and requested.media_type:
        definition.set("mimeType", requested.media_type)
    return definition


def _input(name: str, described: InputSpec, value: Value) -> etree._Element:
    element = WPS.Input(*_titles(name, described.title, described.abstract))
    if isinstance(value, Reference):
        reference = WPS.Reference({HREF: without_secrets(value.href)}, method=value.method)
        if value.type:
            reference.set("mimeType", value.type)
        element.append(reference)
    elif isinstance(value, Inline):
        data = _complex(value.value, value.media_type or described.media_types[0])
        if value.encoding:
            data.set("encoding", value.encoding)
        element.append(WPS.Data(data))
    elif isinstance(value, Box):
        element.append(WPS.Data(_box(value)))
    else:
        assert not isinstance(value, StoredValue)  # all values have been put back
        element.append(WPS.Data(_literal(value)))
    return element


def _complex(text: str, media_type: str) -> etree._Element:
    data = WPS.ComplexData(mimeType=media_type)
    if "xml" in media_type:
        element = embedded(text)
        if element is None:
            data.text = clean(text)
        else:
            data.append(element)
    else:
        data.text = clean(text)
    return data


def _box(box: Box) -> etree._Element:
    crs, corners = corners_of(box)
    return WPS.BoundingBoxData(
        OWS.LowerCorner(f"{corners[0]} {corners[1]}"),
        OWS.UpperCorner(f"{corners[2]} {corners[3]}"),
        crs=crs,
        dimensions="2",
    )


def _output(output: JobOutput, job: Job, storage: Storage) -> etree._Element:
    element = WPS.Output(*_titles(output.name, output.title, output.abstract))
    if output.is_inline(job.request.outputs.get(output.name)):
        data = _file_content(output, output.content(storage, job.id))
        element.append(_reference(output) if data is None else WPS.Data(data))
    elif output.href:
        element.append(_reference(output))
    elif isinstance(output.value, Box):
        element.append(WPS.Data(_box(output.value)))
    else:
        assert output.value is not None
        element.append(WPS.Data(_literal(output.value)))
    return element


def _reference(output: JobOutput) -> etree._Element:
    return WPS.Reference(href=output.href, mimeType=output.media_type)


def _literal(value: float | str) -> etree._Element:
    return WPS.LiteralData(clean(literal_text(value)))


def _file_content(output: JobOutput, content: bytes) -> etree._Element | None:
    """Return a file as ComplexData, or None where it is XML too large for a response."""
    if "xml" in output.media_type and has_many_marks(content):
        return None
    if not output.is_text:
        text = b64encode(content).decode()
        return WPS.ComplexData(text, mimeType=output.media_type, encoding="base64")
    try:
        return _complex(content.decode(), output.media_type)
    except UnicodeDecodeError as error:
        raise StorageError(f"{output.href} is no UTF-8: {error}") from error
