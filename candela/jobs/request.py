"""The canonical Execute request: what all protocols are translated into, and its checks.

It is the execute document of OGC API - Processes (OGC 18-062r2, 7.11.2).
"""

import binascii
import datetime as dt
import re
from base64 import b64decode
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from candela.contract.job import (
    Box,
    Document,
    Inline,
    Literal_,
    Reference,
    StoredValue,
    Value,
    Values,
)
from candela.contract.names import is_crs_name, without_secrets
from candela.errors import (
    InvalidValueError,
    MissingValueError,
    NoSuchFormatError,
    NoSuchOutputError,
    PublicError,
    TooLargeError,
    TooManyInputsError,
    blamed_on,
)
from candela.spec import InputSpec, OutputSpec, ProcessSpec

SCHEMES_OF_WEB = ("http://", "https://")
SCHEMES = (*SCHEMES_OF_WEB, "file://", "s3://")

_SPACE = b" \t\r\n\v\f"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # a token of RFC 9110
_HEADER_TEXT = re.compile(r"[\t\x20-\x7e\xa0-\xff]{0,8000}")


class OutputRequest(Document):
    """How an output is wanted."""

    transmission_mode: Literal["value", "reference"] | None = Field(
        default=None, alias="transmissionMode"
    )
    media_type: str | None = Field(default=None, alias="mediaType")


class ExecuteRequest(Document):
    """What is asked of a process.

    Attributes
    ----------
    outputs : dict
        The outputs wanted; empty means all.
    response : str
        ``raw`` for the bare values of outputs.
    lineage : bool
        Whether the answer repeats inputs and output definitions (WPS 1.0.0).
    """

    inputs: dict[str, Values] = Field(default_factory=dict)
    outputs: dict[str, OutputRequest] = Field(default_factory=dict)
    response: Literal["raw", "document"] = "document"
    lineage: bool = False


class UnreadableRequest(ExecuteRequest):
    """Stands for a request in the database that is not valid; such a job is never started."""


def checked(spec: ProcessSpec, request: ExecuteRequest, *, max_input_bytes: int) -> ExecuteRequest:
    """Check a request against the description of its process.

    Returns
    -------
    ExecuteRequest
        The request with literals of the right type and defaults filled in, its inputs under the
        names that they have without an alias.

    Raises
    ------
    RequestError
        With the input or output to blame as its locator.
    """
    spec.refuse_unknown_inputs(request.inputs)
    own_names = spec.original.inputs if spec.original else {}
    inputs = {}
    for name, described in spec.inputs.items():
        with blamed_on(name):
            values = _checked_input(name, described, request.inputs.get(name, []), max_input_bytes)
        if values:
            inputs[own_names.get(name, name)] = values
    _check_outputs(spec, request)
    return request.model_copy(update={"inputs": inputs})


def _checked_input(
    name: str, described: InputSpec, values: list[Value], max_input_bytes: int
) -> list[Value]:
    if described.is_literal and (described.default is not None or not described.min_occurs):
        values = [value for value in values if not _is_empty(value)]
    if not values and described.default is not None:
        return [_as_json(described.default)]
    if len(values) < described.min_occurs:
        found = f"{len(values)} values" if values else "no value"
        raise MissingValueError(
            f"input {name!r} needs at least {described.min_occurs} "
            f"value{'s' if described.min_occurs > 1 else ''}, found {found}"
        )
    if len(values) > described.max_occurs:
        raise TooManyInputsError(
            f"input {name!r} takes at most {described.max_occurs} "
            f"value{'s' if described.max_occurs > 1 else ''}, found {len(values)}"
        )
    if any(isinstance(value, StoredValue) for value in values):  # ours alone, of accepted jobs
        raise InvalidValueError(f"input {name!r} is neither a value nor a reference")
    return [_checked_value(name, described, value, max_input_bytes) for value in values]


def _is_empty(value: Value) -> bool:
    """Tell whether a literal was left empty, as forms of clients leave what is optional."""
    text = value.value if isinstance(value, Inline) else value
    return isinstance(text, str) and not text.strip()


def _checked_value(name: str, described: InputSpec, value: Value, max_input_bytes: int) -> Value:
    if described.is_literal and isinstance(value, Reference):
        return _checked_text(name, value)
    if described.is_literal:
        return _checked_literal(name, described, value)
    if described.is_bbox:
        return _checked_box(name, value)
    if isinstance(value, str):
        value = Inline(value=value)
    if not isinstance(value, Reference | Inline):
        raise InvalidValueError(f"input {name!r} is a file ({described.type}), found {value!r}")
    declared = value.type if isinstance(value, Reference) else value.media_type
    _check_media_type(name, described, declared)
    if isinstance(value, Reference):
        _check_reference(name, value)
    else:
        _check_inline(name, value, max_input_bytes)
    return value


