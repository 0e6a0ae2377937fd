"""The vocabulary of WPS 1.0.0 documents."""

from typing import Final

from lxml.builder import ElementMaker

from candela.gateway.protocols.xml import XLINK_NS

WPS_NS: Final = "http://www.opengis.net/wps/1.0.0"
OWS_NS: Final = "http://www.opengis.net/ows/1.1"
NAMESPACES: Final = {"wps": WPS_NS, "ows": OWS_NS, "xlink": XLINK_NS}

WPS = ElementMaker(namespace=WPS_NS, nsmap=NAMESPACES)
OWS = ElementMaker(namespace=OWS_NS, nsmap=NAMESPACES)
BARE = ElementMaker()

VERSION: Final = "1.0.0"
