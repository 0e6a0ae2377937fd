"""Find patches: by product, place, time, quality and label, all at once."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import shapely
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.errors import InputError, NotFoundError
from candela.patches.store.tables import ANNOTATION, LABEL, MAPPING, PATCH, PRODUCT, SHARE, WGS84

MOST = 100_000  # patches that one question may be answered with


class LabelFilter(NamedTuple):
    """A label of a scheme; with ``subtree`` everything below it, too.

    Attributes
    ----------
    scheme, code : str
    subtree : bool
    origin : str
        ``manual``, ``model`` or ``reference``; empty for any.
    sensor : str
        ``s1``, ``s2`` or ``fused``, of labels by a model; empty for any.
    """

    scheme: str
    code: str
    subtree: bool = True
    origin: str = ""
    sensor: str = ""


@dataclass(frozen=True, kw_only=True)
class PatchFilter:
    """Which patches; what is left empty restricts nothing.

    Attributes
    ----------
    product : str
        Name of a product.
    owner : str
        Whose products.
    sizes : tuple of int
        Sides in pixels.
    since, until : datetime or None
        When the Sentinel-2 image was sensed: from ``since`` on, before ``until``.
    area : shapely geometry or None
        What the patches touch, in longitude and latitude.
    least_usable : float
        Share of usable pixels, 0..1.
    label : LabelFilter or None
    after : int
        Patches with higher numbers: to go on where an answer ended.
    limit : int
        At most so many patches.
    """

    product: str = ""
    owner: str = ""
    sizes: tuple[int, ...] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    area: shapely.Geometry | None = None
    least_usable: float = 0.0
    label: LabelFilter | None = None
    after: int = 0
    limit: int = MOST


class FoundPatch(NamedTuple):
    """A patch that was found.

    Attributes
    ----------
    patch : int
        Its number.
    product, owner : str
        Name of its product, and whose it is.
    time : datetime or None
        When the Sentinel-2 image was sensed.
    size, row, col : int
        Side in pixels, and place among the patches of that size.
    usable : float
        Share of usable pixels, 0..1.
    outline : shapely.Polygon
        Longitude and latitude.
    """

    patch: int
    product: str
    owner: str
    time: dt.datetime | None
    size: int
    row: int
    col: int
    usable: float
    outline: shapely.Geometry


_COLUMNS = (
    PATCH.c.id, PRODUCT.c.name, PRODUCT.c.owner, PRODUCT.c.s2_time, PATCH.c.size,
    PATCH.c.grid_row, PATCH.c.grid_col, PATCH.c.usable, PATCH.c.outline,
)  # fmt: skip


def find_patches(connection: Connection, viewer: str, where: PatchFilter) -> list[FoundPatch]:
    """Find the patches of a filter that a user may see, in the order of their numbers.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.acting_for``.
    viewer : str
        Who asks. PostgreSQL checks it once more.
    where : PatchFilter

    Raises
    ------
    InputError
        If the limit or the label makes no sense.
    """
    query = restricted(connection, sa.select(*_COLUMNS), viewer, where)
    rows = connection.execute(query.order_by(PATCH.c.id).limit(where.limit))
    return [_patch(row) for row in rows]


def find_numbers(connection: Connection, viewer: str, where: PatchFilter) -> list[int]:
    """Find the numbers of patches alone, see ``find_patches``."""
    query = restricted(connection, sa.select(PATCH.c.id), viewer, where)
    return list(connection.execute(query.order_by(PATCH.c.id).limit(where.limit)).scalars())


def patches_of(connection: Connection, viewer: str, numbers: list[int]) -> list[FoundPatch]:
    """Return patches by their numbers, in that order; those not to be seen are left out."""
    found: dict[int, FoundPatch] = {}
    query = restricted(connection, sa.select(*_COLUMNS), viewer, PatchFilter())
    query = query.where(PATCH.c.id.in_(numbers))
    for row in connection.execute(query):
        found[row.id] = _patch(row)
    return [found[number] for number in numbers if number in found]


def relatives_of(connection: Connection, patch: int) -> set[int]:
    """Return the patches of the same product that hold a patch, or that it holds."""
    own = connection.execute(
        sa.select(PATCH.c.product_id, PATCH.c.size, PATCH.c.grid_row, PATCH.c.grid_col).where(
            PATCH.c.id == patch
        )
    ).one_or_none()
    if own is None:
        return set()
    of_product = PATCH.c.product_id == own.product_id
    sizes = connection.scalars(sa.select(PATCH.c.size).where(of_product).distinct())
    places = [
        _overlap(size, own.size, own.grid_row, own.grid_col) for size in sizes if size != own.size
    ]
    if not places:
        return set()
    return set(connection.scalars(sa.select(PATCH.c.id).where(of_product, sa.or_(*places))))


def _overlap(size: int, own_size: int, own_row: int, own_col: int) -> sa.ColumnElement[bool]:
    """Return the condition that a patch of another size holds this one, or lies in it."""
    many, part = max(own_size // size, 1), max(size // own_size, 1)
    row, col = own_row * many // part, own_col * many // part
    return sa.and_(
        PATCH.c.size == size,
        PATCH.c.grid_row.between(row, row + many - 1),
        PATCH.c.grid_col.between(col, col + many - 1),
    )


def restricted(
    connection: Connection, query: sa.Select[Any], viewer: str, where: PatchFilter
) -> sa.Select[Any]:
    """Join a query's patches to their products and keep those of the filter that may be seen."""
    if not 0 < where.limit <= MOST:
        raise InputError(f"a limit of {where.limit} patches (expected 1 to {MOST})")
    query = query.select_from(PATCH.join(PRODUCT, PATCH.c.product_id == PRODUCT.c.id))
    query = of_products(query, viewer, where)
    return _conditions(
        query,
        (where.sizes, lambda: PATCH.c.size.in_(where.sizes)),
        (where.least_usable, lambda: PATCH.c.usable >= where.least_usable),
        (where.area, lambda: _touches(connection, where.area)),
        (where.label, lambda: PATCH.c.id.in_(_with_label(connection, viewer, where.label))),
        (where.after, lambda: PATCH.c.id > where.after),
    )


