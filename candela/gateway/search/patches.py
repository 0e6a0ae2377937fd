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

import logging
import math
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, request
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import (
    InvalidValueError,
    NotFoundError,
    PublicError,
    StorageError,
    TooLargeError,
    UnavailableError,
    blamed_on,
)
from candela.gateway.access.identity import principal_of
from candela.gateway.faults import fault_of
from candela.gateway.parameters import json_document, shown, whole_number
from candela.gateway.search.questions import (
    HIGHEST,
    MOST_ALIKE,
    MOST_ITEMS,
    OF_LIKENESS,
    OF_PAGES,
    OF_PATCHES,
    OF_PRODUCTS,
    Question,
    annotations_of,
)
from candela.patches.query.analytics import change_matrix, confusion, label_statistics
from candela.patches.query.confusion import Confusion
from candela.patches.query.export import Row, as_feature, to_csv
from candela.patches.query.products import feature_sets_of, find_products, labels_of, quicklook_of
from candela.patches.query.selection import (
    Found,
    Wanted,
    check_label,
    find_patches,
    patches_of,
    relatives_of,
)
from candela.patches.query.semantic import Rule, fused_confusion
from candela.patches.query.shelf import VectorShelf
from candela.patches.query.similarity import find_feature_set
from candela.patches.store.annotate import annotate
from candela.patches.store.database import PatchDatabase, open_database
from candela.patches.store.schemes import labels, schemes
from candela.patches.store.tables import FEATURE_SET
from candela.patches.store.target import NOBODY
from candela.settings import Settings

logger = logging.getLogger(__name__)

RULES: tuple[Rule, ...] = ("product", "pairs")
ONLY_JSON = ("json",)
TABLES = ("json", "csv")
FEATURES = ("geojson", "csv")
MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "geojson": "application/geo+json",
}
MAX_BODY_BYTES = 4 * 2**20
PLACES = 12  # questions at the same time, of the threads of a gateway
PATIENCE_S = 2  # for a place
NOT_HERE = "this gateway has no database of patch models"
AWAY = UnavailableError("the patch database does not answer; please try again later")


