"""WMS, WCS and WFS at clean addresses, passed on to the embedded MapServer.

/ows                 all layers
/ows/<layer>/wms     the WMS of one layer
/ows/<layer>/wcs     the WCS of one layer that is a raster
/ows/<layer>/wfs     the WFS of one layer that is polygons
/ows/<series>/...    the WMS and WCS of a time series; TIME chooses a coverage

Only parameters of the standards are passed on, and only what is offered (``ows_request.py``);
MapServer's own (``map``, ``map.layer...``, SLD by reference) are not. Without REQUEST the answer
is GetCapabilities, so that a layer's link is worth opening.
"""

import codecs
import time
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

import urllib3
from flask import Blueprint, Response, redirect, request, send_file
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import (
    NotFoundError,
    PublicationError,
    PublicError,
    TooLargeError,
)
from candela.gateway.access.identity import principal_of
from candela.gateway.maps.answer import UNWANTED, corrected
from candela.gateway.maps.exceptions import (
    Kind,
    OwsError,
    exception_report,
    problem_of_request,
)
from candela.gateway.maps.feature_info import (
    GML,
    MOST_BYTES,
    MOST_FEATURES,
    WRITERS,
    feature_values,
)
from candela.gateway.maps.request import (
    kind_of,
    kind_of_xml,
    operation_of,
    pairs,
    settle,
    settle_xml,
    standard_parameters,
    version_of_xml,
)
from candela.gateway.maps.time_dimension import last_image
from candela.gateway.problems import Problem
from candela.publish.mapfile import Purpose
from candela.publish.mapserver import MapServerPublisher, Target
from candela.publish.metadata import isotime
from candela.publish.offers import OPAQUE_PNG, PICTURE_FORMATS
from candela.publish.server import LOOPBACK

MAX_BODY_BYTES = 256 * 1024
CHUNK_BYTES = 64 * 1024
TIMEOUT = urllib3.Timeout(connect=2, read=120)
PAUSES_S = (0.05, 0.5, 0)  # after each attempt; a server may still be dying
MAX_AGE_S = 300  # results do not change, but a layer may be removed
NAMING = {
    "wms": ("layers", "query_layers", "layer"), "wcs": ("coverageid", "coverage"),
    "wfs": ("typenames", "typename"),
}  # fmt: skip
WHOLE_PARAMETERS = frozenset({"service", "request", "version", "coverageid", "format"})
DATED = frozenset({"getmap", "getfeatureinfo"})
NO_AXIS = ("InvalidAxisLabel", "subset")
FORM = "application/x-www-form-urlencoded"
HEADERS = ("Content-Type", "Content-Length", "Content-Disposition")


def ows_blueprint(publisher: MapServerPublisher, *, private: bool = False) -> Blueprint:
    """Make the routes of the services of a publisher.

    Parameters
    ----------
    private : bool, optional
        Whether layers are for their owners (and operators) only.
    """
    blueprint = Blueprint("ows", __name__, url_prefix="/ows")
    proxy = _Proxy(publisher, private=private)

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
    """Make the route of the services of all layers where they are at another address."""
    blueprint = Blueprint("ows", __name__)

    @blueprint.get("/ows")
    def everything() -> BaseResponse:
        """Lead there, with the query."""
        query = request.query_string.decode("ascii", "replace")
        return redirect(f"{url}?{query}")

    return blueprint


def problem_response(problem: Problem) -> Response:
    """Answer with a problem in the words of the service that the query names."""
    query = standard_parameters(request.args)
    return exception_report(problem, kind_of(query), query.get("version", ""))


