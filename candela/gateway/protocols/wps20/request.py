"""Requests of WPS 2.0: by key-value pairs, or as documents (OGC 14-065r2, 9 and 10)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from flask import Request
from lxml import etree

from candela.contract.job import Inline, Reference, Value
from candela.errors import (
    InvalidValueError,
    MissingValueError,
    NoSuchFormatError,
    NoSuchModeError,
    NoSuchProcessError,
    TooManyOutputsError,
    UnsupportedError,
    VersionError,
    blamed_on,
)
from candela.gateway.parameters import shown
from candela.gateway.protocols.body import root_of_body
from candela.gateway.protocols.crs import box_of, coordinates
from candela.gateway.protocols.wps20.xml import (
    NAMESPACES,
    OWS_NS,
    TEXT,
    VERSION,
    VERSIONS,
    WPS_NS,
    XML,
)
from candela.gateway.protocols.xml import HREF, content_of
from candela.jobs.request import ExecuteRequest, OutputRequest
from candela.spec import InputSpec, ProcessSpec, find_spec

OPERATIONS = ("GetCapabilities", "DescribeProcess", "Execute", "GetStatus", "GetResult", "Dismiss")
ENCODINGS = frozenset({"", "base64", "utf-8", "utf8", "raw"})
Mode = Literal["sync", "async", "auto"]


@dataclass
class Execute:
    """An Execute request and how its answer is wanted."""

    process: str
    request: ExecuteRequest | None
    mode: Mode

    def release(self) -> ExecuteRequest:
        """Return the request, which is held here no more."""
        request, self.request = self.request, None
        assert request is not None  # it is asked for once
        return request


class Operation(NamedTuple):
    """A request of any operation.

    Attributes
    ----------
    name : str
        One of ``OPERATIONS``.
    identifiers : tuple of str
        The processes to describe.
    job : str
        The job of GetStatus, GetResult and Dismiss.
    execute : Execute, optional
        What Execute asks for.
    """

    name: str
    identifiers: tuple[str, ...] = ()
    job: str = ""
    execute: Execute | None = None


def operation_of(request: Request, specs: Mapping[str, ProcessSpec], max_bytes: int) -> Operation:
    """Read a request.

    Raises
    ------
    RequestError, NoSuchProcessError
        If it is not what the standard says.
    """
    if request.method == "POST":
        return _of_document(root_of_body(request, max_bytes), specs)
    asked = _of_parameters({name.lower(): value for name, value in request.args.items()})
    if request.method == "HEAD" and asked.name == "Dismiss":
        raise UnsupportedError("Dismiss takes GET and POST, found HEAD", "request")
    return asked


def spec_of(specs: Mapping[str, ProcessSpec], identifier: str) -> ProcessSpec:
    """Return a process by its identifier.

    Raises
    ------
    NoSuchProcessError
        If there is none; the identifier is its locator.
    """
    try:
        return find_spec(specs, identifier)
    except NoSuchProcessError as error:
        raise NoSuchProcessError(error.message, identifier) from None


def _of_parameters(parameters: Mapping[str, str]) -> Operation:
    """Read a request by key-value pairs, their keys in lower case."""
    for key in ("service", "request"):
        if not parameters.get(key):
            raise MissingValueError(f"{key} is missing", key)
    _check_service(parameters["service"])
    asked = parameters["request"].strip().lower()
    name = next((each for each in OPERATIONS if each.lower() == asked), None)
    if name is None:
        expected = ", ".join(OPERATIONS)
        raise UnsupportedError(
            f"there is no operation {shown(parameters['request'])} (operations: {expected})",
            "request",
        )
    if name != "GetCapabilities":  # which versions.py has negotiated
        _check_version(parameters.get("version"))
    if name == "Execute":
        raise UnsupportedError("Execute of WPS 2.0 is sent by POST, as an XML document", "request")
    if name == "DescribeProcess":
        names = (each.strip() for each in parameters.get("identifier", "").split(","))
        return Operation(name, identifiers=_identifiers(*names))
    if name == "GetCapabilities":
        return Operation(name)
    return Operation(name, job=_job_id(parameters.get("jobid")))


def _of_document(root: etree._Element, specs: Mapping[str, ProcessSpec]) -> Operation:
    tag = etree.QName(root)
    if tag.namespace != WPS_NS or tag.localname not in OPERATIONS:
        raise UnsupportedError(f"{root.tag!r} is no request of WPS {VERSION}", "request")
    _check_service(root.get("service", "WPS"))
    name = tag.localname
    if name == "GetCapabilities":
        _check_accepted(root)
        return Operation(name)
    _check_version(root.get("version"))
    if name == "DescribeProcess":
        found = (each.text or "" for each in root.findall("ows:Identifier", NAMESPACES))
        return Operation(name, identifiers=_identifiers(*(text.strip() for text in found)))
    if name == "Execute":
        return Operation(name, execute=_execute_of(root, specs))
    return Operation(name, job=_job_id(root.findtext("wps:JobID", namespaces=NAMESPACES)))


def _check_service(service: str) -> None:
    if service.upper() != "WPS":
        raise InvalidValueError(f"service is {shown(service)}, expected 'WPS'", "service")


def _check_version(version: str | None) -> None:
    if version and version.strip() not in VERSIONS:
        raise InvalidValueError(f"version is {shown(version)}, expected {VERSION!r}", "version")


def _check_accepted(root: etree._Element) -> None:
    found = root.findall("ows:AcceptVersions/ows:Version", NAMESPACES)
    numbers = [(each.text or "").strip() for each in found]
    if numbers and not set(numbers) & set(VERSIONS):
        raise VersionError(
            f"none of the versions {', '.join(numbers)} is offered in this form "
            f"(versions: {VERSION})",
            "AcceptVersions",
        )


def _identifiers(*names: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(name for name in names if name))
    if not found:
        raise MissingValueError("the identifier of a process is missing", "Identifier")
    return found


def _job_id(text: str | None) -> str:
    if text is None or not text.strip():
        raise MissingValueError("JobID is missing", "JobID")
    return text.strip()


def _execute_of(root: etree._Element, specs: Mapping[str, ProcessSpec]) -> Execute:
    """Read a wps:Execute document (OGC 14-065r2, 9.7.1)."""
    (identifier,) = _identifiers((root.findtext("ows:Identifier", "", NAMESPACES) or "").strip())
    spec = spec_of(specs, identifier)
    inputs: dict[str, list[Value]] = {}
    for element in root.findall("wps:Input", NAMESPACES):
        name = _id(element)
        with blamed_on(name):
            value = _value_of(name, element, spec.inputs.get(name))
        inputs.setdefault(name, []).append(value)
    outputs: dict[str, OutputRequest] = {}
    for element in root.findall("wps:Output", NAMESPACES):
        name = _id(element)
        if name in outputs:
            raise TooManyOutputsError(f"output {name!r} is asked for twice", name)
        outputs[name] = _output_of(name, element, spec)
    response = _choice(root, "response", ("document", "raw"))
    if response == "raw":
        outputs = _single(spec, outputs)
    request = ExecuteRequest(
        inputs=inputs, outputs=outputs, response="raw" if response == "raw" else "document"
    )
    return Execute(spec.identifier, request, _mode(root))


def _mode(root: etree._Element) -> Mode:
    text = root.get("mode", "auto")
    modes: tuple[Mode, ...] = ("sync", "async", "auto")
    for mode in modes:
        if text == mode:
            return mode
    raise NoSuchModeError(f"mode is {shown(text)}, expected one of {', '.join(modes)}", "mode")


def _choice(element: etree._Element, name: str, allowed: tuple[str, ...]) -> str:
    """Return one of some words; the first where there is none."""
    word: str = element.get(name, allowed[0])
    if word not in allowed:
        expected = ", ".join(allowed)
        raise InvalidValueError(f"{name} is {shown(word)}, expected one of {expected}", name)
    return word


def _single(spec: ProcessSpec, outputs: dict[str, OutputRequest]) -> dict[str, OutputRequest]:
    """Return the one output of a raw response."""
    outputs = outputs or {name: OutputRequest() for name in spec.outputs}
    if len(outputs) > 1:
        raise TooManyOutputsError(
            f"a raw response has exactly one output, found {len(outputs)}", list(outputs)[1]
        )
    return outputs


def _id(element: etree._Element) -> str:
    name: str = element.get("id", "").strip()
    if not name:
        raise MissingValueError(f"an {etree.QName(element).localname} element has no id", "id")
    return name


def _output_of(name: str, element: etree._Element, spec: ProcessSpec) -> OutputRequest:
    if element.find("wps:Output", NAMESPACES) is not None:
        raise InvalidValueError(f"output {name!r} has outputs in it, which none has here", name)
    media_type = element.get("mimeType") or None
    described = spec.outputs.get(name)
    if described is not None and media_type and not described.is_complex:
        offered = (XML, TEXT) if described.is_literal else (XML,)
        if media_type not in offered:
            raise NoSuchFormatError(
                f"output {name!r} is offered as {', '.join(offered)}, not as {media_type!r}", name
            )
    transmission = element.get("transmission") or None
    if transmission not in {None, "value", "reference"}:
        raise InvalidValueError(
            f"transmission is {shown(transmission)}, expected value or reference", name
        )
    return OutputRequest(transmission_mode=transmission, media_type=media_type)


def _value_of(name: str, element: etree._Element, described: InputSpec | None) -> Value:
    if element.find("wps:Input", NAMESPACES) is not None:
        raise InvalidValueError(f"input {name!r} has inputs in it, which none has here")
    reference = element.find("wps:Reference", NAMESPACES)
    if reference is not None:
        return _reference_of(name, reference)
    data = element.find("wps:Data", NAMESPACES)
    if data is None:
        raise MissingValueError(f"input {name!r} has neither data nor a reference")
    content = next(data.iterchildren(etree.Element), None)
    kind = None if content is None else content.tag
    if content is not None and kind == f"{{{WPS_NS}}}LiteralValue":
        return _text_of(name, content)
    if content is not None and described is not None and described.is_bbox:
        return _box_of(name, content)
    if described is None or described.is_complex:
        return _inline_of(name, data)
    return _text_of(name, data)


def _text_of(name: str, element: etree._Element) -> str:
    if next(element.iterchildren(etree.Element), None) is not None:
        raise InvalidValueError(f"input {name!r}: a literal has elements in it")
    return "".join(element.itertext(etree.Element))  # comments may stand between


def _inline_of(name: str, data: etree._Element) -> Inline:
    encoding = (data.get("encoding") or "").lower()
    if encoding not in ENCODINGS:
        raise NoSuchFormatError(
            f"input {name!r} has encoding {encoding!r}, expected base64 or UTF-8"
        )
    return Inline(
        value=content_of(data, NAMESPACES.values()),
        media_type=data.get("mimeType") or None,
        encoding="base64" if encoding == "base64" else None,
    )


def _reference_of(name: str, element: etree._Element) -> Reference:
    href = (element.get(HREF) or "").strip()
    if not href:
        raise MissingValueError(f"the reference of input {name!r} has no xlink:href")
    body = element.find("wps:Body", NAMESPACES)
    body_reference = element.find("wps:BodyReference", NAMESPACES)
    if body is not None and body_reference is not None:
        raise InvalidValueError(f"input {name!r} has a Body and a BodyReference")
    return Reference(
        href=href,
        type=element.get("mimeType") or None,
        method="GET" if body is None and body_reference is None else "POST",
        body=None if body is None else content_of(body, NAMESPACES.values()),
        body_reference=None if body_reference is None else body_reference.get(HREF, "").strip(),
    )


def _box_of(name: str, element: etree._Element) -> Value:
    corners = []
    for corner in ("LowerCorner", "UpperCorner"):
        text = element.findtext(f"{{{OWS_NS}}}{corner}") or ""
        corners += coordinates(name, text.split())
    default = "EPSG:4326"
    return box_of(name, corners, element.get("crs") or default)
