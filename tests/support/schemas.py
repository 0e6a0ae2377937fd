"""Validation of OGC documents, offline.

The schemas of the OGC are not part of this repository; `make test` fetches them from Maven's
registry where they are not at hand.
"""

import os
from functools import cache
from pathlib import Path

import jsonschema
import yaml
from lxml import etree

W3C = Path(__file__).parent / "w3c"
SHARED = Path(__file__).parents[3] / "shared" / "schemas"
CACHE = Path(__file__).parents[2] / ".cache" / "schemas"
ROOTS = {
    "http://www.opengis.net/wps/1.0.0": "ogc/wps/1.0.0/wpsAll.xsd",
    "http://www.opengis.net/wps/2.0": "ogc/wps/2.0/wps.xsd",
    "http://www.opengis.net/ows/1.1": "ogc/ows/1.1.0/owsAll.xsd",
    "http://www.opengis.net/ows/2.0": "ogc/ows/2.0/owsAll.xsd",
    "http://www.opengis.net/ogc": "ogc/wms/1.3.0/exceptions_1_3_0.xsd",
    "http://www.opengis.net/wms": "ogc/wms/1.3.0/capabilities_1_3_0.xsd",
    "http://www.opengis.net/wcs": "ogc/wcs/1.0.0/wcsCapabilities.xsd",
    "http://www.opengis.net/wcs/2.0": "ogc/wcs/2.0/wcsAll.xsd",
    "http://www.opengis.net/wfs/2.0": "ogc/wfs/2.0/wfs.xsd",
    "http://www.opengis.net/gml/3.2": "ogc/gml/3.2.1/gml.xsd",
}  # by namespace of a document's root
WFS = "http://www.opengis.net/wfs/2.0"


OGCAPI = Path("ogc/ogcapi/processes/part1/1.0/openapi/schemas")


def schema_folder(namespace: str = "http://www.opengis.net/wps/1.0.0") -> Path | None:
    """Return the folder with the schemas of a namespace: CANDELA_SCHEMAS, or one found nearby."""
    named = os.environ.get("CANDELA_SCHEMAS")
    for folder in (*([Path(named)] if named else []), SHARED, CACHE):
        if (folder / ROOTS[namespace]).is_file():
            return folder
    return None


class Offline(etree.Resolver):
    """Finds the schemas of the OGC and the W3C in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def resolve(self, url, _, context):
        host, _, path = url.partition("://")[2].partition("/")
        if host == "schemas.opengis.net":
            return self.resolve_filename(str(self._folder / "ogc" / path), context)
        if host == "www.w3.org":
            return self.resolve_filename(str(W3C / Path(path).name), context)
        return None


@cache
def schema_for(namespace: str) -> etree.XMLSchema:
    """Return the schema of the documents of a namespace."""
    folder = schema_folder(namespace)
    assert folder is not None
    return etree.XMLSchema(etree.parse(str(folder / ROOTS[namespace]), _parser(folder)))


def _parser(folder: Path) -> etree.XMLParser:
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Offline(folder))
    return parser


def schema_of_features(description: bytes, place: Path) -> etree.XMLSchema:
    """Return the schema of an answer to GetFeature, from what DescribeFeatureType says.

    The schemas go into a folder for this.
    """
    folder = schema_folder(WFS)
    assert folder is not None
    (place / "described.xsd").write_bytes(description)
    name = etree.fromstring(description).get("targetNamespace")
    whole = f"""<schema xmlns="http://www.w3.org/2001/XMLSchema">
      <import namespace="{name}" schemaLocation="described.xsd"/>
      <import namespace="{WFS}" schemaLocation="{(folder / ROOTS[WFS]).as_uri()}"/>
    </schema>"""
    (place / "whole.xsd").write_text(whole)
    return etree.XMLSchema(etree.parse(str(place / "whole.xsd"), _parser(folder)))


def assert_valid(content: bytes) -> etree._Element:
    """Check a document against the schema of its root, and return the root."""
    root = etree.fromstring(content)
    namespace = etree.QName(root).namespace
    if schema_folder(namespace) is not None:
        schema = schema_for(namespace)
        valid = schema.validate(root)
        assert valid, f"{schema.error_log}\n{content.decode()}"
    return root


def json_schema_folder() -> Path | None:
    """Return the folder with the schemas of OGC API - Processes, if they are at hand."""
    named = os.environ.get("CANDELA_SCHEMAS")
    for folder in (*([Path(named)] if named else []), SHARED, CACHE):
        if (folder / OGCAPI / "statusInfo.yaml").is_file():
            return folder / OGCAPI
    return None


@cache
def json_schema(name: str) -> dict:
    """Return a schema of OGC API - Processes with those that it refers to in their places.

    NOTE: ``oneOf`` becomes ``anyOf``: a whole number is a number and an integer, so that by the
    letter no result could have one (opengeospatial/ogcapi-processes, issue 350).
    """
    folder = json_schema_folder()
    assert folder is not None
    return _resolved(yaml.safe_load((folder / name).read_text()), (name,))


def _resolved(node, above):
    if isinstance(node, list):
        return [_resolved(item, above) for item in node]
    if not isinstance(node, dict):
        return node
    name = node.get("$ref")
    if isinstance(name, str):
        return {} if name in above or len(above) > 8 else _schema_below(name, above)
    renamed = {
        "anyOf" if key == "oneOf" and isinstance(value, list) else key: value
        for key, value in node.items()
    }
    for key in ("exclusiveMinimum", "exclusiveMaximum"):  # booleans before JSON Schema's draft 6
        if isinstance(renamed.get(key), bool):
            del renamed[key]
    return {key: _resolved(value, above) for key, value in renamed.items()}


def _schema_below(name, above):
    folder = json_schema_folder()
    assert folder is not None
    return _resolved(yaml.safe_load((folder / name).read_text()), (*above, name))


def assert_valid_json(document: object, name: str) -> None:
    """Check a document against a schema of OGC API - Processes, such as ``statusInfo.yaml``."""
    if json_schema_folder() is not None:
        jsonschema.validate(document, json_schema(name), jsonschema.Draft7Validator)
