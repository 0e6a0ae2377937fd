"""WPS at the address of GeoServer, as where GeoServer has its own: below ``/geoserver``.

/geoserver/wps    the WPS
/geoserver/ows    the WPS for ``service=WPS``; other services are GeoServer's, and sent on to
                  ``/geoserver/wms`` and so on, with method and body (307)

A reverse proxy passes both on to the gateway and the rest to GeoServer.
"""

import re

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from candela.gateway.protocols.reports import answer_in_reports
from candela.gateway.protocols.versions import Versions

HEAD_BYTES = 4096  # of a document, in which its service stands
SERVICES = {"wms": "wms", "wcs": "wcs", "wfs": "wfs", "wmts": "gwc/service/wmts"}


def blueprint(versions: Versions, url: str, path: str) -> Blueprint:
    """Return the routes.

    Parameters
    ----------
    url, path : str
        The public address of GeoServer, and its path there.
    """
    routes = Blueprint("geoserver_address", __name__)

    @routes.route(f"{path}/wps", methods=["GET", "POST"])
    def wps() -> BaseResponse:
        return versions.call(request._get_current_object(), endpoint=f"{url}/wps")  # type: ignore[attr-defined]

    @routes.route(f"{path}/ows", methods=["GET", "POST"])
    def ows() -> BaseResponse:
        asked = _service()
        if asked == "wps":
            return wps()
        query = request.query_string.decode("ascii", "replace")
        return redirect(f"{url}/{SERVICES.get(asked, 'wms')}?{query}", 307)

    answer_in_reports(routes, lambda: versions.reports)
    return routes


def _service() -> str:
    """Return the service that is asked, in lower case: of the query, or of a document."""
    for name, value in request.args.items():
        if name.lower() == "service":
            return value.lower()
    if request.method != "POST":
        return ""
    body = request.environ["wsgi.input"]  # which can be read again: a request is there as a whole
    head = body.read(HEAD_BYTES)
    body.seek(0)
    found = re.search(rb"\bservice\s*=\s*[\"'](\w+)", head)
    return found[1].decode("ascii").lower() if found else "wps" if b"/wps/" in head else ""
