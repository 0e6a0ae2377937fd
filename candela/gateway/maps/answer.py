"""What of MapServer's answers is put right on their way."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from candela.publish.mapfile import PLACEHOLDER, Purpose
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
NOTHING: dict[Purpose, re.Pattern[bytes]] = {
    "wms": re.compile(
        rb"[ \t]*<Layer [^>]*>\s*<Name>%b</Name>.*?</Layer>\r?\n" % PLACEHOLDER.encode(), re.DOTALL
    ),
    # No schema allows an empty list; there may be none (but in WFS 1.0.0, which has no other).
    "wfs": re.compile(
        rb"[ \t]*<FeatureTypeList(/>|>\s*<Operations>\s*<Operation>Query</Operation>\s*"
        rb"</Operations>\s*</FeatureTypeList>)\r?\n"
    ),
}  # what capabilities say where there is no layer
FEATURE_CAPABILITIES = b"WFS_Capabilities"  # the root
NUMBER = rb"(-?[\d.e+-]+)"
GRID = re.compile(
    rb"(<gml:origin>\s*<gml:pos>)%b %b(</gml:pos>\s*</gml:origin>(?:\s*<gml:axisName>\w+"
    rb"</gml:axisName>)*\s*<gml:offsetVector>)%b 0(</gml:offsetVector>\s*<gml:offsetVector>)0 %b<"
    % (NUMBER, NUMBER, NUMBER, NUMBER)
)  # of a DescribeCoverage of WCS 1.0.0
OPERATIONS_END = b"  </ows:OperationsMetadata>"
POST_ENCODING = b"""    <ows:Constraint name="PostEncoding">
      <ows:AllowedValues>
        <ows:Value>XML</ows:Value>
      </ows:AllowedValues>
    </ows:Constraint>
"""  # of all operations, where they have one address (WCS 2.0, binding for POST)


def corrected(chunks: Iterable[bytes], purpose: Purpose) -> Iterator[bytes]:
    """Take out of an XML document what must not be there, and put grids where they are.

    Features are passed on as they come, other documents as a whole.
    """
    rest = iter(chunks)
    first = next(rest, b"")
    if purpose == "wfs" and FEATURE_CAPABILITIES not in first:
        yield from _without_lines(chain([first], rest), UNWANTED[purpose])
        return
    document = UNWANTED[purpose].sub(b"", b"".join(chain([first], rest)))
    if purpose in NOTHING:
        document = NOTHING[purpose].sub(b"", document)
    if purpose == "wcs":
        document = GRID.sub(_at_the_centre, document)
        document = document.replace(OPERATIONS_END, POST_ENCODING + OPERATIONS_END)
    yield document


def _at_the_centre(found: re.Match[bytes]) -> bytes:
    """Move the origin of a grid to the centre of the first pixel: MapServer tells its corner."""
    before, x, y, between, width, more, height = found.groups()
    centre = (float(x) + float(width) / 2, float(y) + float(height) / 2)
    place = f"{centre[0]:.15g} {centre[1]:.15g}".encode()
    return b"%b%b%b%b 0%b0 %b<" % (before, place, between, width, more, height)


def _without_lines(chunks: Iterable[bytes], unwanted: re.Pattern[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        whole, found, rest = (rest + chunk).rpartition(b"\n")
        if found:
            yield unwanted.sub(b"", whole + found)
        # else a line longer than what came yet, such as one polygon
    yield rest
