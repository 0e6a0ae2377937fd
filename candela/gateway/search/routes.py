"""The database of patch models over HTTP: search, similarity, statistics, labels.

/patches                       what there is here
/patches/products              products
/patches/schemes[/<name>]      label schemes, and the labels of one
/patches/feature-sets          by what patches may be alike
/patches/items                 patches, by all that can be asked of them together
/patches/items/<n>             one patch with its labels
/patches/items/<n>/quicklook   its picture
/patches/statistics            patches and area by product, date, size and label
/patches/changes               what became what between two products
/patches/confusion             two sources of labels against each other
/patches/annotations           POST: labels of the user's own
"""

from collections.abc import Callable
from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from candela.gateway.search import annotations, catalogue, items, statistics
from candela.gateway.search.patches import PatchesApi

View = Callable[..., BaseResponse]
VIEWS: dict[str, View] = {
    "": catalogue.landing,
    "/products": catalogue.products,
    "/schemes": catalogue.schemes,
    "/schemes/<name>": catalogue.scheme,
    "/feature-sets": catalogue.feature_sets,
    "/items": items.items,
    "/items/<patch>": items.item,
    "/items/<patch>/quicklook": items.quicklook,
    "/statistics": statistics.statistics,
    "/changes": statistics.changes,
    "/confusion": statistics.confusion,
}


def blueprint(api: PatchesApi) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("patches", __name__, url_prefix="/patches")
    for path, view in VIEWS.items():
        routes.add_url_rule(path, view.__name__, _bound(view, api), methods=["GET"])
    annotate = _bound(annotations.annotate_patches, api)
    routes.add_url_rule("/annotations", "annotate", annotate, methods=["POST"])
    return routes


def _bound(view: View, api: PatchesApi) -> View:
    def bound(**path: Any) -> BaseResponse:  # noqa: ANN401 - parts of the path
        return view(api, **path)

    return bound
