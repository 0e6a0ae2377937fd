"""The STAC API: results of jobs for clients such as pystac-client.

/stac                                      landing page, a catalogue
/stac/conformance                          conformance classes
/stac/collections                          a collection for each process that makes rasters
/stac/collections/<process>                one of them
/stac/collections/<process>/items          its items, the newest first
/stac/collections/<process>/items/<item>   one raster
/stac/search                               items of all collections, by GET or POST
"""

import json
from dataclasses import replace
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from candela.gateway.access.identity import principal_of
from candela.gateway.parameters import QueryParameters, json_document, query_of_request
from candela.gateway.stac.catalogue import ItemPage, ResultCatalogue
from candela.gateway.stac.items import EARTH, GEOJSON, JSON, VERSION, Document, link
from candela.gateway.stac.query import (
    LISTS,
    MOST_BYTES,
    OF_COLLECTION,
    OF_SEARCH,
    ItemQuery,
    query_of_body,
)
from candela.settings import Metadata
from candela.spec import ProcessSpec

OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
CONFORMS_TO = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)


def blueprint(catalogue: ResultCatalogue, metadata: Metadata) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("stac", __name__, url_prefix="/stac")
    root = f"{catalogue.addresses.base_url}/stac"

    @routes.get("")
    def landing() -> BaseResponse:
        query_of_request()
        return _answer(_landing(root, catalogue, metadata))

    @routes.get("/conformance")
    def conformance() -> BaseResponse:
        query_of_request()
        return _answer({"conformsTo": list(CONFORMS_TO)})

    @routes.get("/collections")
    def collections() -> BaseResponse:
        query_of_request()
        return _answer(
            {
                "collections": [
                    _collection(root, name, spec) for name, spec in catalogue.collections().items()
                ],
                "links": [link(f"{root}/collections", "self"), link(root, "root")],
            }
        )

    @routes.get("/collections/<process>")
    def collection(process: str) -> BaseResponse:
        query_of_request()
        return _answer(_collection(root, process, catalogue.collection(process)))

    @routes.get("/collections/<process>/items")
    def items(process: str) -> BaseResponse:
        query = query_of_request(*OF_COLLECTION)
        catalogue.collection(process)
        of_process = replace(ItemQuery.of(query), collections=frozenset({process}))
        page = catalogue.page(principal_of(request), of_process)
        return _page(f"{root}/collections/{process}/items", root, query, page)

    @routes.get("/collections/<process>/items/<item>")
    def item(process: str, item: str) -> BaseResponse:
        query_of_request()
        return _answer(catalogue.item(principal_of(request), process, item), GEOJSON)

    @routes.get("/search")
    def search() -> BaseResponse:
        query = query_of_request(*OF_SEARCH, lists=LISTS)
        page = catalogue.page(principal_of(request), ItemQuery.of(query))
        return _page(f"{root}/search", root, query, page)

    @routes.post("/search")
    def search_by_body() -> BaseResponse:
        query_of_request()
        body = json_document(MOST_BYTES)
        page = catalogue.page(principal_of(request), query_of_body(body))
        links = [link(f"{root}/search", "self", GEOJSON), link(root, "root")]
        if page.next_token:
            following = link(f"{root}/search", "next", GEOJSON)
            asked = {**body, "token": page.next_token}
            links.append(following | {"method": "POST", "body": asked})
        return _answer(_features(page, links), GEOJSON)

    return routes


def _landing(root: str, catalogue: ResultCatalogue, metadata: Metadata) -> Document:
    base = catalogue.addresses.base_url
    children = [
        link(f"{root}/collections/{name}", "child", JSON, spec.title)
        for name, spec in catalogue.collections().items()
    ]
    return {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": "candela",
        "title": metadata.title,
        "description": metadata.abstract or metadata.title,
        "conformsTo": list(CONFORMS_TO),
        "links": [
            link(root, "self"),
            link(root, "root"),
            link(f"{base}/api", "service-desc", OPENAPI, "OGC API - Processes of the same service"),
            link(f"{root}/conformance", "conformance"),
            link(f"{root}/collections", "data"),
            link(f"{root}/search", "search", GEOJSON) | {"method": "GET"},
            link(f"{root}/search", "search", GEOJSON) | {"method": "POST"},
            *children,
        ],
    }


def _collection(root: str, name: str, spec: ProcessSpec) -> Document:
    """Return a collection; its extent is that of the process, which works anywhere on Earth."""
    own = f"{root}/collections/{name}"
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "id": name,
        "title": spec.title,
        "description": spec.abstract or spec.title,
        "license": "other",
        "extent": {
            "spatial": {"bbox": [list(EARTH)]},
            "temporal": {"interval": [[None, None]]},
        },
        "links": [
            link(own, "self"),
            link(root, "root"),
            link(root, "parent"),
            link(f"{own}/items", "items", GEOJSON),
            link(f"{root.removesuffix('/stac')}/processes/{name}", "via", JSON, "The process"),
        ],
    }


def _page(address: str, root: str, query: QueryParameters, page: ItemPage) -> BaseResponse:
    def asked(**changes: str) -> str:
        pairs = [pair for pair in query.given.items(multi=True) if pair[0] not in changes]
        text = urlencode([*pairs, *changes.items()])
        return f"{address}?{text}" if text else address

    links = [link(asked(), "self", GEOJSON), link(root, "root")]
    if page.next_token:
        links.append(link(asked(token=page.next_token), "next", GEOJSON) | {"method": "GET"})
    return _answer(_features(page, links), GEOJSON)


def _features(page: ItemPage, links: list[Document]) -> Document:
    return {
        "type": "FeatureCollection",
        "features": page.items,
        "numberReturned": len(page.items),
        "links": links,
    }


def _answer(document: Document, media_type: str = JSON) -> BaseResponse:
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Response(content, content_type=media_type)