def _checked_literal(name: str, described: InputSpec, value: Value) -> Literal_:
    if isinstance(value, Inline) and value.encoding is None:
        value = value.value
    if isinstance(value, Reference | Inline | StoredValue | Box):
        raise InvalidValueError(
            f"input {name!r} is a literal of type {described.type}, found a structured value"
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return _as_json(described.parse(text))
    except PublicError as error:
        raise InvalidValueError(f"input {name!r}: {error.message}") from None


def _checked_text(name: str, value: Reference) -> Reference:
    """Check a reference to the text of a literal, which the worker reads."""
    if value.type and not value.type.lower().strip().startswith("text/"):
        raise NoSuchFormatError(
            f"input {name!r} has media type {value.type!r}, expected text/plain: it is a literal"
        )
    _check_reference(name, value)
    return value


def _as_json(value: object) -> Literal_:
    if isinstance(value, dt.date):  # a datetime is a date too
        return value.isoformat()
    assert isinstance(value, bool | int | float | str)  # the literal types there are
    return value


def _checked_box(name: str, value: Value) -> Box:
    if not isinstance(value, Box):
        found = "a reference" if isinstance(value, Reference) else repr(value)
        raise InvalidValueError(f"input {name!r} is a bounding box, found {found}")
    if not is_crs_name(value.crs):
        raise InvalidValueError(
            f"input {name!r}: {value.crs!r} is no coordinate reference system "
            "(expected a name such as EPSG:32631)"
        )
    left, bottom, right, top = value.bbox
    if left > right or bottom > top:
        raise InvalidValueError(
            f"input {name!r}: the lower corner {left:g}, {bottom:g} is not below and left of the "
            f"upper corner {right:g}, {top:g}"
        )
    return value


def _check_media_type(name: str, described: InputSpec, declared: str | None) -> None:
    if declared is None:
        return
    offered = [media_type.replace(" ", "") for media_type in described.media_types]
    if declared.lower().replace(" ", "") not in offered:
        raise NoSuchFormatError(
            f"input {name!r} has media type {declared!r}, expected one of: "
            f"{', '.join(described.media_types)}"
        )


def _check_reference(name: str, value: Reference) -> None:
    for href in (value.href, value.body_reference):
        if href is not None and not _is_address(href):
            raise InvalidValueError(
                f"input {name!r}: {without_secrets(href)!r} is no address that can be fetched "
                f"(expected {', '.join(SCHEMES)}...)"
            )
    has_body = value.body is not None or value.body_reference is not None
    if value.method == "GET" and has_body:
        raise InvalidValueError(f"input {name!r}: a body is sent with method POST, found GET")
    is_of_web = value.href.lower().startswith(SCHEMES_OF_WEB)
    if not is_of_web and (value.method == "POST" or value.headers):
        raise InvalidValueError(
            f"input {name!r}: method POST and headers are for http and https addresses"
        )
    for key, text in value.headers.items():
        if not _HEADER_NAME.fullmatch(key) or not _HEADER_TEXT.fullmatch(text):
            raise InvalidValueError(f"input {name!r}: {key!r} is no header with a text of one line")


def _is_address(href: str) -> bool:
    try:
        port = urlsplit(href).port
    except ValueError:
        return False
    return href.lower().startswith(SCHEMES) and href.isprintable() and port != 0


def _check_inline(name: str, value: Inline, max_input_bytes: int) -> None:
    if value.encoding == "base64":
        try:
            text = value.value.encode("ascii").translate(None, _SPACE)
            size = len(b64decode(text, validate=True))
        except (binascii.Error, ValueError) as error:
            raise InvalidValueError(f"input {name!r} is not valid base64: {error}") from None
    else:
        is_ascii = value.value.isascii()  # then nothing needs a copy
        size = len(value.value if is_ascii else value.value.encode(errors="replace"))
    if size > max_input_bytes:
        raise TooLargeError(f"input {name!r} has {size} bytes, at most {max_input_bytes} allowed")


def offered_outputs(spec: ProcessSpec) -> dict[str, OutputSpec | str]:
    """Return all outputs of a process, the links to layers too (by their media type)."""
    return {**spec.outputs, **{name: link[1] for name, link in spec.links.items()}}


def _check_outputs(spec: ProcessSpec, request: ExecuteRequest) -> None:
    offered = offered_outputs(spec)
    for name, wanted in request.outputs.items():
        if name not in offered:
            raise NoSuchOutputError(
                f"{spec.identifier} has no output {name!r} (outputs: {', '.join(offered)})", name
            )
        described = offered[name]
        media_types: tuple[str, ...]
        if isinstance(described, str):
            media_types = (described,)
        else:
            media_types = described.media_types if described.is_complex else ()
        found = (wanted.media_type or "").lower().replace(" ", "")
        if found and media_types and found not in [m.replace(" ", "") for m in media_types]:
            raise NoSuchFormatError(
                f"output {name!r} is offered as {', '.join(media_types)}, "
                f"not as {wanted.media_type!r}",
                name,
            )
