"""What routes say of themselves for the OpenAPI document."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from candela.gateway.protocols.ogcapi.vocabulary import JSON, Document

View = TypeVar("View", bound=Callable[..., Any])
OPERATION = "operation"  # the attribute of a view


@dataclass(frozen=True)
class Answer:
    """An answer of an operation.

    Attributes
    ----------
    text : str
        What it means.
    schema : str
        The name of a schema of the document; empty for an answer without content.
    media_types : tuple of str
        The forms that it comes in.
    headers : mapping of str to str
        Headers and what they mean.
    """

    text: str
    schema: str = ""
    media_types: tuple[str, ...] = (JSON,)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """An operation: its name for generated clients, and what it takes and gives.

    Attributes
    ----------
    name : str
        The operationId.
    parameters : mapping of str to mapping
        Parameters of the query string: their schema, with a description.
    headers : mapping of str to str
        Headers of the request and what they mean.
    body : str
        The name of the schema of the body.
    """

    name: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    parameters: Mapping[str, Document] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    text: str = ""


def documented(operation: Operation) -> Callable[[View], View]:
    """Describe a view by an operation."""

    def describe(view: View) -> View:
        setattr(view, OPERATION, operation)
        return view

    return describe
