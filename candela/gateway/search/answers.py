"""Answers of the search routes: GeoJSON, JSON or CSV, with links to the next page."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from candela.gateway.parameters import QueryParameters
from candela.gateway.search.patches import PatchesApi
from candela.patches.query.export import Row, as_feature, to_csv
from candela.patches.query.selection import PatchFilter

ONLY_JSON = ("json",)
TABLES = ("json", "csv")
FEATURES = ("geojson", "csv")
MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "geojson": "application/geo+json",
}


def one_more(where: PatchFilter) -> PatchFilter:
    """Ask for one more than is shown: whether there are more."""
    return replace(where, limit=where.limit + 1)


def page_answer(
    api: PatchesApi, found: Sequence[Any], where: PatchFilter, form: str, key: str
) -> BaseResponse:
    """Answer with a page of features, the next of which begins after the last of it."""
    shown = found[: where.limit]
    more = len(found) > where.limit
    following = {"after": str(getattr(shown[-1], key))} if more else None
    return feature_answer(api, [each._asdict() for each in shown], form, key, following)


def feature_answer(
    api: PatchesApi,
    rows: list[dict[str, Any]],
    form: str,
    key: str,
    following: dict[str, str] | None,
) -> BaseResponse:
    """Answer with features; ``following`` are the parameters of the next page."""
    links = [link(api, "self")]
    if following:
        links.append(link(api, "next", **following))
    document = {
        "type": "FeatureCollection",
        "features": [as_feature(row, key) for row in rows],
        "numberReturned": len(rows),
        "links": links,
    }
    answer = table_answer(document, rows, form)
    answer.headers["Link"] = ", ".join(f'<{link["href"]}>; rel="{link["rel"]}"' for link in links)
    return answer


def table_answer(document: dict[str, Any], rows: Sequence[Row], form: str) -> BaseResponse:
    """Answer with a JSON document, or its rows as CSV."""
    if form == "csv":
        return Response(to_csv(rows), mimetype=MEDIA_TYPES["csv"])
    return json_answer(document, form)


def json_answer(document: dict[str, Any], form: str) -> BaseResponse:
    """Answer with a JSON document."""
    answer = jsonify(document)
    answer.mimetype = MEDIA_TYPES[form]
    return answer


def form_of(query: QueryParameters, offered: tuple[str, ...]) -> str:
    """Return how to answer: as ``f`` says, or else as the client accepts."""
    named = query.choice("f", (*offered, "json"))
    if named:
        return named if named in offered else offered[0]
    types = [MEDIA_TYPES[form] for form in offered]
    best = request.accept_mimetypes.best_match(types, default=types[0])
    return offered[types.index(best or types[0])]


def link(api: PatchesApi, rel: str, **changed: str) -> dict[str, str]:
    """Return a link to what was asked, with some parameters changed."""
    query = urlencode({**request.args, **changed})
    path = request.path.removeprefix("/patches")
    return {"href": f"{api.base_url}{path}{'?' if query else ''}{query}", "rel": rel}
