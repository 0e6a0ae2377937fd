"""Process summaries and descriptions: JSON Schema of inputs and outputs from ``process.yaml``.

The dialect is that of ``schema.yaml`` of the standard, which is a schema of OpenAPI 3.0.
"""

import datetime as dt

from candela.gateway.protocols.ogcapi.vocabulary import (
    CRS84,
    EXECUTE,
    XML,
    Document,
    link,
    self_links,
)
from candela.gateway.results import Addresses
from candela.spec import TEXT_MEDIA_TYPES, UNBOUNDED, Described, InputSpec, OutputSpec, ProcessSpec

LITERAL_SCHEMAS: dict[str, Document] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "float": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}  # by type of a literal
JSON_TYPES = frozenset({"json", "geojson", "vector"})  # whose values may stand as objects
LAYER_SCHEMA: Document = {"type": "string", "format": "uri"}


def summary(spec: ProcessSpec, addresses: Addresses) -> Document:
    """Return the summary of a process (processSummary.yaml)."""
    address = addresses.process(spec.identifier)
    wps = f"{addresses.base_url}/wps?service=WPS&version=1.0.0&request=DescribeProcess"
    found: Document = {
        "id": spec.identifier,
        "title": spec.title,
        "description": spec.abstract,
        "version": spec.version,
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": ["value", "reference"],
        "links": [
            *self_links(address, f"The description of {spec.identifier}"),
            link(f"{address}/execution", EXECUTE, title=f"Execute {spec.identifier}"),
            link(f"{wps}&identifier={spec.identifier}", "alternate", XML, "As in WPS 1.0.0"),
        ],
    }
    if spec.keywords:
        found["keywords"] = list(spec.keywords)
    if spec.source:
        found["metadata"] = [{"title": spec.source, "role": "source"}]
    return found


def description(spec: ProcessSpec, addresses: Addresses) -> Document:
    """Return the description of a process (process.yaml), with its inputs and outputs in order."""
    outputs = {name: _output(output) for name, output in spec.outputs.items()}
    for name, (_, media_type, title) in spec.links.items():
        outputs[name] = {
            "title": title,
            "description": "An address that map clients take as that of the service.",
            "schema": LAYER_SCHEMA | {"contentMediaType": media_type},
        }
    inputs = {name: _input(given) for name, given in spec.inputs.items()}
    return summary(spec, addresses) | {"inputs": inputs, "outputs": outputs}


def _input(given: InputSpec) -> Document:
    found = _titles(given.title, given.abstract)
    if given.unit:
        found["metadata"] = [{"title": given.unit, "role": "unit"}]
    found["minOccurs"] = 1 if given.is_required else 0
    found["maxOccurs"] = 1
    return found | {"schema": _list_schema(given) if given.is_list else input_schema(given)}


def _list_schema(given: InputSpec) -> Document:
    """Return the schema of an input with several values: one array, of one or more."""
    limit = {"maxItems": given.max_occurs} if given.max_occurs < UNBOUNDED else {}
    return {
        "type": "array",
        "items": input_schema(given),
        "minItems": given.min_occurs,
        **limit,
    }


def _output(output: OutputSpec) -> Document:
    return _titles(output.title, output.abstract) | {"schema": output_schema(output)}


def _titles(title: str, abstract: str) -> Document:
    return {"title": title} | ({"description": abstract} if abstract else {})


def input_schema(given: InputSpec) -> Document:
    """Return the schema of one value of an input."""
    if given.is_bbox:
        return _box_schema(given.crs)
    if not given.is_literal:
        return _file_schema(given)
    found = dict(LITERAL_SCHEMAS[given.type])
    if given.allowed is not None:
        found["enum"] = [_plain(value) for value in given.allowed]
    if given.minimum is not None:
        found["minimum"] = given.minimum
    if given.maximum is not None:
        found["maximum"] = given.maximum
    if given.default is not None:
        found["default"] = _plain(given.default)
    return found


def output_schema(output: OutputSpec) -> Document:
    """Return the schema of the value of an output."""
    if output.is_literal:
        return dict(LITERAL_SCHEMAS[output.type])
    if output.is_bbox:
        return _box_schema(("EPSG:4326",))
    return _file_schema(output)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) else value


def crs_uri(name: str) -> str:
    """Return the URI of a CRS; of WGS 84 that with the order of axes that we have inside: x, y."""
    authority, _, code = name.partition(":")
    if authority.upper() != "EPSG":
        return name
    return CRS84 if code == "4326" else f"http://www.opengis.net/def/crs/EPSG/0/{code}"


def _box_schema(names: tuple[str, ...]) -> Document:
    """Return the schema of a box (bbox.yaml): minimum x, y, then maximum x, y.

    NOTE: ets-ogcapi-processes10 sends a text where an object stands outside of ``allOf``.
    """
    systems = [crs_uri(name) for name in names]
    crs = {"type": "string", "format": "uri", "enum": systems, "default": systems[0]}
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    box = {"type": "object", "required": ["bbox"], "properties": {"bbox": numbers, "crs": crs}}
    return {"allOf": [{"format": "ogc-bbox"}, box]}


def is_json(described: Described) -> bool:
    """Tell whether a value may be JSON, which stands as it is in a document."""
    return not JSON_TYPES.isdisjoint(described.kinds)


def _file_schema(described: Described) -> Document:
    schemas = [_content_schema(media_type) for media_type in described.media_types]
    if is_json(described):
        schemas.append({"type": "object"})
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _content_schema(media_type: str) -> Document:
    is_text = media_type in TEXT_MEDIA_TYPES or media_type.endswith("json")
    encoding = {} if is_text else {"contentEncoding": "binary"}
    return {"type": "string", **encoding, "contentMediaType": media_type}
