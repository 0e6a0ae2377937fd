"""The vocabulary of WPS 1.0.0 documents."""

from typing import Final

from lxml import etree
from lxml.builder import ElementMaker

WPS_NS: Final = "http://www.opengis.net/wps/1.0.0"
OWS_NS: Final = "http://www.opengis.net/ows/1.1"
XLINK_NS: Final = "http://www.w3.org/1999/xlink"
XML_NS: Final = "http://www.w3.org/XML/1998/namespace"
NAMESPACES: Final = {"wps": WPS_NS, "ows": OWS_NS, "xlink": XLINK_NS}

WPS = ElementMaker(namespace=WPS_NS, nsmap=NAMESPACES)
OWS = ElementMaker(namespace=OWS_NS, nsmap=NAMESPACES)
BARE = ElementMaker()

HREF: Final = f"{{{XLINK_NS}}}href"
LANG: Final = f"{{{XML_NS}}}lang"

LANGUAGE: Final = "en-US"
VERSION: Final = "1.0.0"
MEDIA_TYPE: Final = "text/xml; charset=utf-8"


def document(root: etree._Element) -> bytes:
    """Return a document as bytes."""
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def clean(text: str) -> str:
    """Drop the characters that XML cannot carry."""
    return "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))
