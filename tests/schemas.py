"""Validation of OGC documents, offline.

The schemas of the OGC are not part of this repository; `make test` fetches them from Maven's
registry where they are not at hand.
"""

import os
from functools import cache
from pathlib import Path

from lxml import etree

W3C = Path(__file__).parent / "w3c"
SHARED = Path(__file__).parents[2] / "shared" / "schemas"
CACHE = Path(__file__).parents[1] / ".cache" / "schemas"
ROOTS = {
    "http://www.opengis.net/wps/1.0.0": "ogc/wps/1.0.0/wpsAll.xsd",
    "http://www.opengis.net/ows/1.1": "ogc/ows/1.1.0/owsAll.xsd",
}  # by namespace of a document's root


def schema_folder() -> Path | None:
    """Return the folder with ``ogc/``: that in CANDELA_SCHEMAS, or one found nearby."""
    named = os.environ.get("CANDELA_SCHEMAS")
    for folder in (*([Path(named)] if named else []), SHARED, CACHE):
        if (folder / "ogc").is_dir():
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
    folder = schema_folder()
    assert folder is not None
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Offline(folder))
    return etree.XMLSchema(etree.parse(str(folder / ROOTS[namespace]), parser))


def assert_valid(content: bytes) -> etree._Element:
    """Check a document against the schema of its root, and return the root."""
    root = etree.fromstring(content)
    if schema_folder() is not None:
        schema = schema_for(etree.QName(root).namespace)
        valid = schema.validate(root)
        assert valid, f"{schema.error_log}\n{content.decode()}"
    return root
