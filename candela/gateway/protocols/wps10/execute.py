"""The answer to an Execute request of WPS 1.0.0, which is the status document too."""

from base64 import b64encode
from dataclasses import asdict
from urllib.parse import quote

from lxml import etree

from candela.contract.job import (
    OUTPUTS_FOLDER,
    Box,
    Inline,
    OutputFile,
    Reference,
    StoredValue,
    Value,
    job_key,
)
from candela.contract.names import without_secrets
from candela.errors import StorageError
from candela.gateway.faults import fault_of_failure
from candela.gateway.protocols.crs import corners_of
from candela.gateway.protocols.wps10.describe import PROCESS_VERSION, process_titles
from candela.gateway.protocols.wps10.xml import (
    HREF,
    LANG,
    LANGUAGE,
    OWS,
    VERSION,
    WPS,
    clean,
    exception_report,
)
from candela.jobs.model import Job, JobOutcome, State
from candela.jobs.request import OutputRequest
from candela.spec import TEXT_TYPES, InputSpec, ProcessSpec
from candela.storage.base import Storage

INLINE_TEXT_BYTES = 2**20  # a text output above this is a reference unless asked for inline
INLINE_BYTES = 8 * 2**20  # above this an output is always a reference
INLINE_MARKS = 100_000  # < and = of XML that is parsed into a response, some 120 bytes each


def output_url(base_url: str, job_id: str, file: str) -> str:
    """Return the address of an output file."""
    return f"{base_url}/outputs/{job_id}/{quote(file)}"


def status_url(base_url: str, job_id: str) -> str:
    """Return the address of the status document of a job."""
    return f"{base_url}/wps/status/{job_id}"


def execute_response(
    job: Job, spec: ProcessSpec, storage: Storage, *, base_url: str
) -> etree._Element:
    """Return the ExecuteResponse of a job as it is now (OGC 05-007r7, 10.3)."""
    root = WPS.ExecuteResponse(
        WPS.Process({PROCESS_VERSION: job.version}, *process_titles(spec)),
        _status(job),
        service="WPS",
        version=VERSION,
        serviceInstance=f"{base_url}/wps?service=WPS&version={VERSION}&request=GetCapabilities",
    )
    root.set(LANG, LANGUAGE)
    if job.mode == "async":
        root.set("statusLocation", status_url(base_url, job.id))
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
                *(
                    _definition(name, title, abstract, job.request.outputs.get(name))
                    for name, title, abstract in _wanted(job, spec)
                )
            )
        )
    if job.state is State.SUCCEEDED:
        outputs = [
            output
            for name, title, abstract in _wanted(job, spec)
            if (output := _output(name, title, abstract, job, spec, storage, base_url)) is not None
        ]
        root.append(WPS.ProcessOutputs(*outputs))
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
        status.append(WPS.ProcessFailed(exception_report(fault_of_failure(job.error))))
    else:
        status.append(WPS.ProcessStarted(message, percentCompleted=str(job.whole_percent)))
    return status


def _wanted(job: Job, spec: ProcessSpec) -> list[tuple[str, str, str]]:
    offered = {name: (output.title, output.abstract) for name, output in spec.outputs.items()}
    offered |= {name: (link[2], "") for name, link in spec.links.items()}
    names = job.request.outputs or offered
    return [(name, *offered[name]) for name in names]


def _titles(name: str, title: str, abstract: str) -> list[etree._Element]:
    return [OWS.Identifier(name), OWS.Title(title), OWS.Abstract(abstract)]


def _definition(
    name: str, title: str, abstract: str, wanted: OutputRequest | None
) -> etree._Element:
    definition = WPS.Output(*_titles(name, title, abstract))
    if wanted and wanted.transmission_mode:
        as_reference = wanted.transmission_mode == "reference"
        definition.set("asReference", "true" if as_reference else "false")
    if wanted and wanted.media_type:
        definition.set("mimeType", wanted.media_type)
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
        element.append(WPS.Data(WPS.LiteralData(literal_text(value))))
    return element


def _complex(text: str, media_type: str) -> etree._Element:
    data = WPS.ComplexData(mimeType=media_type)
    if "xml" in media_type:
        element = _element(text)
        if element is None:
            data.text = clean(text)
        else:
            data.append(element)
    else:
        data.text = clean(text)
    return data


def _element(text: str) -> etree._Element | None:
    """Return the root of an XML document, or None where the text is none that can stand here."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, encoding="utf-8")
    try:
        content = text.encode()
        if _has_many_marks(content):
            return None
        root = etree.fromstring(content, parser)  # whatever encoding it declares
    except (etree.XMLSyntaxError, UnicodeEncodeError):
        return None
    return None if root.getroottree().docinfo.internalDTD is not None else root


def _has_many_marks(content: bytes) -> bool:
    """Tell whether a document would take many times its size in memory."""
    return content.count(b"<") + content.count(b"=") > INLINE_MARKS


def _box(box: Box) -> etree._Element:
    crs, corners = corners_of(box)
    return WPS.BoundingBoxData(
        OWS.LowerCorner(f"{corners[0]} {corners[1]}"),
        OWS.UpperCorner(f"{corners[2]} {corners[3]}"),
        crs=crs,
        dimensions="2",
    )


def literal_text(value: float | str) -> str:
    """Return the text of a literal as XML Schema writes it."""
    return str(value).lower() if isinstance(value, bool) else clean(str(value))


def _output(
    name: str,
    title: str,
    abstract: str,
    job: Job,
    spec: ProcessSpec,
    storage: Storage,
    base_url: str,
) -> etree._Element | None:
    element = WPS.Output(*_titles(name, title, abstract))
    if name in spec.links:
        href = link_of(job, spec, name)
        if href is None:
            return None
        element.append(WPS.Reference(href=href, mimeType=spec.links[name][1]))
        return element
    made = job.result.outputs.get(name) if job.result else None
    if made is None:  # an optional output that was not made
        return None
    if isinstance(made, OutputFile):
        element.append(_file(name, made, job, spec, storage, base_url))
    elif isinstance(made, Box):
        element.append(WPS.Data(_box(made)))
    else:
        literal = WPS.LiteralData(literal_text(made.value))
        element.append(WPS.Data(literal))
    return element


def link_of(job: JobOutcome, spec: ProcessSpec, name: str) -> str | None:
    """Return the address of a layer output, or None if nothing was published."""
    output, _, _ = spec.links[name]
    link = (job.links or {}).get(output)
    if link is None:
        return None
    return asdict(link)[name.rpartition("_")[2]] or None


def _file(
    name: str, made: OutputFile, job: Job, spec: ProcessSpec, storage: Storage, base_url: str
) -> etree._Element:
    wanted = job.request.outputs.get(name)
    mode = wanted.transmission_mode if wanted else None
    is_text = spec.outputs[name].type in TEXT_TYPES
    if mode is None:
        mode = "value" if is_text and made.size <= INLINE_TEXT_BYTES else "reference"
    reference = WPS.Reference(
        href=output_url(base_url, job.id, made.file), mimeType=made.media_type
    )
    if mode == "reference" or made.size > INLINE_BYTES:
        return reference
    content = storage.read(job_key(job.id, OUTPUTS_FOLDER, made.file))
    if "xml" in made.media_type and _has_many_marks(content):
        return reference
    if is_text:
        try:
            return WPS.Data(_complex(content.decode(), made.media_type))
        except UnicodeDecodeError as error:
            raise StorageError(f"output {name} of job {job.id} is no UTF-8: {error}") from error
    return WPS.Data(
        WPS.ComplexData(b64encode(content).decode(), mimeType=made.media_type, encoding="base64")
    )
