"""What of MapServer's answers is put right on their way."""

import re
from collections.abc import Iterable, Iterator

from candela.publish.mapfile import Purpose
from candela.publish.offers import COVERAGE_FORMAT, OPAQUE_PNG

LINE = rb"^[ \t]*%s[ \t]*\r?\n"


def _lines(*contents: str) -> re.Pattern[bytes]:
    return re.compile(b"|".join(LINE % text.encode() for text in contents), re.MULTILINE)


UNWANTED: dict[Purpose, re.Pattern[bytes]] = {
    # No schema allows an empty element for a number; all attributes may be absent.
    "wfs": _lines(r"<(\w+:\w+)></\1>"),
    # Formats and versions that MapServer has, but that are not offered.
    "wcs": _lines(
        rf"<wcs:formatSupported>(?!{COVERAGE_FORMAT}<)[^<]*</wcs:formatSupported>",
        r"<ows:ServiceTypeVersion>1\.1\.\d</ows:ServiceTypeVersion>",
    ),
    "wms": _lines(f"<Format>{OPAQUE_PNG}</Format>"),
}  # lines that are taken out of documents


def corrected(chunks: Iterable[bytes], purpose: Purpose) -> Iterator[bytes]:
    """Take lines out of an XML document that must not be there."""
    unwanted = UNWANTED[purpose]
    rest = b""
    for chunk in chunks:
        whole, found, rest = (rest + chunk).rpartition(b"\n")
        if found:
            yield unwanted.sub(b"", whole + found)
        # else a line longer than what came yet, such as one polygon
    yield rest