class PatchesApi:
    """The routes' way to the database.

    Parameters
    ----------
    settings : Settings
        Of the gateway.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database: PatchDatabase | None = None
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PLACES)
        self.base_url = f"{settings.base_url}/patches"
        self._folder = _own_folder(settings.folder / "vectors")
        self.shelf = VectorShelf(self._folder)

    @property
    def limit_s(self) -> float:
        """How long an answer may take."""
        return self._settings.patches_limit_s

    @property
    def viewer(self) -> str:
        """Who asks: as for jobs."""
        return principal_of(request).name or NOBODY

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction in which the user who asks reads."""
        with (
            self.place(),
            self._opened().reading_for(self.viewer, limit_s=self.limit_s) as connection,
        ):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction in which the user who asks writes."""
        with (
            self.place(),
            self._opened().acting_for(self.viewer, limit_s=self.limit_s) as connection,
        ):
            yield connection

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places for questions, so that a gateway always has threads for jobs."""
        if not self._places.acquire(timeout=PATIENCE_S):
            raise UnavailableError("too many questions to the patch database at the same time")
        try:
            yield
        finally:
            self._places.release()

    def close(self) -> None:
        """Release the connections, and remove the vectors that were kept."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._database is not None:
            self._database.close()

    def _opened(self) -> PatchDatabase:
        """Return the database; it need not be there when a gateway starts."""
        url = self._settings.patches_query_url
        if not url:
            raise NotFoundError(NOT_HERE)
        if self._database is None:
            with self._lock:
                if self._database is None:
                    self._database = open_database(url)
        return self._database


def _own_folder(folder: Path) -> Path:
    """Return a folder for this process alone; those of processes that were killed are removed."""
    host = socket.gethostname()
    for other in folder.glob(f"{host}-*"):
        process = other.name.removeprefix(f"{host}-")
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(other, ignore_errors=True)
    return folder / f"{host}-{os.getpid()}"


def blueprint(api: PatchesApi) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("patches", __name__, url_prefix="/patches")
    for path, view in (
        ("", _landing),
        ("/products", _products),
        ("/schemes", _schemes),
        ("/schemes/<name>", _scheme),
        ("/feature-sets", _feature_sets),
        ("/items", _items),
        ("/items/<patch>", _item),
        ("/items/<patch>/quicklook", _quicklook),
        ("/statistics", _statistics),
        ("/changes", _changes),
        ("/confusion", _confusion),
    ):
        routes.add_url_rule(path, view.__name__, _bound(view, api), methods=["GET"])
    routes.add_url_rule("/annotations", "_annotate", _bound(_annotate, api), methods=["POST"])

    @routes.errorhandler(PublicError)
    def refused(error: PublicError) -> tuple[BaseResponse, int]:
        fault = fault_of(error)
        is_address = isinstance(error, NotFoundError) and not error.locator
        status = 404 if is_address else fault.status  # a parameter that names nothing is a 400
        status = 413 if isinstance(error, TooLargeError) else status
        answer = jsonify(title=fault.message, status=status, code=fault.code, locator=fault.locator)
        answer.headers.extend(fault.headers)
        return answer, status

    @routes.errorhandler(StorageError)
    def away(error: StorageError) -> tuple[BaseResponse, int]:
        logger.warning("The patch database does not work: %s", error)
        return refused(AWAY)

    return routes


def _bound(view: Callable[..., BaseResponse], api: PatchesApi) -> Callable[..., BaseResponse]:
    def bound(**path: Any) -> BaseResponse:  # noqa: ANN401 - parts of the path
        return view(api, **path)

    return bound


def _landing(api: PatchesApi) -> BaseResponse:
    form = _form(Question(request.args, ("f",)), ONLY_JSON)
    with api.reading():
        pass  # whether there is a database
    places = ("products", "items", "schemes", "feature-sets", "statistics", "changes", "confusion")
    links = [{"href": f"{api.base_url}/{place}", "rel": "item", "title": place} for place in places]
    return _answer({"title": "Patch models", "links": [_link(api, "self"), *links]}, form)


def _products(api: PatchesApi) -> BaseResponse:
    question = Question(request.args, (*OF_PRODUCTS, *OF_PAGES))
    form, wanted = _form(question, FEATURES), question.wanted()
    with api.reading() as connection:
        found = find_products(connection, api.viewer, _one_more(wanted))
    return _page(api, found, wanted, form, "product")


def _schemes(_: PatchesApi) -> BaseResponse:
    form = _form(Question(request.args, ("f",)), TABLES)
    rows = [
        {"scheme": name, "title": scheme.title, "source": scheme.source}
        for name, scheme in schemes().items()
    ]
    return _table({"schemes": rows}, rows, form)


def _scheme(_: PatchesApi, name: str) -> BaseResponse:
    form = _form(Question(request.args, ("f",)), TABLES)
    if name not in schemes():
        raise NotFoundError(f"there is no scheme {name!r} (schemes: {', '.join(schemes())})")
    rows = [label._asdict() for label in labels(name)]
    return _table({"scheme": name, "labels": rows}, rows, form)


def _feature_sets(api: PatchesApi) -> BaseResponse:
    form = _form(Question(request.args, ("f",)), TABLES)
    names = ("name", "version", "sensor", "dimension", "reference")
    query = sa.select(*(FEATURE_SET.c[name] for name in names)).order_by(FEATURE_SET.c.id)
    with api.reading() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return _table({"featureSets": rows}, rows, form)


def _items(api: PatchesApi) -> BaseResponse:
    question = Question(request.args, (*OF_PATCHES, *OF_PAGES, *OF_LIKENESS))
    form, alike = _form(question, FEATURES), question.alike()
    wanted = question.wanted(MOST_ALIKE if alike else MOST_ITEMS, 20 if alike else 100)
    if alike is None:
        with api.reading() as connection:
            _check_label(connection, wanted)
            found = find_patches(connection, api.viewer, _one_more(wanted))
        return _page(api, found, wanted, form, "patch")
    with api.reading() as connection:
        _check_label(connection, wanted)
        with blamed_on("features"):
            feature_set = find_feature_set(connection, alike.features)
        with blamed_on("like"):
            nearest = api.shelf.like_patch(
                connection,
                api.viewer,
                alike.patch,
                alike.offset + wanted.limit + 1,
                wanted,
                feature_set=feature_set,
                limit_s=api.limit_s,
                without=() if alike.relatives else relatives_of(connection, alike.patch),
            )
        shown = nearest[alike.offset : alike.offset + wanted.limit]
        patches = patches_of(connection, api.viewer, [each.patch for each in shown])
    distances = {each.patch: each.distance for each in shown}
    rows = [{**patch._asdict(), "distance": distances[patch.patch]} for patch in patches]
    more = len(nearest) > alike.offset + wanted.limit
    following = {"offset": str(alike.offset + wanted.limit)} if more else None
    return _features(api, rows, form, "patch", following)


def _item(api: PatchesApi, patch: str) -> BaseResponse:
    form, number = _form(Question(request.args, ("f",)), ("geojson",)), _number(patch)
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
        _link(api, "self"),
        {"href": picture, "rel": "preview", "type": "image/jpeg"},
    ]
    return _answer(feature, form)


def _quicklook(api: PatchesApi, patch: str) -> BaseResponse:
    Question(request.args, ())
    number = _number(patch)
    with api.reading() as connection:
        content = quicklook_of(connection, api.viewer, number)
    headers = {"Cache-Control": "private, max-age=300"}
    return Response(content, mimetype="image/jpeg", headers=headers)


def _statistics(api: PatchesApi) -> BaseResponse:
    question = Question(request.args, (*OF_PATCHES, "scheme", "source", "f"))
    form, scheme = _form(question, TABLES), _scheme_named(question)
    source, wanted = question.source("source", "manual"), question.wanted()
    with api.reading() as connection:
        _check_label(connection, wanted)
        counts = label_statistics(connection, api.viewer, scheme, wanted, source=source)
    rows = [{**count._asdict(), "time": _iso(count.time)} for count in counts]
    return _table({"scheme": scheme, "statistics": rows}, rows, form)


def _changes(api: PatchesApi) -> BaseResponse:
    known = ("scheme", "source", "before", "after", "owner", "size", "f")
    question = Question(request.args, known)
    form, scheme = _form(question, TABLES), _scheme_named(question)
    before, after = question.needed("before"), question.needed("after")
    size = question.number("size", 120, 1, 100_000)
    source = question.source("source", "manual")
    with api.reading() as connection, blamed_on("before, after"):
        matrix = change_matrix(
            connection, api.viewer, scheme, before, after,
            size=size, source=source, owner=question.text("owner"),
        )  # fmt: skip
    told = {"scheme": scheme, "before": before, "after": after, "size": size}
    return _table(told | _counts(matrix), matrix.rows(), form)


def _confusion(api: PatchesApi) -> BaseResponse:
    question = Question(request.args, (*OF_PATCHES, "scheme", "truth", "compared", "f"))
    form, scheme = _form(question, TABLES), _scheme_named(question)
    truth, compared = question.source("truth", "reference"), question.text("compared", "manual")
    rule = next((rule for rule in RULES if rule == compared), None)
    wanted = question.wanted()
    with api.reading() as connection:
        _check_label(connection, wanted)
        if rule:
            matrix = fused_confusion(connection, api.viewer, scheme, truth, rule, wanted)
        else:
            other = question.source("compared", "manual")
            matrix = confusion(connection, api.viewer, scheme, truth, other, wanted)
    told = {
        "scheme": scheme,
        "truth": question.text("truth", "reference"),
        "compared": compared,
        **_counts(matrix),
        "accuracy": _finite(matrix.accuracy),
        "kappa": _finite(matrix.kappa),
        "recall": {code: _finite(share) for code, share in matrix.recall().items()},
        "precision": {code: _finite(share) for code, share in matrix.precision().items()},
    }
    return _table(told, matrix.rows(), form)


def _annotate(api: PatchesApi) -> BaseResponse:
    Question(request.args, ())
    given = annotations_of(json_document(MAX_BODY_BYTES))
    with api.writing() as connection, blamed_on("labels"):
        annotate(
            connection,
            api.viewer,
            given.scheme,
            given.labels,
            source=given.source,
            visibility=given.visibility,
        )
    count = sum(len(of_patch) for of_patch in given.labels.values())
    return jsonify(owner=api.viewer, patches=len(given.labels), labels=count)


def _one(connection: Connection, viewer: str, patch: int) -> Found:
    found = patches_of(connection, viewer, [patch])
    if not found:
        raise NotFoundError(f"there is no patch {patch}, or it is not yours to see")
    return found[0]


def _check_label(connection: Connection, wanted: Wanted) -> None:
    if wanted.label:
        with blamed_on("label"):
            check_label(connection, wanted.label.scheme, wanted.label.code)


def _number(patch: str) -> int:
    """Return the number of a patch in an address; there is no patch of any other."""
    try:
        return whole_number(patch, "patch", 0, HIGHEST)
    except InvalidValueError:
        raise NotFoundError(f"there is no patch {shown(patch)}") from None


def _scheme_named(question: Question) -> str:
    name = question.text("scheme", "corine")
    if name not in schemes():
        raise InvalidValueError(
            f"there is no scheme {name!r} (schemes: {', '.join(schemes())})", "scheme"
        )
    return name


def _one_more(wanted: Wanted) -> Wanted:
    """Ask for one more than is shown: whether there are more."""
    return Wanted(**{**vars(wanted), "limit": wanted.limit + 1})


def _page(
    api: PatchesApi, found: Sequence[Any], wanted: Wanted, form: str, key: str
) -> BaseResponse:
    shown = found[: wanted.limit]
    more = len(found) > wanted.limit
    following = {"after": str(getattr(shown[-1], key))} if more else None
    return _features(api, [each._asdict() for each in shown], form, key, following)


def _features(
    api: PatchesApi,
    rows: list[dict[str, Any]],
    form: str,
    key: str,
    following: dict[str, str] | None,
) -> BaseResponse:
    """Answer with features; ``following`` are the parameters of the next page."""
    links = [_link(api, "self")]
    if following:
        links.append(_link(api, "next", **following))
    document = {
        "type": "FeatureCollection",
        "features": [as_feature(row, key) for row in rows],
        "numberReturned": len(rows),
        "links": links,
    }
    answer = _table(document, rows, form)
    answer.headers["Link"] = ", ".join(f'<{link["href"]}>; rel="{link["rel"]}"' for link in links)
    return answer


def _table(document: dict[str, Any], rows: Sequence[Row], form: str) -> BaseResponse:
    if form == "csv":
        return Response(to_csv(rows), mimetype=MEDIA_TYPES["csv"])
    return _answer(document, form)


def _answer(document: dict[str, Any], form: str) -> BaseResponse:
    answer = jsonify(document)
    answer.mimetype = MEDIA_TYPES[form]
    return answer


def _form(question: Question, offered: tuple[str, ...]) -> str:
    """Return how to answer: as ``f`` says, or else as the client accepts."""
    named = question.choice("f", (*offered, "json"))
    if named:
        return named if named in offered else offered[0]
    types = [MEDIA_TYPES[form] for form in offered]
    best = request.accept_mimetypes.best_match(types, default=types[0])
    return offered[types.index(best or types[0])]


def _link(api: PatchesApi, rel: str, **changed: str) -> dict[str, str]:
    """Return a link to what was asked, with some parameters changed."""
    query = urlencode({**request.args, **changed})
    path = request.path.removeprefix("/patches")
    return {"href": f"{api.base_url}{path}{'?' if query else ''}{query}", "rel": rel}


def _counts(matrix: Confusion) -> dict[str, Any]:
    return {"codes": list(matrix.codes), "counts": matrix.counts.tolist()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _iso(time: Any) -> str | None:  # noqa: ANN401 - a time, or none
    return time.isoformat() if time else None
