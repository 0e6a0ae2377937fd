"""WMS, WCS and WFS at clean addresses, passed on to the embedded MapServer.

/ows                 all layers
/ows/<layer>/wms     the WMS of one layer
/ows/<layer>/wcs     the WCS of one layer that is a raster
/ows/<layer>/wfs     the WFS of one layer that is polygons

Only parameters of the standards are passed on; MapServer's own (``map``, ``map.layer...``,
SLD by reference) are not. Without REQUEST the answer is GetCapabilities, so that a layer's link
is worth opening.
"""

import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

import urllib3
from flask import Blueprint, Response, redirect, request, send_file
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import (
    CandelaError,
    InvalidValueError,
    NotFoundError,
    PublicationError,
    PublicError,
    TooLargeError,
    UnsupportedError,
)
from candela.gateway import feature_query
from candela.gateway.owners import owner_of
from candela.publish.mapfile import Purpose
from candela.publish.mapserver import MapServerPublisher, Target
from candela.publish.server import LOOPBACK

logger = logging.getLogger(__name__)

Kind = Literal["wms", "wcs", "wfs"]


class Report(NamedTuple):
    """The versions of an exception report, and of the service that gives it."""

    ows: str
    service: str


MAX_BODY_BYTES = 256 * 1024
CHUNK_BYTES = 64 * 1024
TIMEOUT = urllib3.Timeout(connect=2, read=120)
PAUSES_S = (0.05, 0.5, 0)  # after each attempt; a server may still be dying
MAX_AGE_S = 300  # results do not change, but a layer may be removed
OWS_PARAMETERS = """
    service version request acceptversions acceptformats acceptlanguages sections updatesequence
    language exceptions
"""
WMS_PARAMETERS = """
    wmtver layers layer styles style srs crs bbox width height format transparent bgcolor time
    elevation query_layers info_format feature_count x y i j sld_version rule scale
    dpi map_resolution format_options
"""  # the last line is what QGIS adds
WCS_PARAMETERS = """
    coverage coverageid identifier identifiers subset subsettingcrs outputcrs rangesubset
    boundingbox gridbasecrs gridcs gridtype gridorigin gridoffsets response_crs resx resy
    scalefactor scaleaxes scalesize scaleextent resolution size interpolation mediatype store
"""
PARAMETERS = frozenset(
    f"{OWS_PARAMETERS} {WMS_PARAMETERS} {WCS_PARAMETERS} {feature_query.PARAMETERS}".split()
)
ONLY_WFS = frozenset(feature_query.PARAMETERS.split()) - {"bbox"}
NAMING = {
    "wms": ("layers", "query_layers", "layer"), "wcs": ("coverageid",),
    "wfs": ("typenames", "typename"),
}  # fmt: skip
WHOLE_PARAMETERS = frozenset({"service", "request", "version", "coverageid", "format"})
HEADERS = ("Content-Type", "Content-Length", "Content-Disposition")
REPORTS = {"wcs": Report("2.0", "2.0.1"), "wfs": Report("1.1", "2.0.0")}  # others have one of WMS
STATUS: dict[type[CandelaError], tuple[int, str]] = {
    NotFoundError: (404, "NotFound"),
    InvalidValueError: (400, "InvalidParameterValue"),
    TooLargeError: (413, "InvalidParameterValue"),
    UnsupportedError: (415, "OperationNotSupported"),
    PublicationError: (503, "NoApplicableCode"),
}


def ows_blueprint(publisher: MapServerPublisher, *, owner_header: str = "") -> Blueprint:
    """Make the routes of the services of a publisher.

    Parameters
    ----------
    owner_header : str, optional
        The header in which a reverse proxy says who asks; then everybody sees his own layers
        only. Without it everybody sees all.
    """
    blueprint = Blueprint("ows", __name__, url_prefix="/ows")
    proxy = _Proxy(publisher, owner_header)

    @blueprint.route("", methods=["GET", "POST"])
    def everything() -> Response:
        """Answer for all layers."""
        return proxy.answer(None, None)

    @blueprint.route("/<layer>/<any(wms, wcs, wfs):kind>", methods=["GET", "POST"])
    def one(layer: str, kind: Kind) -> Response:
        """Answer for one layer."""
        return proxy.answer(layer, kind)

    return blueprint


def elsewhere_blueprint(url: str) -> Blueprint:
    """Make the route of the services of all layers where another host has them."""
    blueprint = Blueprint("ows", __name__)

    @blueprint.get("/ows")
    def everything() -> BaseResponse:
        """Lead there, with the query."""
        query = request.query_string.decode("ascii", "replace")
        return redirect(f"{url.rstrip('/')}/ows?{query}")

    return blueprint


