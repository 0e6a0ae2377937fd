"""A double of GeoServer's REST interface: a real HTTP server with a memory.

It is strict where GeoServer is and where its API descriptions are (``api.py``), odd where
GeoServer is odd (``catalog.py``), and can be told to break off.
"""

import base64
import html
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from geoserver_double import api
from geoserver_double.catalog import Catalog, checked
from geoserver_double.mosaics import Store
from geoserver_double.readers import read_pixel
from geoserver_double.refusals import RefusalError, body_of

__all__ = ["NEWEST", "PASSWORD", "USER", "VERSIONS", "GeoServerDouble"]

USER, PASSWORD = "publisher", "not the default"
VERSIONS = ("2.21.1", "2.26.0")  # those whose answers were recorded
NEWEST = VERSIONS[-1]


class CutError(Exception):
    """The connection breaks off here."""


class Text(str):
    """A body that is no JSON."""

    media_type: str

    def __new__(cls, content: str, media_type: str) -> "Text":
        """Make a text of a media type."""
        made = super().__new__(cls, content)
        made.media_type = media_type
        return made


class GeoServerDouble:
    """The server; use it as a context manager.

    Parameters
    ----------
    version : str
        Which GeoServer it plays, one of ``VERSIONS``.
    container : {"jetty", "tomcat"}
        What it seems to run in: their refusals differ.

    Attributes
    ----------
    catalog : Catalog
        What it knows.
    calls : list of str
        What was asked: method and path.
    violations : list of str
        What GeoServer's API descriptions do not allow; should be empty.
    """

    def __init__(self, version: str = NEWEST, container: str = "jetty") -> None:
        assert version in VERSIONS
        self.version, self.container = version, container
        self.catalog = Catalog(tuple(int(part) for part in version.split(".")))
        self.calls: list[str] = []
        self.violations: list[str] = []
        self.trouble: Callable[[int], str | int | None] = lambda _: None
        self._lock = threading.Lock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer is one packet

            def do(self) -> None:
                double._handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do  # noqa: N815

            def log_message(self, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/geoserver"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> "GeoServerDouble":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def break_call(self, number: int, how: str | int) -> None:
        """Break one call, counted from now on: "before" or "after" it is done, or by a status."""
        first = len(self.calls)
        self.trouble = lambda call: how if call == first + number else None

    def break_all(self, how: str | int | None) -> None:
        """Break all calls, or none (None)."""
        self.trouble = lambda _: how

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            number = len(self.calls)
            self.calls.append(f"{request.command} {urlsplit(request.path).path}")
            try:
                status, document = self._troubled(request, body, self.trouble(number))
            except RefusalError as refusal:
                accept, path = request.headers.get("Accept", ""), urlsplit(request.path).path
                body_ = body_of(refusal, request.command, path, accept, self.container)
                status, document = refusal.status, Text(body_.content, body_.media_type)
            except CutError:
                request.close_connection = True
                return
        self._send(request, status, document)

    def _troubled(
        self, request: BaseHTTPRequestHandler, body: bytes, trouble: str | int | None
    ) -> tuple[int, object]:
        if trouble == "before":
            raise CutError
        if isinstance(trouble, int):
            raise RefusalError(trouble, "injected")
        answer = self._answer(request, body)
        if trouble == "after":
            raise CutError
        return answer

    def _send(self, request: BaseHTTPRequestHandler, status: int, document: object) -> None:
        is_text = isinstance(document, str)
        content = (str(document) if is_text else json.dumps(document)).encode()
        is_plain = bool(content) or (status, request.command) == (201, "POST")
        media_type = getattr(document, "media_type", "text/plain" if is_plain else "")
        media_type = media_type if is_text else api.JSON
        request.send_response(status)
        if media_type:
            request.send_header("Content-Type", media_type)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, object]:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            raise RefusalError(401, "Unauthorized")
        address = urlsplit(request.path)
        found = api.find(unquote(address.path).removeprefix("/geoserver"))
        if found is None:
            self._violated(f"{request.command} {address.path}: no such path")
            raise RefusalError(404, "Not Found", by_container=True)
        template, parts = found
        query = dict(parse_qsl(address.query))
        self._check(request, template, query)
        handler = getattr(self, f"_{request.command.lower()}")
        return handler(template, parts, query, body, request.headers.get("Content-Type", ""))

    def _check(self, request: BaseHTTPRequestHandler, template: str, query: dict) -> None:
        operation = api.OPERATIONS[template].get(request.command)
        if operation is None:
            self._violated(f"{request.command} {template}: method not allowed")
            is_new = self.catalog.version >= (2, 26)
            status = 500 if request.command == "PATCH" and is_new else 405
            raise RefusalError(status, by_container=True)
        unknown = set(query) - operation.query
        if unknown:
            self._violated(f"{request.command} {template}: unknown in the query: {unknown}")
        media_type = request.headers.get("Content-Type", "").split(";")[0]
        if operation.consumes and media_type not in operation.consumes:
            self._violated(f"{request.command} {template}: media type {media_type!r}")
            raise RefusalError(415, by_container=True)

    def _violated(self, what: str) -> None:
        self.violations.append(what)

    def _get(self, template: str, parts: dict, query: dict, *_: object) -> tuple[int, object]:
        catalog, kind = self.catalog, template.rsplit("/", 1)[-1]
        if template == api.GRANULES:
            granules = catalog.granules(
                parts["workspace"], parts["store"], parts["coverage"], query.get("filter")
            )
            features = [
                {
                    "type": "Feature",
                    "id": key,
                    "geometry": _polygon(granule["bounds"]),
                    "properties": {name: granule[name] for name in ("location", "time")},
                }
                for key, granule in list(granules.items())[: int(query.get("limit", 10**6))]
            ]
            return 200, {"type": "FeatureCollection", "features": features}
        if template == "/rest/security/acl/layers":
            return 200, dict(catalog.rules)
        if template == "/rest/layers":
            return 200, _listed("layers", "layer", catalog.layers)
        if template == "/rest/layers/{layer}":
            if parts["layer"] not in catalog.layers:
                raise RefusalError(404, f"No such layer: {parts['layer']}")
            layer = catalog.layers[parts["layer"]]
            hidden = {"enabled"} if layer.get("enabled") else set()
            return 200, {"layer": {k: v for k, v in layer.items() if k not in hidden}}
        if template == "/rest/workspaces":
            return 200, _listed("workspaces", "workspace", catalog.workspaces)
        if template == "/gwc/rest/layers":
            return 200, list(catalog.tile_layers)
        if template == "/gwc/rest/layers/{layer}":
            return 200, Text(self._tile_layer(parts["layer"]), "application/xml")
        if template == "/{workspace}/wms":
            return 200, self._feature_info(parts["workspace"], query)
        if template == f"{api.STORE}/coverages" and query.get("list") == "all":
            names = catalog.native_names(parts["workspace"], parts["store"])
            return 200, {"list": {"string": names}}
        return 200, self._get_of_workspace(template, kind, parts)

    def _tile_layer(self, layer: str) -> str:
        if layer not in self.catalog.tile_layers:
            raise RefusalError(404, f"Unknown layer: {layer}")
        return self.catalog.tile_layers[layer]

    def _feature_info(self, workspace: str, query: dict) -> object:
        """Read the pixel in the middle of the box, as GetFeatureInfo does."""
        stores, layer = self.catalog.workspace(workspace).stores, query["layers"]
        found = [store for store in stores.values() if layer in store.coverages]
        if not found or query["request"] != "GetFeatureInfo":
            return exception(f"Could not find layer {workspace}:{layer}", "LayerNotDefined")
        left, bottom, right, top = (float(edge) for edge in query["bbox"].split(","))
        urls = _shown(found[0], query.get("time"))
        if not urls:
            told = f"Could not find a match for 'time' value: '{query['time']}'"
            return exception(told, "InvalidDimensionValue")
        try:
            pixels = [read_pixel(url, (left + right) / 2, (bottom + top) / 2) for url in urls]
        except IndexError as error:
            return exception(f"Failed to run GetFeatureInfo on layer {workspace}:{layer} {error}")
        values = next((values for values in pixels if values), [])
        bands = found[0].coverages[layer].document["dimensions"]["coverageDimension"]
        names = [band["name"] for band in (bands if isinstance(bands, list) else [bands])]
        properties = dict(zip(names, values, strict=True)) if values else {}
        features = [{"type": "Feature", "id": "", "geometry": None, "properties": properties}]
        return {"type": "FeatureCollection", "features": features if values else []}

    def _get_of_workspace(self, template: str, kind: str, parts: dict) -> object:
        catalog = self.catalog
        workspace = catalog.workspace(parts["workspace"])
        if template == "/rest/workspaces/{workspace}":
            return {"workspace": {"name": parts["workspace"]}}
        if template == f"{api.STORE}/coverages":
            return _listed("coverages", "coverage", catalog.store(**_store(parts)).coverages)
        if template == f"{api.DATASTORE}/featuretypes":
            place = (parts["workspace"], parts["store"])
            return _listed("featureTypes", "featureType", catalog.datastore(*place).types)
        if kind == "featuretypes":
            names = [name for store in workspace.datastores.values() for name in store.types]
            return _listed("featureTypes", "featureType", names)
        if kind == "datastores":
            return _listed("dataStores", "dataStore", workspace.datastores)
        if template == api.DATASTORE:
            store = catalog.datastore(parts["workspace"], parts["store"])
            return {"dataStore": _single(store.document)}
        if template == api.FEATURE_TYPE:
            place = (parts["workspace"], parts["store"], parts["type"])
            return {"featureType": catalog.feature_type(*place)}
        if kind == "coverages":
            names = [name for store in workspace.stores.values() for name in store.coverages]
            return _listed("coverages", "coverage", names)
        if kind == "coveragestores":
            return _listed("coverageStores", "coverageStore", workspace.stores)
        if template == api.STORE:
            return {"coverageStore": _single(catalog.store(**_store(parts)).document)}
        if template == api.COVERAGE:
            place = (parts["workspace"], parts["store"], parts["coverage"])
            return {"coverage": catalog.coverage(*place).document}
        if kind == "styles":
            return _listed("styles", "style", workspace.styles)
        if "styles" in template:
            if parts.get("style") not in workspace.styles:
                raise RefusalError(404, f"No such style {parts.get('style')}")
            return {"style": {"name": parts["style"], "format": "sld"}}
        if parts.get("group") not in workspace.groups:
            raise RefusalError(404, f"No such layer group {parts.get('group')}")
        return {"layerGroup": workspace.groups[parts["group"]]}

    def _post(
        self, template: str, parts: dict, query: dict, body: bytes, media_type: str
    ) -> tuple[int, object]:
        catalog, workspace = self.catalog, parts.get("workspace", "")
        if template == "/rest/workspaces":
            return 201, catalog.add_workspace(checked("workspace", body, new=True))
        if template.endswith("/datastores"):
            document = checked("dataStore", body, new=True)
            return 201, catalog.add_datastore(workspace, document)
        if template == f"{api.DATASTORE}/featuretypes":
            document = checked("featureType", body, new=True)
            catalog.add_type(workspace, parts["store"], document)
            return 201, ""
        if template.endswith("/coveragestores"):
            document = checked("coverageStore", body, new=True)
            return 201, catalog.add_store(workspace, document)
        if template.endswith("{method}.{format}"):
            catalog.harvest(
                workspace, parts["store"], parts["method"], body.decode(),
                box=query.get("updateBBox") == "true",
            )  # fmt: skip
            return 202, ""
        if template.endswith("/coverages"):
            document = checked("coverage", body, new=True)
            return 201, catalog.add_coverage(workspace, parts["store"], document)
        if template.endswith("/styles"):
            if media_type != api.SLD:
                raise RefusalError(501, "the double takes SLD only")
            return 201, catalog.add_style(workspace, query["name"], body)
        if template.endswith("/layergroups"):
            return 201, catalog.add_group(workspace, checked("layerGroup", body, new=True))
        if template.endswith("/acl/layers"):
            catalog.set_rules(json.loads(body), new=True)
            return 200, ""
        assert template == "/gwc/rest/masstruncate"
        catalog.truncate(body)
        return 200, ""

    def _put(
        self, template: str, parts: dict, query: dict, body: bytes, _: str
    ) -> tuple[int, object]:
        catalog, workspace = self.catalog, parts.get("workspace", "")
        if template == api.STORE:
            document = checked("coverageStore", body, new=False)
            catalog.change_store(workspace, parts["store"], document)
        elif template == api.DATASTORE:
            document = checked("dataStore", body, new=False)
            catalog.datastore(workspace, parts["store"]).document.update(document)
        elif template == "/gwc/rest/layers/{layer}":
            self._tile_layer(parts["layer"])
            catalog.tile_layers[parts["layer"]] = body.decode()
        elif template == api.FEATURE_TYPE:
            catalog.change_type(
                workspace, parts["store"], parts["type"],
                checked("featureType", body, new=False), query.get("recalculate", ""),
            )  # fmt: skip
        elif template == api.COVERAGE:
            catalog.change_coverage(
                workspace, parts["store"], parts["coverage"],
                checked("coverage", body, new=False), query.get("calculate", ""),
            )  # fmt: skip
        elif template == "/rest/layers/{layer}":
            catalog.change_layer(parts["layer"], checked("layer", body, new=False))
        elif template.endswith("{method}.{format}"):
            catalog.upload(
                workspace, parts["store"], parts["method"], parts["format"], body,
                query.get("configure", "first"),
            )  # fmt: skip
            return 201, ""
        elif template.endswith("/layergroups/{group}"):
            document = checked("layerGroup", body, new=False)
            catalog.delete_group(workspace, parts["group"])
            catalog.add_group(workspace, document)
        elif template.endswith("/acl/layers"):
            catalog.set_rules(json.loads(body), new=False)
        else:
            raise RefusalError(501, f"the double does not know PUT {template}")
        return 200, ""

    def _delete(self, template: str, parts: dict, query: dict, *_: object) -> tuple[int, object]:
        catalog, workspace = self.catalog, parts.get("workspace", "")
        recurse = query.get("recurse") == "true"
        if template == api.STORE:
            purge = query.get("purge", "none")
            catalog.delete_store(workspace, parts["store"], recurse=recurse, purge=purge)
        elif template == api.COVERAGE:
            place = (workspace, parts["store"], parts["coverage"])
            catalog.delete_coverage(*place, recurse=recurse)
        elif template == api.DATASTORE:
            catalog.delete_datastore(workspace, parts["store"], recurse=recurse)
        elif template == api.FEATURE_TYPE:
            place = (workspace, parts["store"], parts["type"])
            catalog.delete_type(*place, recurse=recurse)
        elif template == api.GRANULES:
            place = (workspace, parts["store"], parts["coverage"])
            catalog.delete_granules(*place, query.get("filter"), query.get("purge", "none"))
        elif template == "/gwc/rest/layers/{layer}":
            self._tile_layer(parts["layer"])
            del catalog.tile_layers[parts["layer"]]
            return 200, Text(f"{parts['layer']} deleted", "application/xml")
        elif template == "/rest/resource/{path}":
            if not catalog.delete_resources(parts["path"]):
                raise RefusalError(404, f"Resource '{parts['path']}' not found")
        elif template.endswith("/styles/{style}"):
            catalog.delete_style(workspace, parts["style"])
        elif template.endswith("/layergroups/{group}"):
            catalog.delete_group(workspace, parts["group"])
        elif template == "/rest/workspaces/{workspace}":
            catalog.delete_workspace(workspace, recurse=recurse)
        else:
            raise RefusalError(501, f"the double does not know DELETE {template}")
        return 200, ""


