"""XML bodies of requests, parsed within limits of memory."""

import gc
from collections.abc import Iterable, Iterator

from lxml import etree
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from candela.errors import InvalidValueError, PublicError, TooLargeError

PIECE_BYTES = 64 * 1024
MOST_NODES = 500_000  # of a document, each of some 250 bytes in memory
HEAD_BYTES = 16 * 1024  # of a document, in which its root begins
PARSED = "a text is longer than 10 MB, or elements are nested more than 256 deep"
LIMITS = frozenset({63, 114})  # errors of libxml2: of CDATA sections, and of all other things
ELSEWHERE = "give large inputs by reference: upload them (POST /uploads) or name their address"


def root_of_body(request: Request, max_bytes: int) -> etree._Element:
    """Return the root of the document that is the body of a request.

    Raises
    ------
    TooLargeError, InvalidValueError
        If it has too many bytes or elements, is not well-formed or has a DTD.
    """
    return _parsed(_pieces(request, max_bytes))


def root_namespace(request: Request) -> str | None:
    """Return the namespace of the root of the body, which stays to be read; None without one."""
    body = request.environ["wsgi.input"]  # which can be read again: a request is there as a whole
    head = body.read(HEAD_BYTES)
    body.seek(0)
    parser = etree.XMLPullParser(("start",), resolve_entities=False, no_network=True)
    try:
        parser.feed(head)
        _, root = next(iter(parser.read_events()))
    except (etree.XMLSyntaxError, StopIteration):
        return None
    # NOTE: QName refuses a prefix that is not declared.
    namespace, brace, _ = str(root.tag).removeprefix("{").partition("}")
    return namespace if brace else None


def _pieces(request: Request, max_bytes: int) -> Iterator[bytes]:
    """Read the body piece by piece."""
    # NOTE: a chunked body is cut off at the limit without a word: one byte more shows it.
    request.max_content_length = max_bytes + 1
    is_declared_larger = (request.content_length or 0) > max_bytes
    left = -1 if is_declared_larger else max_bytes
    try:
        while left >= 0 and (piece := request.stream.read(PIECE_BYTES)):
            left -= len(piece)
            if left >= 0:
                yield piece
    except RequestEntityTooLarge:
        left = -1
    if left < 0:
        raise TooLargeError(f"the request is larger than the {max_bytes} bytes that are allowed")


def _parsed(pieces: Iterable[bytes]) -> etree._Element:
    """Parse a document; one that would take much more memory than its bytes is refused."""
    parser = etree.XMLPullParser(
        ("start", "comment", "pi"),
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
    )  # fmt: skip
    nodes = 0
    try:
        for piece in pieces:
            parser.feed(piece)
            nodes += sum(1 + len(node.attrib) for _, node in parser.read_events())
            if nodes > MOST_NODES:
                raise TooLargeError(
                    f"the document has more than {MOST_NODES} elements and attributes; {ELSEWHERE}"
                )
        root: etree._Element = parser.close()
    except (etree.XMLSyntaxError, PublicError) as error:
        del parser
        if nodes > MOST_NODES // 10:
            gc.collect()  # a parser that did not come to an end is part of a cycle
        if isinstance(error, PublicError):
            raise
        if error.code in LIMITS:
            raise TooLargeError(f"{PARSED}; {ELSEWHERE}") from None
        raise InvalidValueError(f"the body is not well-formed XML: {error}", "request") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise InvalidValueError("document type declarations are not allowed", "request")
    return root
