"""Statistics of labels: counts, changes between products, two sources against each other."""

import math
from typing import Any

from werkzeug.wrappers import Response as BaseResponse

from candela.errors import InvalidValueError, blamed_on
from candela.gateway.parameters import QueryParameters, query_of_request
from candela.gateway.search.answers import TABLES, form_of, table_answer
from candela.gateway.search.filters import PATCH_FILTERS, check_filter, label_source, patch_filter
from candela.gateway.search.patches import PatchesApi
from candela.patches.query import analytics
from candela.patches.query.analytics import change_matrix, label_statistics
from candela.patches.query.confusion import Confusion
from candela.patches.query.semantic import Rule, fused_confusion
from candela.patches.store.schemes import schemes

RULES: tuple[Rule, ...] = ("product", "pairs")


def statistics(api: PatchesApi) -> BaseResponse:
    """Count patches and area by product, date, size and label."""
    query = query_of_request(*PATCH_FILTERS, "scheme", "source", "f")
    form, scheme = form_of(query, TABLES), _scheme_of(query)
    source, where = label_source(query, "source", "manual"), patch_filter(query)
    with api.reading() as connection:
        check_filter(connection, where)
        counts = label_statistics(connection, api.viewer, scheme, where, source=source)
    rows = [{**count._asdict(), "time": _iso(count.time)} for count in counts]
    return table_answer({"scheme": scheme, "statistics": rows}, rows, form)


def changes(api: PatchesApi) -> BaseResponse:
    """Count what became what between two products."""
    query = query_of_request("scheme", "source", "before", "after", "owner", "size", "f")
    form, scheme = form_of(query, TABLES), _scheme_of(query)
    before, after = query.required("before"), query.required("after")
    size = query.whole_number("size", 120, 1, 100_000)
    source = label_source(query, "source", "manual")
    with api.reading() as connection, blamed_on("before, after"):
        matrix = change_matrix(
            connection, api.viewer, scheme, before, after,
            size=size, source=source, owner=query.text("owner"),
        )  # fmt: skip
    told = {"scheme": scheme, "before": before, "after": after, "size": size}
    return table_answer(told | _counts(matrix), matrix.rows(), form)


def confusion(api: PatchesApi) -> BaseResponse:
    """Compare two sources of labels."""
    query = query_of_request(*PATCH_FILTERS, "scheme", "truth", "compared", "f")
    form, scheme = form_of(query, TABLES), _scheme_of(query)
    truth, compared = label_source(query, "truth", "reference"), query.text("compared", "manual")
    rule = next((rule for rule in RULES if rule == compared), None)
    where = patch_filter(query)
    with api.reading() as connection:
        check_filter(connection, where)
        if rule:
            matrix = fused_confusion(connection, api.viewer, scheme, truth, rule, where)
        else:
            other = label_source(query, "compared", "manual")
            matrix = analytics.confusion(connection, api.viewer, scheme, truth, other, where)
    told = {
        "scheme": scheme,
        "truth": query.text("truth", "reference"),
        "compared": compared,
        **_counts(matrix),
        "accuracy": _finite(matrix.accuracy),
        "kappa": _finite(matrix.kappa),
        "recall": {code: _finite(share) for code, share in matrix.recall().items()},
        "precision": {code: _finite(share) for code, share in matrix.precision().items()},
    }
    return table_answer(told, matrix.rows(), form)


def _scheme_of(query: QueryParameters) -> str:
    name = query.text("scheme", "corine")
    if name not in schemes():
        raise InvalidValueError(
            f"there is no scheme {name!r} (schemes: {', '.join(schemes())})", "scheme"
        )
    return name


def _counts(matrix: Confusion) -> dict[str, Any]:
    return {"codes": list(matrix.codes), "counts": matrix.counts.tolist()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _iso(time: Any) -> str | None:  # noqa: ANN401 - a time, or none
    return time.isoformat() if time else None