class _Proxy:
    """Passes requests on to a publisher's server."""

    def __init__(self, publisher: MapServerPublisher, owner_header: str) -> None:
        self.publisher = publisher
        self.owner_header = owner_header
        self.pool = urllib3.PoolManager(num_pools=4, maxsize=32, retries=False, timeout=TIMEOUT)

    def answer(self, layer: str | None, kind: Kind | None) -> Response:
        """Answer the current request for a layer, or for all."""
        try:
            if layer is not None and not self._may_see(layer):
                raise NotFoundError(f"no layer {layer!r}")
            if layer is not None and kind and not self.publisher.serves(layer, kind):
                raise NotFoundError(f"layer {layer!r} has no {kind.upper()}")
            if request.method == "POST" and request.mimetype != "application/x-www-form-urlencoded":
                return self._pass_on_xml(layer, kind)
            return self._pass_on_query(layer, kind)
        except tuple(STATUS) as error:
            if isinstance(error, PublicationError):
                logger.warning("A map request failed: %s", error)
            return _exception(error, kind)

    @property
    def _owner(self) -> str | None:
        """Who asks, or None where everybody sees all."""
        return owner_of(request.headers, self.owner_header)

    def _may_see(self, layer: str) -> bool:
        owner = self.publisher.owner(layer)
        return owner is not None and self._owner in {None, owner}

    def _pass_on_query(self, layer: str | None, kind: Kind | None) -> Response:
        query = wanted(request.values)
        query.setdefault("service", kind or "WMS")
        query.setdefault("request", "GetCapabilities")
        named = query["service"].lower()
        asked: Kind = "wcs" if named == "wcs" else "wfs" if named == "wfs" else "wms"
        if kind is not None and asked != kind:
            raise InvalidValueError(f"this address is a {kind.upper()}, not a {asked.upper()}")
        kind = asked
        if query["request"].lower() == "getmetadata":
            query.pop("service")  # the link in the capabilities has none, and must have none
        purpose = _purpose(query, kind)
        if kind == "wfs":
            feature_query.check(query)
        else:
            for name in ONLY_WFS:
                query.pop(name, None)
        if kind == "wms":
            query.setdefault("styles", "")  # MapServer insists on it, many clients leave it out
        if purpose == "info":
            query["format"] = "image/png"  # of no consequence, but OWSLib says "None"
        layers = [layer] if layer is not None else self._layers(query, kind)
        if purpose == "info" and not self._are_polygons(layers):
            query["feature_count"] = "1"  # for each layer: the pixel, not its neighbours as well
        if kind == "wcs" and len(layers) == 1 and _is_whole(query):
            return self._whole_file(layers[0])
        return self._pass_on(layers, purpose, query=list(query.items(multi=True)))

    def _whole_file(self, layer: str) -> Response:
        """Answer with the raster itself: the whole coverage as it is, however large."""
        record = self.publisher.store.get(layer)
        if record is None:
            raise NotFoundError(f"no layer {layer!r}")
        try:
            answer = send_file(
                record.layer.path, "image/tiff", download_name=f"{layer}.tif", conditional=True
            )
        except FileNotFoundError:
            raise NotFoundError(f"no layer {layer!r}: it was just removed") from None
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    def _layers(self, query: MultiDict[str, str], kind: Kind) -> list[str]:
        """Return the layers that a request is about, if any: small map files are read fast."""
        for key in NAMING[kind]:
            if query.get(key):
                asked = (name.strip("()").rpartition(":")[2] for name in query[key].split(","))
                names = list(dict.fromkeys(asked))
                return names if all(self._serves(name, kind) for name in names) else []
        return []

    def _serves(self, layer: str, kind: Kind) -> bool:
        return self._may_see(layer) and self.publisher.serves(layer, kind)

    def _are_polygons(self, layers: Sequence[str]) -> bool:
        return bool(layers) and all(self.publisher.serves(layer, "wfs") for layer in layers)

    def _pass_on_xml(self, layer: str | None, kind: Kind | None) -> Response:
        if kind == "wms":
            raise UnsupportedError("this WMS takes GET, and POST of a form")
        body = request.stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(f"the request is above {MAX_BODY_BYTES} bytes")
        if re.search(rb"<!\s*(DOCTYPE|ENTITY)", body):
            raise InvalidValueError("a request may have no document type")
        purpose: Purpose = "wcs"
        if kind == "wfs" or (kind is None and feature_query.is_for_features(body)):
            purpose = "wfs"
            feature_query.check_xml(body)
        return self._pass_on([] if layer is None else [layer], purpose, query=[], body=body)

    def _pass_on(
        self,
        layers: Sequence[str],
        purpose: Purpose,
        *,
        query: list[tuple[str, str]],
        body: bytes | None = None,
    ) -> Response:
        answer = self._send_again_after_a_crash(layers, purpose, query, body)
        if answer.status >= 500:
            answer.drain_conn()
            answer.release_conn()
            raise PublicationError("MapServer broke off; the request may be too large for it")
        if not _is_image(answer) and not all(self._may_see(name) for name in layers):
            answer.drain_conn()
            answer.release_conn()
            raise NotFoundError(f"no layer {','.join(layers)!r}: it was just removed")
        return _response(answer, cacheable=body is None, is_features=purpose == "wfs")

    def _send_again_after_a_crash(
        self,
        layers: Sequence[str],
        purpose: Purpose,
        query: list[tuple[str, str]],
        body: bytes | None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; all of them only ask, so that they may be sent again."""
        for pause_s in PAUSES_S:
            try:
                target = self.publisher.target(layers, purpose, self._owner)
                return self._send(target, query, body)
            except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ProtocolError):
                time.sleep(pause_s)
                self.publisher.server.start()  # comes back when the server is there again
            except urllib3.exceptions.HTTPError as error:
                raise PublicationError(f"MapServer does not answer: {error}") from error
        raise PublicationError("MapServer does not come back")

    def _send(
        self, target: Target, query: Iterable[tuple[str, str]], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        fields = [("map", str(target.mapfile)), *query]
        url = f"http://{LOOPBACK}:{target.port}/?{urlencode(fields)}"
        return self.pool.request(
            "GET" if body is None else "POST",
            url,
            body=body,
            headers={} if body is None else {"Content-Type": "text/xml"},
            preload_content=False,
        )


def wanted(values: MultiDict[str, str]) -> MultiDict[str, str]:
    """Keep the parameters of the standards, with their names in lower case."""
    return MultiDict(
        (key.lower(), value) for key, value in values.items(multi=True) if key.lower() in PARAMETERS
    )


def _purpose(query: MultiDict[str, str], kind: Kind) -> Purpose:
    if kind != "wms":
        return kind
    return "info" if query["request"].lower() in {"getfeatureinfo", "feature_info"} else "wms"


def _is_whole(query: MultiDict[str, str]) -> bool:
    """Whether a WCS 2.0 request wants all of a coverage, unchanged, as GeoTIFF."""
    return (
        query["request"].lower() == "getcoverage"
        and query.get("version", "").startswith("2.")
        and query.get("format", "image/tiff").lower() == "image/tiff"
        and not query.get("mediatype")
        and all(key in WHOLE_PARAMETERS or not value for key, value in query.items(multi=True))
    )


def _response(answer: urllib3.BaseHTTPResponse, *, cacheable: bool, is_features: bool) -> Response:
    headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
    headers["Access-Control-Allow-Origin"] = "*"
    if cacheable and _is_image(answer):
        headers["Cache-Control"] = f"public, max-age={MAX_AGE_S}"
    chunks = _chunks(answer)
    if is_features and "xml" in headers.get("Content-Type", ""):
        headers.pop("Content-Length", None)
        chunks = feature_query.without_empty_elements(chunks)
    return Response(chunks, status=answer.status, headers=headers)


def _is_image(answer: urllib3.BaseHTTPResponse) -> bool:
    return str(answer.headers.get("Content-Type", "")).startswith("image/")


def _chunks(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer.stream(CHUNK_BYTES)
    finally:
        answer.release_conn()


def _exception(error: CandelaError, kind: Kind | None) -> Response:
    """Tell an error as the standards want it."""
    status, code = next(value for cls, value in STATUS.items() if isinstance(error, cls))
    text = escape(error.message if isinstance(error, PublicError) else "the map server is away")
    if version := REPORTS.get(kind or request.values.get("service", "").lower()):
        locator = error.locator if isinstance(error, InvalidValueError) else ""
        place = f" locator={quoteattr(locator)}" if locator else ""
        body = (
            f'<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/{version.ows}" '
            f'version="{version.service}">'
            f'<ows:Exception exceptionCode="{code}"{place}>'
            f"<ows:ExceptionText>{text}</ows:ExceptionText>"
            "</ows:Exception></ows:ExceptionReport>"
        )
    else:
        body = (
            '<ServiceExceptionReport xmlns="http://www.opengis.net/ogc" version="1.3.0">'
            f'<ServiceException code="{code}">{text}</ServiceException></ServiceExceptionReport>'
        )
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n', status=status, mimetype="text/xml"
    )
