"""OGC API - Processes, Part 1 (OGC 18-062r2) of any server: JSON, which our transport carries."""

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from candela.client.descriptions import (
    BOX,
    FILE,
    UNBOUNDED,
    InputDescription,
    OutputDescription,
    ProcessDescription,
    ProcessList,
    ProcessSummary,
)
from candela.client.errors import (
    InputValueError,
    NotFoundError,
    RequestRefusedError,
    ServerAnswerError,
)
from candela.client.inputs import Content, Reference
from candela.client.status import JobInfo, Status, info_from_json, output_of_results
from candela.client.transport import Transport

CONFORMANCE = "ogcapi-processes"  # a part of the URIs of its conformance classes
LITERALS = {"integer": "integer", "number": "float", "boolean": "boolean", "string": "string"}
FORMATS = {"date": "date", "date-time": "datetime"}  # of strings
LONGITUDE_LATITUDE = "EPSG:4326"  # for the client, as everywhere in it, in the order x, y
_CRS84 = re.compile(r"http://www\.opengis\.net/def/crs/OGC/[\d.]+/CRS84")
_EPSG = re.compile(r"http://www\.opengis\.net/def/crs/EPSG/[\d.]+/(?!4326$)(\d+)")

Document = dict[str, Any]


class OgcApi:
    """An OGC API - Processes.

    Parameters
    ----------
    transport : Transport
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.endpoint = transport.base

    def is_offered(self) -> bool:
        """Ask whether the server conforms to OGC API - Processes.

        Raises
        ------
        ServerUnreachableError
            If the server does not answer.
        """
        try:
            document = self.transport.json(f"{self.endpoint}/conformance")
        except (NotFoundError, RequestRefusedError, ServerAnswerError):
            return False
        classes = document.get("conformsTo") if isinstance(document, dict) else None
        return isinstance(classes, list) and any(CONFORMANCE in str(uri) for uri in classes)

    def processes(self) -> ProcessList:
        """Ask for the processes, page by page."""
        return ProcessList(
            ProcessSummary(
                _member(found, "id"),
                found.get("title") or "",
                found.get("description") or "",
                found.get("version") or "",
            )
            for found in self._summaries()
        )

    def _summaries(self) -> Iterator[Document]:
        address, seen = f"{self.endpoint}/processes", set()
        while address and address not in seen:
            seen.add(address)
            page = self.transport.json(address)
            yield from _member(page, "processes")
            links = page.get("links") or []
            address = next((link["href"] for link in links if link.get("rel") == "next"), "")

    def process(self, identifier: str) -> ProcessDescription:
        """Ask for the description of a process.

        Raises
        ------
        RequestRefusedError
            If there is no such process.
        """
        try:
            found = self.transport.json(self._address(identifier))
        except NotFoundError as error:
            raise RequestRefusedError(
                str(error), code="InvalidParameterValue", locator="identifier", status=404
            ) from None
        inputs, outputs = (found.get(name) or {} for name in ("inputs", "outputs"))
        return ProcessDescription(
            _member(found, "id"),
            found.get("title") or "",
            found.get("description") or "",
            found.get("version") or "",
            {name: input_of_schema(name, given) for name, given in inputs.items()},
            {name: output_of_schema(name, made) for name, made in outputs.items()},
        )

    def execute(
        self,
        process: ProcessDescription,
        inputs: Sequence[tuple[str, Any]],
        headers: Mapping[str, str],
    ) -> JobInfo:
        """Start a job, asynchronously where the server can.

        Returns
        -------
        JobInfo
            With an empty id if the server ran the job at once, and keeps none.

        Raises
        ------
        RequestRefusedError
            If the server does not accept the request.
        """
        preferences = filter(None, ["respond-async", headers.get("Prefer")])
        document = {"inputs": inputs_document(process, inputs), "response": "document"}
        answer = self.transport.request(
            "POST",
            f"{self._address(process.identifier)}/execution",
            json=document,
            headers={
                **headers,
                "Accept": "application/json",
                "Prefer": ", ".join(preferences),
            },
        )
        with answer:
            location = answer.headers.get("Location", "")
            try:
                found = answer.json()
            except ValueError:
                found = None
        if answer.status_code != 201:
            if not isinstance(found, dict):
                raise ServerAnswerError(f"{answer.url} does not answer with a results document")
            values = {name: output_of_results(value) for name, value in found.items()}
            return JobInfo("", process.identifier, Status.SUCCEEDED, 100, outputs=values)
        if not isinstance(found, dict) or "jobID" not in found:
            job_id = urlsplit(location).path.rstrip("/").rsplit("/", 1)[-1]
            found = self.transport.json(f"{self.endpoint}/jobs/{job_id}")
        info = info_from_json(found)
        return info if info.process else replace(info, process=process.identifier)

    def _address(self, identifier: str) -> str:
        return f"{self.endpoint}/processes/{quote(identifier, safe='')}"


def _member(document: Any, name: str) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(document, dict) or name not in document:
        raise ServerAnswerError(f"the server's answer has no {name!r}")
    return document[name]


def input_of_schema(name: str, given: Document) -> InputDescription:
    """Read the description of an input: its JSON Schema and how often it may occur."""
    schema = given.get("schema") or {}
    least, most = int(given.get("minOccurs", 1)), given.get("maxOccurs", 1)
    most = UNBOUNDED if most == "unbounded" else int(most)
    if schema.get("type") == "array" and "items" in schema:  # several values
        least = max(1, schema.get("minItems", 1)) if least else 0
        most = schema.get("maxItems", UNBOUNDED)
        schema = schema["items"]
    kind = _type(schema)
    units = [
        each.get("title") for each in given.get("metadata") or [] if each.get("role") == "unit"
    ]
    is_literal = kind not in {FILE, BOX}
    return InputDescription(
        name,
        given.get("title") or "",
        given.get("description") or "",
        kind,
        media_types=_media_types(schema) if kind == FILE else (),
        allowed=_allowed(schema, kind) if is_literal else (),
        minimum=schema.get("minimum"),
        maximum=schema.get("maximum"),
        default=schema.get("default") if is_literal else None,
        unit=units[0] or "" if units else "",
        crs=_systems(schema) if kind == BOX else (),
        min_occurs=least,
        max_occurs=most,
    )


def output_of_schema(name: str, made: Document) -> OutputDescription:
    """Read the description of an output."""
    schema = made.get("schema") or {}
    kind = _type(schema)
    media_type = _media_types(schema)[0] if kind == FILE else ""
    return OutputDescription(
        name, made.get("title") or "", made.get("description") or "", kind, media_type
    )


def _parts(schema: Document) -> list[Document]:
    """Return a schema, or those that it is one or all of."""
    nested = [each for word in ("oneOf", "anyOf", "allOf") for each in schema.get(word, [])]
    return [schema, *(part for each in nested for part in _parts(each))]


def _type(schema: Document) -> str:
    parts = _parts(schema)
    if any(
        part.get("format") == "ogc-bbox" or "bbox" in part.get("properties", {}) for part in parts
    ):
        return BOX
    if any("contentMediaType" in part for part in parts):
        return FILE
    for part in parts:
        kinds = part.get("type")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if kind == "string":
                return FORMATS.get(part.get("format", ""), "string")
            if kind in LITERALS:
                return LITERALS[kind]
    return FILE


def _media_types(schema: Document) -> tuple[str, ...]:
    """Return the media types of a file; an object without one is JSON."""
    parts = _parts(schema)
    found = [part["contentMediaType"] for part in parts if "contentMediaType" in part]
    is_geojson = any("geojson" in str(part.get("format", "")) for part in parts)
    return tuple(dict.fromkeys(found)) or (
        "application/geo+json" if is_geojson else "application/json",
    )


def _allowed(schema: Document, kind: str) -> tuple[object, ...]:
    values = [value for part in _parts(schema) for value in part.get("enum", [])]
    if kind == "boolean":
        return ()
    return tuple(float(value) for value in values) if kind == "float" else tuple(values)


def _systems(schema: Document) -> tuple[str, ...]:
    """Return the short names of the CRS of a bounding box, the default first."""
    found = [
        part["properties"]["crs"] for part in _parts(schema) if "crs" in part.get("properties", {})
    ]
    uris = [uri for crs in found for uri in [crs.get("default"), *crs.get("enum", [])] if uri]
    return tuple(dict.fromkeys(_short(uri) for uri in uris))


def _short(uri: str) -> str:
    """Return the name of a CRS; EPSG/0/4326 keeps its URI, by which latitudes come first."""
    if _CRS84.fullmatch(uri):
        return LONGITUDE_LATITUDE
    code = _EPSG.fullmatch(uri)
    return f"EPSG:{code[1]}" if code else uri


def inputs_document(process: ProcessDescription, encoded: Sequence[tuple[str, Any]]) -> Document:
    """Return the inputs of an execute document.

    Parameters
    ----------
    process : ProcessDescription
    encoded : sequence
        The inputs, as ``encode_inputs`` makes them.
    """
    values: dict[str, list[Any]] = {}
    for name, value in encoded:
        values.setdefault(name, []).append(_value(process.inputs[name], value))
    return {
        name: found if process.inputs[name].max_occurs > 1 else found[0]
        for name, found in values.items()
    }


def _value(given: InputDescription, value: Any) -> Any:  # noqa: ANN401 - OWSLib has no types
    if isinstance(value, str):
        return _literal(given, value)
    if isinstance(value, Reference):
        return {"href": value.href} | ({"type": value.media_type} if value.media_type else {})
    if isinstance(value, Content):
        return _content(value)
    corners = [*value.lower_corner, *value.upper_corner]
    crs = str(value.crs)
    return {"bbox": corners} | ({} if crs == LONGITUDE_LATITUDE else {"crs": crs})


def _literal(given: InputDescription, text: str) -> Any:  # noqa: ANN401 - JSON
    """Return a literal of its type; an empty text stands for none."""
    try:
        return _READERS[given.type](text) if text and given.type in _READERS else text
    except (KeyError, ValueError):
        raise InputValueError(
            f"input {given.name!r}: {text!r} is not of type {given.type}"
        ) from None


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _truth(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]


_READERS: dict[str, Callable[[str], object]] = {
    "integer": int,
    "float": _number,
    "boolean": _truth,
}


def _content(content: Content) -> Document:
    found: Document = {"mediaType": content.media_type} if content.media_type else {}
    if isinstance(content.data, bytes):
        return found | {"value": b64encode(content.data).decode(), "encoding": "base64"}
    if content.media_type and "json" in content.media_type:
        try:
            return found | {"value": json.loads(content.data, parse_constant=_refuse)}
        except (ValueError, RecursionError):
            pass
    return found | {"value": content.data}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