def of_products(query: sa.Select[Any], viewer: str, where: PatchFilter) -> sa.Select[Any]:
    """Keep the products of a query that may be seen, of the name, owner and time of the filter."""
    return _conditions(
        query.where(seen_by(viewer)),
        (where.product, lambda: PRODUCT.c.name == where.product),
        (where.owner, lambda: PRODUCT.c.owner == where.owner),
        (where.since, lambda: PRODUCT.c.s2_time >= where.since),
        (where.until, lambda: PRODUCT.c.s2_time < where.until),
    )


def _conditions(
    query: sa.Select[Any], *conditions: tuple[object, Callable[[], sa.ColumnElement[bool]]]
) -> sa.Select[Any]:
    """Add the conditions that are given."""
    for is_given, condition in conditions:
        if is_given is not None and is_given not in ("", (), 0):
            query = query.where(condition())
    return query


def seen_by(viewer: str) -> sa.ColumnElement[bool]:
    """Return the condition that a user may see a product.

    PostgreSQL has the same as a policy, whatever a query says; this serves SQLite.
    """
    shared = sa.select(SHARE.c.product_id).where(SHARE.c.reader == viewer)
    return sa.or_(
        PRODUCT.c.owner == viewer, PRODUCT.c.visibility == "public", PRODUCT.c.id.in_(shared)
    )


def annotations_in(viewer: str, scheme: str) -> sa.Subquery:
    """Return the annotations that a user may see, in one scheme: others are translated."""
    seen = sa.or_(ANNOTATION.c.owner == viewer, ANNOTATION.c.visibility == "public")
    columns = [
        ANNOTATION.c.id, ANNOTATION.c.patch_id, ANNOTATION.c.product_id, ANNOTATION.c.owner,
        ANNOTATION.c.origin, ANNOTATION.c.sensor, ANNOTATION.c.confidence,
    ]  # fmt: skip
    same = sa.select(ANNOTATION.c.code, *columns).where(seen, ANNOTATION.c.scheme == scheme)
    pair = sa.and_(MAPPING.c.scheme == ANNOTATION.c.scheme, MAPPING.c.code == ANNOTATION.c.code)
    translated = (
        sa.select(MAPPING.c.to_code.label("code"), *columns)
        .select_from(ANNOTATION.join(MAPPING, pair))
        .where(seen, MAPPING.c.to_scheme == scheme)
    )
    return sa.union_all(same, translated).subquery("in_scheme")


def subtree(scheme: str, code: str) -> sa.Select[Any]:
    """Return a query for the codes of a label and of all below it."""
    tree = (
        sa.select(LABEL.c.code)
        .where(LABEL.c.scheme == scheme, LABEL.c.code == code)
        .cte("tree", recursive=True)
    )
    below = sa.select(LABEL.c.code).where(LABEL.c.scheme == scheme, LABEL.c.parent == tree.c.code)
    return sa.select(tree.union_all(below).c.code)


def check_label(connection: Connection, scheme: str, code: str) -> None:
    """Raise if there is no such label.

    Raises
    ------
    NotFoundError
        With what there is.
    """
    codes = connection.execute(sa.select(LABEL.c.code).where(LABEL.c.scheme == scheme)).scalars()
    known = sorted(codes)
    if code not in known:
        listed = ", ".join(known) or "none: there is no such scheme"
        raise NotFoundError(f"there is no label {code!r} in scheme {scheme!r} (labels: {listed})")


def _with_label(connection: Connection, viewer: str, label: LabelFilter | None) -> sa.Select[Any]:
    assert label is not None
    check_label(connection, label.scheme, label.code)
    known = annotations_in(viewer, label.scheme)
    query = sa.select(known.c.patch_id)
    if label.subtree:
        query = query.where(known.c.code.in_(subtree(label.scheme, label.code)))
    else:
        query = query.where(known.c.code == label.code)
    if label.origin:
        query = query.where(known.c.origin == label.origin)
    if label.sensor:
        query = query.where(known.c.sensor == label.sensor)
    return query


def _patch(row: Sequence[Any]) -> FoundPatch:
    patch, product, owner, time, size, grid_row, grid_col, usable, outline = row
    polygon = shapely.from_wkb(bytes(outline))
    return FoundPatch(patch, product, owner, time, size, grid_row, grid_col, usable, polygon)


def _touches(connection: Connection, area: shapely.Geometry | None) -> sa.ColumnElement[bool]:
    given = sa.literal(shapely.to_wkb(area), sa.LargeBinary)
    place = sa.func.ST_GeomFromWKB(given, WGS84)
    outline = sa.type_coerce(PATCH.c.outline, sa.LargeBinary)
    intersect = sa.func.ST_Intersects(outline, place, type_=sa.Boolean)
    if connection.dialect.name != "postgresql":
        return intersect
    # NOTE: row-level security lets an index serve none but leakproof operators, which a superuser
    # can call this one (roles.sql); ST_Intersects alone would read all outlines.
    return sa.and_(outline.bool_op("&&")(place), intersect)
