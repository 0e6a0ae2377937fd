"""The OpenAPI 3.0 document: made of the routes, the processes and the schemas."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from candela import __version__
from candela.gateway.problems import MEDIA_TYPE
from candela.gateway.protocols.ogcapi.descriptions import input_schema, is_json
from candela.gateway.protocols.ogcapi.operations import Answer, Operation
from candela.gateway.protocols.ogcapi.schemas import SCHEMAS, closed, listed, record, ref
from candela.gateway.protocols.ogcapi.vocabulary import JSON, Document
from candela.settings import Metadata
from candela.spec import InputSpec, ProcessSpec

VARIABLE = re.compile(r"<(?:[a-z]+:)?(\w+)>")
VARIABLES = {"job_id": "jobID", "process_id": "processID", "output": "outputID"}
EXECUTION = "/processes/{processID}/execution"
FORM: Document = {
    "type": "string",
    "enum": ["json", "html"],
    "description": "The form of the answer, in place of the Accept header.",
}


class Route(NamedTuple):
    """A method of an address and its operation."""

    method: str
    rule: str
    operation: Operation

    @property
    def path(self) -> str:
        """The address as OpenAPI writes it."""
        return VARIABLE.sub(lambda found: f"{{{VARIABLES[found[1]]}}}", self.rule)

    @property
    def variables(self) -> list[str]:
        """The variables in the address."""
        return [VARIABLES[name] for name in VARIABLE.findall(self.rule)]


def openapi_document(
    routes: Iterable[Route], specs: Mapping[str, ProcessSpec], metadata: Metadata, base_url: str
) -> Document:
    """Return the document; each process has an address of its own with the schema of its inputs."""
    paths: dict[str, Document] = {}
    for route in sorted(routes, key=lambda route: (route.path, route.method)):
        operation = _operation(route.operation, route.variables)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
        if route.path == EXECUTION:
            for name, spec in specs.items():
                path = EXECUTION.format(processID=name)
                paths[path] = {route.method.lower(): _execution(route.operation, spec)}
    executes = {f"execute-{name}": _execute_schema(spec) for name, spec in specs.items()}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": metadata.title,
            "description": metadata.abstract,
            "version": __version__,
            "contact": {"name": metadata.provider} | _url(metadata.provider_url),
        },
        "servers": [{"url": base_url}],
        "tags": [{"name": tag} for tag in ("Service", "Processes", "Jobs", "Results")],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {**SCHEMAS, **executes}},
    }


def _url(url: str) -> Document:
    return {"url": url} if url else {}


def _operation(operation: Operation, variables: Iterable[str]) -> Document:
    found: Document = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.text:
        found["description"] = operation.text
    parameters = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"}}
        for name in variables
    ]
    parameters += [_query(name, schema) for name, schema in operation.parameters.items()]
    parameters += [
        {"in": "header", "name": name, "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    if parameters:
        found["parameters"] = parameters
    if operation.body:
        found["requestBody"] = _body(operation.body)
    answers = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    return found | {"responses": answers | {"default": _problem()}}


def _query(name: str, schema: Document) -> Document:
    text = schema.get("description", "")
    bare = {key: value for key, value in schema.items() if key != "description"}
    return {"in": "query", "name": name, "description": text, "schema": bare}


def _body(schema: str) -> Document:
    return {"required": True, "content": {JSON: {"schema": ref(schema)}}}


def _answer(answer: Answer) -> Document:
    found: Document = {"description": answer.text}
    if answer.headers:
        found["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in answer.headers.items()
        }
    if answer.schema:
        found["content"] = {
            media_type: {"schema": ref(answer.schema if media_type == JSON else "text")}
            for media_type in answer.media_types
        }
    return found


def _problem() -> Document:
    content = {media_type: {"schema": ref("exception")} for media_type in (MEDIA_TYPE, JSON)}
    return {"description": "A problem (RFC 9457).", "content": content}


def _execution(operation: Operation, spec: ProcessSpec) -> Document:
    """Return the execution of one process."""
    found = _operation(operation, ())
    name = re.sub(r"\W", "", spec.identifier)
    return found | {
        "operationId": f"{operation.name}{name}",
        "summary": f"{operation.summary.rstrip('.')}: {spec.title}",
        "description": spec.abstract,
        "requestBody": _body(f"execute-{spec.identifier}"),
    }


def _execute_schema(spec: ProcessSpec) -> Document:
    """Return the schema of the execute document of one process."""
    required = [name for name, given in spec.inputs.items() if given.is_required]
    inputs = record(**{name: _values(given) for name, given in spec.inputs.items()})
    if required:
        inputs["required"] = required
    wanted = SCHEMAS["execute"]["properties"]["outputs"]["additionalProperties"]
    outputs = record(**dict.fromkeys([*spec.outputs, *spec.links], wanted))
    own = {"inputs": closed(inputs), "outputs": closed(outputs)}
    whole = SCHEMAS["execute"]["properties"] | own
    return closed(record("inputs" if required else "", **whole))


def _values(given: InputSpec) -> Document:
    schema = _file_schema(given) if given.is_complex else input_schema(given)
    default = schema.pop("default", None)
    if given.is_complex:
        one = [schema, ref("reference"), ref("qualifiedValue")]
    elif given.is_bbox:
        one = [ref("bbox"), _qualified(ref("bbox"))]
    else:
        one = [schema, ref("reference"), _qualified(schema)]
    if given.is_list:
        one.append(listed({"anyOf": list(one)}))
    found: Document = {"title": given.title, "anyOf": one}
    return found if default is None else found | {"default": default}


def _qualified(schema: Document) -> Document:
    """Return the schema of a qualified value whose value has a schema."""
    return closed(record("value", **(SCHEMAS["qualifiedValue"]["properties"] | {"value": schema})))


def _file_schema(given: InputSpec) -> Document:
    """Return the schema of a file: OpenAPI 3.0 has no words for the media type of a text."""
    media_types = ", ".join(given.media_types)
    text = {"type": "string", "description": f"Text, or base64 where binary: {media_types}."}
    return {"anyOf": [text, {"type": "object"}]} if is_json(given) else text
