"""The execute document (execute.yaml) as the canonical request.

Values are read with the description of their input at hand: an object may be a reference, a
qualified value, a bounding box or, for an input that is JSON, the content itself.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from candela.contract.job import Box, Inline, Literal_, Reference, Value
from candela.errors import InvalidValueError, blamed_on
from candela.gateway.parameters import LONGEST, finite, plain_text, shown
from candela.gateway.protocols.crs import Corners, box_from
from candela.gateway.protocols.ogcapi.descriptions import (
    JSON_TYPES,
    LITERAL_SCHEMAS,
    is_json,
)
from candela.gateway.protocols.ogcapi.vocabulary import CRS84, Document
from candela.jobs.request import ExecuteRequest, OutputRequest, Subscriber
from candela.spec import TEXT_TYPES, InputSpec, ProcessSpec

ResponseForm = Literal["raw", "document"]
Transmission = Literal["value", "reference"]

MEMBERS = ("inputs", "outputs", "response")
QUALIFIED = frozenset({"value", "mediaType", "encoding", "schema", "format"})
LINKED = frozenset({"href", "type", "rel", "hreflang", "title", "format"})
LITERALS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}  # by the type of a schema
FORMAT = frozenset({"mediaType", "encoding", "schema"})
BINARY_ENCODINGS = frozenset({"base64", "binary"})
TEXT_ENCODINGS = frozenset({"utf-8", "utf8"})
OF_X_Y = frozenset({CRS84.lower(), "epsg:4326", "urn:ogc:def:crs:ogc:1.3:crs84"})


def execute_request(document: Any, spec: ProcessSpec) -> ExecuteRequest:  # noqa: ANN401 - JSON
    """Read an execute document.

    Raises
    ------
    RequestError
        With the input, output or member to blame, if it is not what the standard says.
    """
    given = _object(document, "body", frozenset(MEMBERS) | {"subscriber"})
    inputs = _object(given.get("inputs", {}), "inputs")
    spec.refuse_unknown_inputs(inputs)
    outputs = _object(given.get("outputs", {}), "outputs")
    response = _choice(given.get("response", "raw"), "response", get_args(ResponseForm))
    return ExecuteRequest(
        inputs={name: _values(name, value, spec.inputs[name]) for name, value in inputs.items()},
        outputs={name: _output(name, wanted) for name, wanted in outputs.items()},
        response=response,
        subscriber=_subscriber(given["subscriber"]) if "subscriber" in given else None,
    )


def _subscriber(value: object) -> Subscriber:
    """Return the addresses that news of the job is sent to (subscriber.yaml)."""
    members = frozenset({"successUri", "inProgressUri", "failedUri"})
    for name, uri in _object(value, "subscriber", members).items():
        plain_text(uri, f"subscriber.{name}", 2000)
    return Subscriber.model_validate(value)


def _object(value: object, name: str, members: frozenset[str] | None = None) -> Document:
    """Return an object without other members than some."""
    if not isinstance(value, dict):
        raise InvalidValueError(f"{name} is {_kind(value)}, expected an object", _locator(name))
    for member in value:
        if members is not None and member not in members:
            raise InvalidValueError(
                f"{name} has a member {shown(member)} (members: {', '.join(sorted(members))})",
                member[:LONGEST] if name == "body" else _locator(name),
            )
    return value


def _locator(name: str) -> str:
    """Return a member of the document; what is deeper is blamed on its input or output."""
    return "" if name.startswith(("input ", "output ")) else name


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _choice(value: object, name: str, allowed: tuple[str, ...]) -> Any:  # noqa: ANN401
    if value not in allowed:
        found = shown(value) if isinstance(value, str) else _kind(value)
        raise InvalidValueError(
            f"{name} is {found}, expected one of {', '.join(allowed)}", _locator(name)
        )
    return value


def _text(given: Document, member: str, name: str) -> str | None:
    """Return a text of an object; None where it is not there."""
    value = given.get(member, "")
    if not isinstance(value, str):
        raise InvalidValueError(f"{name}: {member} is {_kind(value)}, expected a text")
    return value if member in given else None


def _values(name: str, value: object, described: InputSpec) -> list[Value]:
    with blamed_on(name):
        items = value if isinstance(value, list) else [value]
        return [_value(name, item, described) for item in items]


def _value(name: str, value: object, described: InputSpec) -> Value:
    if isinstance(value, dict):
        return _structured(name, value, described)
    if described.is_complex and isinstance(value, str):
        return _content(value, described)
    if described.is_literal and isinstance(value, bool | int | float | str):
        return _literal(name, value, described)
    raise InvalidValueError(f"input {name!r} is {_kind(value)}, expected a value or a reference")


def _literal(name: str, value: float | str, described: InputSpec) -> Literal_:
    """Return a literal of the type that its schema has; an empty text stands for none."""
    kind = LITERAL_SCHEMAS[described.type]["type"]
    if isinstance(value, float) and value.is_integer() and kind == "integer":
        return int(value)
    is_boolean = isinstance(value, bool)
    if value != "" and (is_boolean != (kind == "boolean") or not isinstance(value, LITERALS[kind])):
        found = shown(value) if isinstance(value, str) else _kind(value)
        raise InvalidValueError(f"input {name!r} is {found}, expected {kind}")
    return value


def _structured(name: str, value: Document, described: InputSpec) -> Value:
    if "href" in value:
        return _reference(name, value)
    if "value" in value:
        return _qualified(name, value, described)
    if described.is_bbox:
        return _box(name, value)
    if is_json(described):
        return Inline(value=json.dumps(value))
    raise InvalidValueError(
        f"input {name!r} is an object without value and href, expected one of them"
    )


def _format(name: str, value: Document) -> Document:
    """Return media type and encoding, which may stand in ``format`` as well."""
    return value | _object(value.get("format", {}), f"input {name!r}: format", FORMAT)


def _reference(name: str, value: Document) -> Reference:
    _object(value, f"input {name!r}", LINKED)
    where = f"input {name!r}"
    href = _text(value, "href", where) or ""
    media_type = _text(value, "type", where) or _text(_format(name, value), "mediaType", where)
    return Reference(href=href.strip(), type=media_type)


def _qualified(name: str, value: Document, described: InputSpec) -> Value:
    _object(value, f"input {name!r}", QUALIFIED)
    found = _format(name, value)
    media_type = _text(found, "mediaType", f"input {name!r}")
    encoding = (_text(found, "encoding", f"input {name!r}") or "").lower()
    content = value["value"]
    if described.is_literal or described.is_bbox:
        return _value(name, content, described)
    if not isinstance(content, str):
        if not is_json(described) or content is None:
            raise InvalidValueError(f"input {name!r} has {_kind(content)} as value, expected text")
        return Inline(value=json.dumps(content), media_type=media_type)
    if encoding in BINARY_ENCODINGS:
        return Inline(value=content, media_type=media_type, encoding="base64")
    if encoding and encoding not in TEXT_ENCODINGS:
        raise InvalidValueError(
            f"input {name!r} has encoding {shown(encoding)}, expected base64 or UTF-8"
        )
    if encoding:
        return Inline(value=content, media_type=media_type)
    return _content(content, described, media_type)


def _content(text: str, described: InputSpec, media_type: str | None = None) -> Inline:
    """Return content without a declared encoding: base64 where it can be binary only.

    A text that is no JSON, of an input that is, stands for itself: for the string of JSON.
    """
    kind = described.kind_of(media_type)
    kinds = {kind} if kind else set(described.kinds)
    if kinds.isdisjoint(TEXT_TYPES | JSON_TYPES):
        return Inline(value=text, media_type=media_type, encoding="base64")
    if "json" in kinds and not _is_json(text):
        text = json.dumps(text, ensure_ascii=False)
    return Inline(value=text, media_type=media_type)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _box(name: str, value: Document) -> Box:
    _object(value, f"input {name!r}", frozenset({"bbox", "crs"}))
    numbers = value.get("bbox")
    if not isinstance(numbers, list) or len(numbers) != 4:
        found = f"{len(numbers)} numbers" if isinstance(numbers, list) else _kind(numbers)
        raise InvalidValueError(f"input {name!r} has {found} as bbox, expected 4 numbers")
    corners: Corners = tuple(finite(number, name) for number in numbers)  # type: ignore[assignment]
    crs = _text(value, "crs", f"input {name!r}") or CRS84
    if crs.lower() in OF_X_Y:
        return Box(bbox=corners)
    return box_from(corners, crs)


def _output(name: str, wanted: object) -> OutputRequest:
    with blamed_on(name):
        given = _object(wanted, f"output {name!r}", frozenset({"format", "transmissionMode"}))
        form = _object(given.get("format", {}), f"output {name!r}: format", FORMAT)
        media_type, _ = (_text(form, member, name) for member in ("mediaType", "encoding"))
        mode = given.get("transmissionMode")
        if mode is not None:
            _choice(mode, f"output {name!r}: transmissionMode", get_args(Transmission))
        return OutputRequest(transmission_mode=mode, media_type=media_type)


def request_document(request: ExecuteRequest, inputs: Mapping[str, list[Any]]) -> Document:
    """Return a request as an execute document that can be sent again."""
    outputs: Document = {}
    for name, wanted in request.outputs.items():
        outputs[name] = {}
        if wanted.transmission_mode:
            outputs[name]["transmissionMode"] = wanted.transmission_mode
        if wanted.media_type:
            outputs[name]["format"] = {"mediaType": wanted.media_type}
    document: Document = {
        "inputs": {
            name: values[0] if len(values) == 1 else values for name, values in inputs.items()
        }
    }
    if outputs:
        document["outputs"] = outputs
    return document | {"response": request.response}