class _Proxy:
    """Passes requests on to a publisher's server."""

    def __init__(self, publisher: MapServerPublisher, *, private: bool) -> None:
        self.publisher = publisher
        self.private = private
        self.pool = urllib3.PoolManager(num_pools=4, maxsize=32, retries=False, timeout=TIMEOUT)

    def answer(self, layer: str | None, kind: Kind | None) -> Response:
        """Answer the current request for a layer, or for all."""
        query = standard_parameters(request.args)
        asked = kind or kind_of(query)
        try:
            if layer is not None and not self._may_see(layer):
                raise NotFoundError(f"no layer {layer!r}")
            if layer is not None and kind and not self.publisher.serves(layer, kind):
                raise NotFoundError(f"layer {layer!r} has no {kind.upper()}")
            body = _body()
            if body.startswith(b"<"):
                asked, query["version"] = kind or kind_of_xml(body), version_of_xml(body)
                return self._pass_on_xml(layer, kind, body)
            query.update(
                standard_parameters(request.form if request.mimetype == FORM else pairs(body))
            )
            asked = kind or kind_of(query)
            return self._pass_on_query(layer, kind, query)
        except (PublicError, PublicationError) as error:
            return exception_report(problem_of_request(error), asked, query.get("version", ""))

    @property
    def _owner(self) -> str | None:
        """The owner whose layers alone are shown; None: those of all."""
        return principal_of(request).scope if self.private else None

    def _may_see(self, layer: str) -> bool:
        owner = self.publisher.owner(layer)
        return owner is not None and self._owner in {None, owner}

    def _pass_on_query(
        self, layer: str | None, kind: Kind | None, query: MultiDict[str, str]
    ) -> Response:
        kind = settle(query, kind)
        layers = self._layers(query, kind) if layer is None else [layer]
        if kind == "wcs":
            layers = self._coverages(query, layer) or layers
            if len(layers) == 1 and _is_whole(query):
                return self._whole_file(layers[0])
        operation = operation_of(query)
        purpose: Purpose = "info" if operation == "getfeatureinfo" else kind
        if purpose == "info" and not self._are_polygons(layers):
            query["feature_count"] = "1"  # for each layer: the pixel, not its neighbours as well
        default = self._set_time(query, layers) if operation in DATED else ""
        if purpose == "info" and query.get("info_format", "").lower() in WRITERS:
            answer = self._info(layers, query)
        else:
            answer = self._pass_on(layers, purpose, query=list(query.items(multi=True)))
        if default:
            answer.headers["Warning"] = f"99 Default value used: time={default} ISO8601"
        return answer

    def _check_coverages(self, names: Sequence[str], layer: str | None) -> None:
        """Refuse coverages that are not there, or not at this address."""
        here = set(names) if layer is None else {layer, *self._members(layer)}
        for name in names:
            if not self._serves(name, "wcs") or name not in here:
                raise OwsError("CoverageNotDefined", f"no coverage {name[:80]!r}", "coverageId")

    def _members(self, series: str) -> list[str]:
        return [name for names in self.publisher.dates(series).values() for name in names]

    def _coverages(self, query: MultiDict[str, str], layer: str | None) -> list[str]:
        """Ask for the coverages of a time, where series are named; return all that are named."""
        time, names = query.pop("time", ""), _named(query, "wcs")
        self._check_coverages(names, layer)
        found = [coverage for name in names for coverage in self._coverages_at(name, time, query)]
        for key in NAMING["wcs"] if found else ():
            if query.get(key):
                query[key] = ",".join(dict.fromkeys(found))
        return found

    def _coverages_at(self, name: str, time: str, query: MultiDict[str, str]) -> list[str]:
        """Return what there is at a time; a coverage that is no series is of one date at most."""
        dates = self.publisher.dates(name)
        if not dates:
            record = self.publisher.store.get(name)
            if time and (record is None or record.time is None):
                is_old = query.get("version", "").startswith("1")
                code, place = ("InvalidParameterValue", "time") if is_old else NO_AXIS
                raise OwsError(code, f"{name} has no TIME", place)
            if time and record and record.time:
                last_image(time, [record.time])
            return [name]
        instant = last_image(time, list(dates)) if time else list(dates)[-1]
        if len(dates[instant]) > 1 and operation_of(query) == "getcoverage":
            told = ", ".join(dates[instant])
            raise OwsError(
                "InvalidParameterValue",
                f"{name} has several coverages at {isotime(instant)}: ask for one of {told}",
                "coverageId",
            )
        return dates[instant]

    def _set_time(self, query: MultiDict[str, str], layers: Sequence[str]) -> str:
        """Ask for an instant; return the default where none is asked for, and there is one."""
        asked = query.pop("time", "")
        dates = [list(found) for name in layers if (found := self.publisher.dates(name))]
        instants = sorted({last_image(asked, times) if asked else times[-1] for times in dates})
        if not asked:
            return isotime(instants[0]) if len(instants) == 1 else ""
        if len(instants) > 1:
            told = " and ".join(isotime(time) for time in instants)
            raise OwsError(
                "InvalidDimensionValue",
                f"TIME {asked[:80]!r} is {told} of these layers: ask for each by itself",
                "time",
            )
        if instants:
            query["time"] = isotime(instants[0])
        return ""

    def _info(self, layers: Sequence[str], query: MultiDict[str, str]) -> Response:
        """Answer GetFeatureInfo in a format that MapServer does not write."""
        form = query["info_format"].lower()
        count = query.get("feature_count", "")
        if count.isdecimal() and int(count) > MOST_FEATURES:
            query["feature_count"] = str(MOST_FEATURES)
        query["info_format"] = GML
        answer = self._pass_on(layers, "info", query=list(query.items(multi=True)))
        content = b""
        for chunk in answer.iter_encoded():
            content += chunk
            if len(content) > MOST_BYTES:
                answer.close()
                raise TooLargeError(f"what is there is above {MOST_BYTES} bytes: ask for less")
        found = feature_values(content, self.publisher.numbers)
        if found is None:
            return Response(content, answer.status_code, answer.headers)
        text = WRITERS[form](found)
        return Response(text, mimetype=form, headers={"Access-Control-Allow-Origin": "*"})

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
        names = _named(query, kind)
        return names if all(self._serves(name, kind) for name in names) else []

    def _serves(self, layer: str, kind: Kind) -> bool:
        return self._may_see(layer) and self.publisher.serves(layer, kind)

    def _are_polygons(self, layers: Sequence[str]) -> bool:
        return bool(layers) and all(self.publisher.serves(layer, "wfs") for layer in layers)

    def _pass_on_xml(self, layer: str | None, kind: Kind | None, body: bytes) -> Response:
        if kind == "wms":
            raise _no_body("this WMS takes GET, and POST of a form")
        kind, coverages = settle_xml(body, kind)
        self._check_coverages(coverages, layer)
        if any(self.publisher.dates(name) for name in coverages):
            raise _no_body("time series are asked for by GET; a body names a coverage")
        layers = coverages if layer is None else [layer]
        return self._pass_on(layers, kind, query=[], body=body)

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
        if "html" in answer.headers.get("Content-Type", ""):
            answer.drain_conn()
            answer.release_conn()
            raise PublicationError("MapServer answers a page, which no standard has")
        if not _is_image(answer) and not all(self._may_see(name) for name in layers):
            answer.drain_conn()
            answer.release_conn()
            raise NotFoundError(f"no layer {','.join(layers)!r}: it was just removed")
        return _response(answer, purpose, cacheable=body is None, private=self.private)

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


