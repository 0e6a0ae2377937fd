"""What the patch database has: products, label schemes, feature sets."""

import sqlalchemy as sa
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import NotFoundError
from candela.gateway.parameters import query_of_request
from candela.gateway.search.answers import (
    FEATURES,
    ONLY_JSON,
    TABLES,
    form_of,
    json_answer,
    link,
    one_more,
    page_answer,
    table_answer,
)
from candela.gateway.search.filters import PAGING, PRODUCT_FILTERS, patch_filter
from candela.gateway.search.patches import PatchesApi
from candela.patches.query.products import find_products
from candela.patches.store.schemes import labels
from candela.patches.store.schemes import schemes as label_schemes
from candela.patches.store.tables import FEATURE_SET


def landing(api: PatchesApi) -> BaseResponse:
    """List what there is here."""
    form = form_of(query_of_request("f"), ONLY_JSON)
    with api.reading():
        pass  # whether there is a database
    places = ("products", "items", "schemes", "feature-sets", "statistics", "changes", "confusion")
    links = [{"href": f"{api.base_url}/{place}", "rel": "item", "title": place} for place in places]
    return json_answer({"title": "Patch models", "links": [link(api, "self"), *links]}, form)


def products(api: PatchesApi) -> BaseResponse:
    """Find products."""
    query = query_of_request(*PRODUCT_FILTERS, *PAGING)
    form, where = form_of(query, FEATURES), patch_filter(query)
    with api.reading() as connection:
        found = find_products(connection, api.viewer, one_more(where))
    return page_answer(api, found, where, form, "product")


def schemes(_: PatchesApi) -> BaseResponse:
    """List the label schemes."""
    form = form_of(query_of_request("f"), TABLES)
    rows = [
        {"scheme": name, "title": scheme.title, "source": scheme.source}
        for name, scheme in label_schemes().items()
    ]
    return table_answer({"schemes": rows}, rows, form)


def scheme(_: PatchesApi, name: str) -> BaseResponse:
    """List the labels of a scheme."""
    form = form_of(query_of_request("f"), TABLES)
    if name not in label_schemes():
        raise NotFoundError(f"there is no scheme {name!r} (schemes: {', '.join(label_schemes())})")
    rows = [label._asdict() for label in labels(name)]
    return table_answer({"scheme": name, "labels": rows}, rows, form)


def feature_sets(api: PatchesApi) -> BaseResponse:
    """List the feature sets, by which patches are compared."""
    form = form_of(query_of_request("f"), TABLES)
    names = ("name", "version", "sensor", "dimension", "reference")
    query = sa.select(*(FEATURE_SET.c[name] for name in names)).order_by(FEATURE_SET.c.id)
    with api.reading() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return table_answer({"featureSets": rows}, rows, form)
