"""Labels that users give patches: the document of POST /patches/annotations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from flask import jsonify
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import InvalidValueError, MissingValueError, blamed_on
from candela.gateway.parameters import (
    LONGEST,
    json_document,
    plain_text,
    query_of_request,
    whole_number,
)
from candela.gateway.search.filters import HIGHEST
from candela.gateway.search.patches import PatchesApi
from candela.patches.store.annotate import LabelAssignment, Source, annotate

MAX_BODY_BYTES = 4 * 2**20
MOST_LABELLED = 10_000  # patches in one request


def _plain(text: str) -> str:
    with _as_value_error():
        return plain_text(text, "the text", LONGEST)


def _number(text: str) -> int:
    with _as_value_error():
        return whole_number(text, "the number of a patch", 0, HIGHEST)


@contextmanager
def _as_value_error() -> Iterator[None]:
    """Give pydantic the errors that it knows, to which it adds the place in the document."""
    try:
        yield
    except InvalidValueError as error:
        raise ValueError(error.message) from None


def _entries(labels: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """Return the labels of a patch as objects: a code stands for a label without confidence."""
    entries = labels if isinstance(labels, list) else [labels]
    return [{"code": entry} if isinstance(entry, str) else entry for entry in entries]


Text = Annotated[str, AfterValidator(_plain)]


class Strict(BaseModel):
    """A document without members that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LabelDocument(Strict):
    """A label of a patch."""

    code: Text
    confidence: float | None = Field(default=None, ge=0, le=1)


def _each_once(labels: list[LabelDocument]) -> list[LabelDocument]:
    if len({label.code for label in labels}) < len(labels):
        raise ValueError("a patch has the same label twice")
    return labels


Labels = Annotated[list[LabelDocument], BeforeValidator(_entries), AfterValidator(_each_once)]
PatchNumber = Annotated[int, BeforeValidator(_number)]


class AnnotationDocument(Strict):
    """Labels of patches, in place of those that the same user gave before."""

    scheme: Text
    labels: dict[PatchNumber, Labels] = Field(max_length=MOST_LABELLED)
    origin: Literal["manual", "model", "reference"] = "manual"
    sensor: Literal["", "s1", "s2", "fused"] = ""
    visibility: Literal["private", "public"] = "private"


def annotate_patches(api: PatchesApi) -> BaseResponse:
    """Give patches their labels."""
    query_of_request()
    document = annotations_of(json_document(MAX_BODY_BYTES))
    labels = {
        patch: [LabelAssignment(label.code, label.confidence) for label in of_patch]
        for patch, of_patch in document.labels.items()
    }
    with api.writing() as connection, blamed_on("labels"):
        annotate(
            connection,
            api.viewer,
            document.scheme,
            labels,
            source=Source(document.origin, document.sensor),
            visibility=document.visibility,
        )
    count = sum(len(of_patch) for of_patch in labels.values())
    return jsonify(owner=api.viewer, patches=len(labels), labels=count)


def annotations_of(document: Any) -> AnnotationDocument:  # noqa: ANN401 - JSON
    """Read labels from a JSON document.

    Raises
    ------
    MissingValueError, InvalidValueError
        With the name of the member that is to blame.
    """
    try:
        annotations = AnnotationDocument.model_validate(document)
    except ValidationError as error:
        raise _refusal(error) from None
    if annotations.sensor and annotations.origin != "model":
        raise InvalidValueError("a sensor goes with origin model", "sensor")
    return annotations


def _refusal(error: ValidationError) -> InvalidValueError | MissingValueError:
    """Return the first error of a document with the member to blame."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = [str(part) for part in found["loc"]]
    if found["type"] == "extra_forbidden":
        name = place[-1][:LONGEST]
        return InvalidValueError(f"there is no member {name!r} here", name)
    if found["type"] == "missing" and len(place) == 1:
        return MissingValueError(f"{place[0]} is missing", place[0])
    text = found["msg"].removeprefix("Value error, ")
    return InvalidValueError(
        f"{' '.join(place) or 'the body'}: {text}", place[0] if place else "body"
    )