def _no_body(message: str) -> OwsError:
    return OwsError("OperationNotSupported", message, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def _body() -> bytes:
    """Return the body of a request, unless it is a form."""
    if request.mimetype == FORM:
        return b""
    body = request.stream.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(f"the request is above {MAX_BODY_BYTES} bytes")
    return body.removeprefix(codecs.BOM_UTF8).lstrip()


def _named(query: MultiDict[str, str], kind: Kind) -> list[str]:
    """Return the layers that a request names, without their prefix, each once."""
    for key in NAMING[kind]:
        if query.get(key):
            names = (name.strip("()").rpartition(":")[2] for name in query[key].split(","))
            return list(dict.fromkeys(names))
    return []


def _is_whole(query: MultiDict[str, str]) -> bool:
    """Whether a WCS 2.0 request wants all of a coverage, unchanged, as GeoTIFF."""
    return (
        query["request"].lower() == "getcoverage"
        and query.get("version", "").startswith("2.")
        and bool(query.get("coverageid"))
        and query.get("format", "image/tiff").lower() == "image/tiff"
        and not query.get("mediatype")
        and all(key in WHOLE_PARAMETERS or not value for key, value in query.items(multi=True))
    )


def _response(
    answer: urllib3.BaseHTTPResponse, purpose: Purpose, *, cacheable: bool, private: bool
) -> Response:
    headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
    headers["Access-Control-Allow-Origin"] = "*"
    if headers.get("Content-Type") == OPAQUE_PNG:
        headers["Content-Type"] = PICTURE_FORMATS[0]
    if cacheable and _is_image(answer):
        headers["Cache-Control"] = f"{'private' if private else 'public'}, max-age={MAX_AGE_S}"
    chunks = _chunks(answer)
    if purpose in UNWANTED and "xml" in headers.get("Content-Type", ""):
        headers.pop("Content-Length", None)
        chunks = corrected(chunks, purpose)
    return Response(chunks, status=answer.status, headers=headers)


def _is_image(answer: urllib3.BaseHTTPResponse) -> bool:
    return str(answer.headers.get("Content-Type", "")).startswith("image/")


def _chunks(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer.stream(CHUNK_BYTES)
    finally:
        answer.release_conn()
