"""Patches: found by filters or by likeness, one by one, and their pictures."""

from flask import Response
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import InvalidValueError, NotFoundError, blamed_on
from candela.gateway.parameters import query_of_request, shown, whole_number
from candela.gateway.search.answers import (
    FEATURES,
    feature_answer,
    form_of,
    json_answer,
    link,
    one_more,
    page_answer,
)
from candela.gateway.search.filters import (
    HIGHEST,
    LIKENESS,
    MOST_ALIKE,
    MOST_ITEMS,
    PAGING,
    PATCH_FILTERS,
    check_filter,
    patch_filter,
    similarity_query,
)
from candela.gateway.search.patches import PatchesApi
from candela.patches.query.export import as_feature
from candela.patches.query.products import feature_sets_of, labels_of, quicklook_of
from candela.patches.query.selection import (
    FoundPatch,
    find_patches,
    patches_of,
    relatives_of,
)
from candela.patches.query.similarity import find_feature_set


def items(api: PatchesApi) -> BaseResponse:
    """Find patches, by all filters together; with ``like`` the nearest ones."""
    query = query_of_request(*PATCH_FILTERS, *PAGING, *LIKENESS)
    form, similarity = form_of(query, FEATURES), similarity_query(query)
    where = patch_filter(query, MOST_ALIKE if similarity else MOST_ITEMS, 20 if similarity else 100)
    if similarity is None:
        with api.reading() as connection:
            check_filter(connection, where)
            found = find_patches(connection, api.viewer, one_more(where))
        return page_answer(api, found, where, form, "patch")
    with api.reading() as connection:
        check_filter(connection, where)
        with blamed_on("features"):
            feature_set = find_feature_set(connection, similarity.features)
        with blamed_on("like"):
            nearest = api.shelf.like_patch(
                connection,
                api.viewer,
                similarity.patch,
                similarity.offset + where.limit + 1,
                where,
                feature_set=feature_set,
                limit_s=api.limit_s,
                without=() if similarity.relatives else relatives_of(connection, similarity.patch),
            )
        shown = nearest[similarity.offset : similarity.offset + where.limit]
        patches = patches_of(connection, api.viewer, [each.patch for each in shown])
    distances = {each.patch: each.distance for each in shown}
    rows = [{**patch._asdict(), "distance": distances[patch.patch]} for patch in patches]
    more = len(nearest) > similarity.offset + where.limit
    following = {"offset": str(similarity.offset + where.limit)} if more else None
    return feature_answer(api, rows, form, "patch", following)


def item(api: PatchesApi, patch: str) -> BaseResponse:
    """Describe one patch with its labels."""
    form, number = form_of(query_of_request("f"), ("geojson",)), _number(patch)
    with api.reading() as connection:
        found = _one(connection, api.viewer, number)
        known = {
            "labels": [label._asdict() for label in labels_of(connection, api.viewer, number)],
            "featureSets": feature_sets_of(connection, number),
        }
    feature = as_feature(found, "patch")
    feature["properties"] |= known
    picture = f"{api.base_url}/items/{number}/quicklook"
    feature["links"] = [
        link(api, "self"),
        {"href": picture, "rel": "preview", "type": "image/jpeg"},
    ]
    return json_answer(feature, form)


def quicklook(api: PatchesApi, patch: str) -> BaseResponse:
    """Answer with the picture of a patch."""
    query_of_request()
    number = _number(patch)
    with api.reading() as connection:
        content = quicklook_of(connection, api.viewer, number)
    headers = {"Cache-Control": "private, max-age=300"}
    return Response(content, mimetype="image/jpeg", headers=headers)


def _one(connection: Connection, viewer: str, patch: int) -> FoundPatch:
    found = patches_of(connection, viewer, [patch])
    if not found:
        raise NotFoundError(f"there is no patch {patch}, or it is not yours to see")
    return found[0]


def _number(patch: str) -> int:
    """Return the number of a patch in an address; there is no patch of any other."""
    try:
        return whole_number(patch, "patch", 0, HIGHEST)
    except InvalidValueError:
        raise NotFoundError(f"there is no patch {shown(patch)}") from None
