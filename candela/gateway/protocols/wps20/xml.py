"""The vocabulary of WPS 2.0 documents."""

from typing import Final

from lxml.builder import ElementMaker

from candela.gateway.protocols.xml import XLINK_NS

WPS_NS: Final = "http://www.opengis.net/wps/2.0"
OWS_NS: Final = "http://www.opengis.net/ows/2.0"
NAMESPACES: Final = {"wps": WPS_NS, "ows": OWS_NS, "xlink": XLINK_NS}

WPS = ElementMaker(namespace=WPS_NS, nsmap=NAMESPACES)
OWS = ElementMaker(namespace=OWS_NS, nsmap=NAMESPACES)
BARE = ElementMaker()

VERSION: Final = "2.0.0"  # that of documents, of the corrigenda too
VERSIONS: Final = (VERSION, "2.0.1", "2.0.2")

TEXT: Final = "text/plain"  # formats of literals: bare, or as wps:LiteralValue
XML: Final = "text/xml"

OWN_OPERATIONS: Final = frozenset({"getstatus", "getresult", "dismiss"})