def exception(text: str, code: str = "") -> Text:
    """Write what a WMS answers, with status 200, where it could not do what was asked."""
    attribute = f' code="{code}" locator="time"' if code else ""
    told = f"<ServiceException{attribute}>{html.escape(text)}</ServiceException>"
    report = f'<ServiceExceptionReport version="1.1.1">{told}</ServiceExceptionReport>'
    return Text(report, "application/vnd.ogc.se_xml;charset=utf-8")


def _polygon(bounds: tuple[float, float, float, float]) -> dict:
    left, bottom, right, top = bounds
    corners = [[left, bottom], [left, top], [right, top], [right, bottom], [left, bottom]]
    return {"type": "Polygon", "coordinates": [corners]}


def _shown(store: Store, time: str | None) -> list[str]:
    """Return the rasters that are seen at a time, the newest first."""
    if not store.is_mosaic:
        return [store.document["url"]]
    granules = sorted(store.granules.values(), key=lambda granule: granule["time"], reverse=True)
    newest = granules[0]["time"] if granules else None
    return [g["location"] for g in granules if g["time"] == (time or newest)]


def _store(parts: dict) -> dict[str, str]:
    return {"workspace": parts["workspace"], "name": parts["store"]}


def _listed(outer: str, inner: str, names: object) -> dict:
    """Write a list as GeoServer does: an empty one is an empty text."""
    members = [{"name": name, "href": f"http://elsewhere/{name}.json"} for name in names]
    return {outer: {inner: members} if members else ""}


def _single(document: dict) -> dict:
    """Write a map of one entry as GeoServer does: not as a list."""
    entries = (document.get("metadata") or {}).get("entry")
    if isinstance(entries, list) and len(entries) == 1:
        return {**document, "metadata": {"entry": entries[0]}}
    return document
