"""What the XML documents of the protocols have in common: how they are written, and embedded."""

from collections.abc import Collection
from typing import Final

from lxml import etree

XLINK_NS: Final = "http://www.w3.org/1999/xlink"
XML_NS: Final = "http://www.w3.org/XML/1998/namespace"
HREF: Final = f"{{{XLINK_NS}}}href"
LANG: Final = f"{{{XML_NS}}}lang"

LANGUAGE: Final = "en-US"
MEDIA_TYPE: Final = "text/xml; charset=utf-8"
INLINE_MARKS = 100_000  # < and = of XML that is parsed into a response, some 120 bytes each


def document(root: etree._Element) -> bytes:
    """Return a document as bytes."""
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def clean(text: str) -> str:
    """Drop the characters that XML cannot carry."""
    return "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))


def content_of(element: etree._Element, namespaces: Collection[str]) -> str:
    """Return what stands in an element: the XML of its child, or its text.

    Parameters
    ----------
    namespaces : collection of str
        Those of the request, which do not belong to what is in it.
    """
    child = next(element.iterchildren(etree.Element), None)
    if child is None:
        return element.text or ""
    element.remove(child)  # out of the request, whose namespaces do not belong to it; no copy
    foreign = [prefix for prefix, uri in child.nsmap.items() if prefix and uri not in namespaces]
    etree.cleanup_namespaces(child, keep_ns_prefixes=foreign)
    return etree.tostring(child, encoding="unicode", with_tail=False)


def embedded(text: str) -> etree._Element | None:
    """Return the root of an XML document, or None where the text is none that can stand inside."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, encoding="utf-8")
    try:
        content = text.encode()
        if has_many_marks(content):
            return None
        root = etree.fromstring(content, parser)  # whatever encoding it declares
    except (etree.XMLSyntaxError, UnicodeEncodeError):
        return None
    return None if root.getroottree().docinfo.internalDTD is not None else root


def has_many_marks(content: bytes) -> bool:
    """Tell whether a document would take many times its size in memory."""
    return content.count(b"<") + content.count(b"=") > INLINE_MARKS
