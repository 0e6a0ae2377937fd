"""Requests of WPS 1.0.0.

PyWPS's parser finds operation, version and language; what it loses of an Execute request
(values with ``=``, headers, repeated values, chunked bodies) is read here instead.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from lxml import etree
from pywps.app.WPSRequest import WPSRequest
from werkzeug.wrappers import Request

from candela.contract.job import Inline, Reference, Value
from candela.errors import (
    InvalidValueError,
    MissingValueError,
    PublicError,
    UnsupportedError,
    VersionError,
)
from candela.gateway.protocols.body import root_of_body
from candela.gateway.protocols.crs import box_of, coordinates
from candela.gateway.protocols.wps10.xml import NAMESPACES, OWS_NS, VERSION, WPS_NS
from candela.gateway.protocols.xml import HREF, content_of
from candela.jobs.request import ExecuteRequest, OutputRequest
from candela.spec import InputSpec, ProcessSpec, find_spec

_ATTRIBUTE = re.compile(
    r"@(?=\s*(?:xlink:href|href|method|mimetype|encoding|schema|datatype|uom|asreference)\s*=)",
    re.IGNORECASE,
)  # OGC 05-007r7, tables 50 and 53


class Execute(NamedTuple):
    """An Execute request and how its answer is wanted."""

    process: str
    request: ExecuteRequest
    is_async: bool


class Wps10Request(WPSRequest):  # type: ignore[misc]  # PyWPS has no types
    """A request of any operation; ``execute_request`` is there for Execute only."""

    def __init__(
        self, http_request: Request, specs: Mapping[str, ProcessSpec], max_bytes: int
    ) -> None:
        self._specs = specs
        self._max_bytes = max_bytes
        self.execute_request: Execute | None = None
        super().__init__(http_request)

    def check_accepted_versions(self, acceptedversions: str | None) -> None:
        """Negotiate the version: the first acceptable one that is offered."""
        versions = [version.strip() for version in (acceptedversions or VERSION).split(",")]
        if VERSION not in versions:
            raise VersionError(
                f"none of the versions {', '.join(versions)} is offered (versions: {VERSION})",
                "AcceptVersions",
            )
        self.set_version(VERSION)

    def check_and_set_version(self, version: str | None, allow_default: bool = True) -> None:  # noqa: ARG002 - PyWPS's signature
        """Take no other version than the one that is offered; none at all means that one."""
        if version and version != VERSION:
            raise InvalidValueError(
                f"version {version!r} is not offered (versions: {VERSION})", "version"
            )
        self.set_version(VERSION)

    def _get_request_parser_method(self, method: str) -> Callable[[], None]:
        # HEAD is GET without the content of its answer.
        return super()._get_request_parser_method(  # type: ignore[no-any-return]
            "GET" if method == "HEAD" else method
        )

    def _post_request(self) -> None:
        root = root_of_body(self.http_request, self._max_bytes)
        self.set_version(VERSION)
        if etree.QName(root).namespace != WPS_NS:
            raise InvalidValueError(f"{root.tag!r} is no request of WPS {VERSION}", "request")
        service = root.get("service")
        if service is not None and service != "WPS":
            raise InvalidValueError(f"service is {service!r}, expected 'WPS'", "service")
        self.check_and_set_language(root.get("language"))
        self._post_request_parser(str(root.tag))(root)

    def _post_request_parser(self, tagname: str) -> Callable[[Any], None]:
        if tagname == f"{{{WPS_NS}}}Execute":
            self.operation = "execute"
            return self._read_document
        return super()._post_request_parser(tagname)  # type: ignore[no-any-return]

    def _get_request_parser(self, operation: str | None) -> Callable[[Any], None]:
        if operation is not None and operation.lower() == "execute":
            self.operation = "execute"
            return self._read_parameters
        return super()._get_request_parser(operation)  # type: ignore[no-any-return]

    def _read_document(self, root: etree._Element) -> None:
        self.check_and_set_version(root.get("version"))
        self.execute_request = execute_of_document(root)

    def _read_parameters(self, http_request: Request) -> None:
        if http_request.method == "HEAD":
            raise UnsupportedError("Execute takes GET and POST, found HEAD", "request")
        parameters = {key.lower(): value for key, value in http_request.args.items()}
        self.check_and_set_version(parameters.get("version"))
        self.execute_request = execute_of_parameters(parameters, self._specs)


def execute_of_document(root: etree._Element) -> Execute:
    """Read a wps:Execute document (OGC 05-007r7, 10.2.1).

    Raises
    ------
    RequestError
        If it is not what the standard says.
    """
    inputs: dict[str, list[Value]] = {}
    for element in root.findall("wps:DataInputs/wps:Input", NAMESPACES):
        name = _identifier(element)
        inputs.setdefault(name, []).append(_value_of(name, element))
    form = root.find("wps:ResponseForm/wps:ResponseDocument", NAMESPACES)
    raw = root.find("wps:ResponseForm/wps:RawDataOutput", NAMESPACES)
    outputs = {}
    elements = [raw] if raw is not None else []
    if form is not None:
        elements = form.findall("wps:Output", NAMESPACES)
    for element in elements:
        as_reference = _flag(element.get("asReference"), "asReference")
        outputs[_identifier(element)] = OutputRequest(
            transmission_mode=_transmission(as_reference), media_type=element.get("mimeType")
        )
    return _execute(
        _identifier(root),
        inputs,
        outputs,
        is_raw=raw is not None,
        options={str(key).lower(): str(value) for key, value in form.items()}
        if form is not None
        else {},
    )


def execute_of_parameters(parameters: dict[str, str], specs: Mapping[str, ProcessSpec]) -> Execute:
    """Read an Execute request by key-value pairs (OGC 05-007r7, 10.2.2).

    Parameters
    ----------
    parameters : dict
        The parameters of the address, keys in lower case, values decoded once.
    specs : dict
        The processes: the text of an input says less than its XML form.
    """
    if not parameters.get("identifier"):
        raise MissingValueError("the identifier of a process is missing", "Identifier")
    spec = find_spec(specs, parameters["identifier"])
    inputs: dict[str, list[Value]] = {}
    for item in _items(parameters.get("datainputs", "")):
        described = spec.inputs.get(item.name)
        inputs.setdefault(item.name, []).append(_value_of_item(item, described))
    raw, form = parameters.get("rawdataoutput"), parameters.get("responsedocument")
    if raw and form:
        raise InvalidValueError(
            "RawDataOutput and ResponseDocument exclude each other", "RawDataOutput"
        )
    outputs = {
        item.name: OutputRequest(
            transmission_mode=_transmission(
                _flag(item.attributes.get("asreference"), "asReference")
            ),
            media_type=item.attributes.get("mimetype"),
        )
        for item in _items(raw or form or "")
    }
    return _execute(spec.identifier, inputs, outputs, is_raw=bool(raw), options=parameters)


def _execute(
    process: str,
    inputs: dict[str, list[Value]],
    outputs: dict[str, OutputRequest],
    *,
    is_raw: bool,
    options: dict[str, str],
) -> Execute:
    is_stored = _flag(options.get("storeexecuteresponse"), "storeExecuteResponse") or False
    wants_status = _flag(options.get("status"), "status") or False
    if wants_status and not is_stored:
        raise InvalidValueError(
            "status=true needs storeExecuteResponse=true: there is no other place for the status",
            "status",
        )
    if is_raw and len(outputs) != 1:
        raise InvalidValueError(
            f"raw data output needs exactly one output, found {len(outputs)}", "RawDataOutput"
        )
    request = ExecuteRequest(
        inputs=inputs,
        outputs=outputs,
        response="raw" if is_raw else "document",
        lineage=_flag(options.get("lineage"), "lineage") or False,
    )
    return Execute(process, request, is_async=wants_status and not is_raw)


def _identifier(element: etree._Element) -> str:
    found = element.findtext("ows:Identifier", namespaces=NAMESPACES)
    if not found or not found.strip():
        name = etree.QName(element).localname
        raise MissingValueError(f"an {name} element has no Identifier", "Identifier")
    return found.strip()


def _flag(text: str | None, name: str) -> bool | None:
    if text is None:
        return None
    if text.lower() in {"true", "1"}:
        return True
    if text.lower() in {"false", "0"}:
        return False
    raise InvalidValueError(f"{name} is {text!r}, expected true or false", name)


def _transmission(as_reference: bool | None) -> Literal["value", "reference"] | None:
    return None if as_reference is None else "reference" if as_reference else "value"


def _value_of(name: str, element: etree._Element) -> Value:
    reference = element.find("wps:Reference", NAMESPACES)
    if reference is not None:
        return _reference_of(name, reference)
    data = element.find("wps:Data", NAMESPACES)
    content = next(data.iterchildren(etree.Element), None) if data is not None else None
    if content is None:
        raise MissingValueError(f"input {name!r} has neither data nor a reference", name)
    kind = etree.QName(content).localname
    if kind == "LiteralData":
        return _text_of(name, content)
    if kind == "BoundingBoxData":
        try:
            return _box_of(name, content)
        except PublicError as error:
            raise InvalidValueError(f"input {name!r}: {error.message}", name) from None
    if kind == "ComplexData":
        return _inline_of(name, content)
    raise InvalidValueError(f"input {name!r} has data of unknown kind {kind}", name)


def _text_of(name: str, element: etree._Element) -> str:
    if next(element.iterchildren(etree.Element), None) is not None:
        raise InvalidValueError(f"input {name!r}: a literal has elements in it", name)
    return "".join(element.itertext(etree.Element))  # comments may stand between


def _inline_of(name: str, element: etree._Element) -> Inline:
    encoding = (element.get("encoding") or "").lower()
    if encoding not in {"", "base64", "utf-8", "utf8"}:
        raise InvalidValueError(
            f"input {name!r} has encoding {encoding!r}, expected base64 or UTF-8", name
        )
    return Inline(
        value=content_of(element, NAMESPACES.values()),
        media_type=element.get("mimeType"),
        encoding="base64" if encoding == "base64" else None,
    )


def _reference_of(name: str, element: etree._Element) -> Reference:
    href = element.get(HREF) or element.get("href")
    if not href:
        raise MissingValueError(f"the reference of input {name!r} has no xlink:href", name)
    method = (element.get("method") or "GET").upper()
    if method not in {"GET", "POST"}:
        raise InvalidValueError(f"input {name!r}: method {method!r}, expected GET or POST", name)
    body = element.find("wps:Body", NAMESPACES)
    body_reference = element.find("wps:BodyReference", NAMESPACES)
    if body is not None and body_reference is not None:
        raise InvalidValueError(f"input {name!r} has a Body and a BodyReference", name)
    return Reference(
        href=href.strip(),
        type=element.get("mimeType"),
        method="POST" if method == "POST" else "GET",
        headers={
            header.get("key", ""): header.get("value", "")
            for header in element.findall("wps:Header", NAMESPACES)
        },
        body=None if body is None else content_of(body, NAMESPACES.values()),
        body_reference=None if body_reference is None else body_reference.get(HREF, "").strip(),
    )


def _box_of(name: str, element: etree._Element) -> Value:
    corners = []
    for corner in ("LowerCorner", "UpperCorner"):
        text = element.findtext(f"{{{OWS_NS}}}{corner}") or ""
        corners += coordinates(name, text.split())
    return box_of(name, corners, element.get("crs") or "EPSG:4326")


class Item(NamedTuple):
    """One part of DataInputs or ResponseDocument: ``name=value@attribute=value``.

    What follows an ``@`` that begins no attribute is part of the value: ``literal=me@home``.
    """

    name: str
    value: str | None
    attributes: dict[str, str]  # keys in lower case


def _items(text: str) -> list[Item]:
    items = []
    for part in text.split(";"):
        if not part.strip():
            continue
        head, *attributes = _ATTRIBUTE.split(part)
        name, equals, value = head.partition("=")
        if not equals:  # a name alone has no value that an @ could be part of
            name, *more = head.split("@")
            attributes += more
        pairs = [attribute.partition("=") for attribute in attributes]
        items.append(
            Item(
                unquote(name.strip()),
                unquote(value) if equals else None,
                {key.strip().lower(): unquote(value) for key, _, value in pairs},
            )
        )
    return items


def _value_of_item(item: Item, described: InputSpec | None) -> Value:
    href = item.attributes.get("xlink:href") or item.attributes.get("href")
    if href:
        return Reference(href=href, type=item.attributes.get("mimetype"))
    text = item.value or ""
    if described is not None and described.is_bbox:
        words = text.split(",")
        crs = ",".join(words[4:]) or "EPSG:4326"
        return box_of(item.name, coordinates(item.name, words[:4]), crs)
    if described is not None and described.is_complex:
        encoding = item.attributes.get("encoding", "").lower()
        return Inline(
            value=text,
            media_type=item.attributes.get("mimetype"),
            encoding="base64" if encoding == "base64" else None,
        )
    return text
