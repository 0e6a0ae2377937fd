"""What the labels of many patches say: how much of what, what became what, who agrees."""

import datetime as dt
import json
import math
from typing import Any, NamedTuple

import sqlalchemy as sa
from affine import Affine
from sqlalchemy.engine import Connection

from candela.eo.reference_system import reference_system
from candela.errors import InputError, NotFoundError
from candela.patches.query.confusion import Confusion
from candela.patches.query.selection import PatchFilter, annotations_in, of_products, restricted
from candela.patches.store.annotate import MANUAL, Source
from candela.patches.store.tables import LABEL, PATCH, PRODUCT

METRES_PER_DEGREE = 111_195.0  # on a sphere of 6371 km
SQUARE_KILOMETRE = 1e6  # m2


class LabelCount(NamedTuple):
    """How much of a product has a label.

    Attributes
    ----------
    product : str
    time : datetime or None
        When its Sentinel-2 image was sensed.
    size : int
        Of the patches, in pixels.
    code, title : str
        The label.
    patches : int
    area_km2 : float
        Of these patches; those that overlap (of several labels) count for each.
    """

    product: str
    time: dt.datetime | None
    size: int
    code: str
    title: str
    patches: int
    area_km2: float


def label_statistics(
    connection: Connection,
    viewer: str,
    scheme: str,
    where: PatchFilter | None = None,
    *,
    source: Source = MANUAL,
) -> list[LabelCount]:
    """Count the labels of each product by patch size, in the order of time.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.acting_for``.
    viewer : str
        Who asks.
    scheme : str
        In which labels are counted; those of other schemes are translated.
    where : PatchFilter, optional
        Which patches: an area, a time ...; its limit does not count.
    source : Source
        Whose labels.
    """
    known = labels_from(viewer, scheme, source)
    columns = (PRODUCT.c.name, PRODUCT.c.s2_time, PATCH.c.size, known.c.code, LABEL.c.title)
    place = (PRODUCT.c.crs, sa.cast(PRODUCT.c.transform, sa.Text))
    query = restricted(
        connection,
        sa.select(*columns, sa.func.count(sa.distinct(PATCH.c.id)), *place),
        viewer,
        where or PatchFilter(),
    )
    query = query.join(known, known.c.patch_id == PATCH.c.id).join(
        LABEL, sa.and_(LABEL.c.scheme == scheme, LABEL.c.code == known.c.code)
    )
    query = query.group_by(*columns, PRODUCT.c.id, *place)
    rows = connection.execute(
        query.order_by(PRODUCT.c.s2_time, PRODUCT.c.name, PATCH.c.size.desc(), known.c.code)
    )
    counts = []
    for name, time, size, code, title, patches, crs, transform in rows:
        area_km2 = patches * size**2 * _pixel_km2(crs, transform)
        counts.append(LabelCount(name, time, size, code, title, patches, area_km2))
    return counts


def change_matrix(
    connection: Connection,
    viewer: str,
    scheme: str,
    before: str,
    after: str,
    *,
    size: int,
    source: Source = MANUAL,
    owner: str = "",
) -> Confusion:
    """Count what became what between two products of one grid.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.acting_for``.
    viewer : str
        Who asks.
    scheme : str
        Of the labels.
    before, after : str
        Names of the products.
    size : int
        Of the patches.
    source : Source
        Whose labels.
    owner : str, optional
        Whose products.

    Returns
    -------
    Confusion
        Rows are labels before, columns labels after.

    Raises
    ------
    NotFoundError
        If there is no such product, or not one alone.
    InputError
        If the products lie on different grids.
    """
    first, second = (_product(connection, viewer, name, owner) for name in (before, after))
    for name in ("crs", "transform", "rows", "cols"):
        if getattr(first, name) != getattr(second, name):
            raise InputError(
                f"{before} and {after} lie on different grids: {name} is "
                f"{getattr(first, name)} and {getattr(second, name)}"
            )
    earlier, later = PATCH.alias("earlier"), PATCH.alias("later")
    one, other = (best_label(viewer, scheme, source, name) for name in ("one", "other"))
    same_place = sa.and_(
        earlier.c.size == later.c.size,
        earlier.c.grid_row == later.c.grid_row,
        earlier.c.grid_col == later.c.grid_col,
    )
    pairs = (
        earlier.join(later, same_place)
        .join(one, one.c.patch_id == earlier.c.id)
        .join(other, other.c.patch_id == later.c.id)
    )
    query = (
        sa.select(one.c.code, other.c.code, sa.func.count())
        .select_from(pairs)
        .where(earlier.c.product_id == first.id, later.c.product_id == second.id)
        .where(earlier.c.size == size)
        .group_by(one.c.code, other.c.code)
    )
    return Confusion.of([tuple(row) for row in connection.execute(query)])


def confusion(
    connection: Connection,
    viewer: str,
    scheme: str,
    truth: Source,
    compared: Source,
    where: PatchFilter | None = None,
) -> Confusion:
    """Compare two sources of labels on the same patches.

    ``Source("reference")`` against ``MANUAL`` is the agreement with a land-cover map; against
    ``Source("model", "s1")``, ``"s2"`` and ``"fused"`` it tells what each sensor confuses.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.acting_for``.
    viewer : str
        Who asks.
    scheme : str
        In which labels are compared; those of other schemes are translated.
    truth, compared : Source
        Of the rows and of the columns. Of several labels of a patch the most confident counts.
    where : PatchFilter, optional
        Which patches; its limit does not count.
    """
    one = best_label(viewer, scheme, truth, "one")
    other = best_label(viewer, scheme, compared, "other")
    query = restricted(
        connection,
        sa.select(one.c.code, other.c.code, sa.func.count()),
        viewer,
        where or PatchFilter(),
    )
    query = query.join(one, one.c.patch_id == PATCH.c.id)
    query = query.join(other, other.c.patch_id == PATCH.c.id)
    rows = connection.execute(query.group_by(one.c.code, other.c.code))
    return Confusion.of([tuple(row) for row in rows])


def labels_from(viewer: str, scheme: str, source: Source) -> sa.Subquery:
    """Return the labels of one source that a user may see, in one scheme."""
    known = annotations_in(viewer, scheme)
    query = sa.select(known).where(known.c.origin == source.origin, known.c.sensor == source.sensor)
    return query.subquery("labels")


def best_label(viewer: str, scheme: str, source: Source, name: str) -> sa.Subquery:
    """Return one label for each patch: the most confident, of equal ones the first."""
    known = labels_from(viewer, scheme, source)
    sure = sa.func.coalesce(known.c.confidence, 1.0).desc()
    rank = sa.func.row_number().over(
        partition_by=known.c.patch_id, order_by=(sure, known.c.id, known.c.code)
    )
    ranked = sa.select(known.c.patch_id, known.c.code, rank.label("rank")).subquery()
    return sa.select(ranked.c.patch_id, ranked.c.code).where(ranked.c.rank == 1).subquery(name)


def _product(connection: Connection, viewer: str, name: str, owner: str) -> sa.Row[tuple[Any, ...]]:
    where = PatchFilter(product=name, owner=owner)
    found = connection.execute(of_products(sa.select(PRODUCT), viewer, where)).all()
    if len(found) != 1:
        owners = ", ".join(row.owner for row in found) or "nobody"
        raise NotFoundError(f"expected one product {name!r} that you may see, found: of {owners}")
    return found[0]


def _pixel_km2(crs: str, transform: str) -> float:
    """Return the area of a pixel; in degrees, that at the upper edge of the image."""
    place = Affine(*json.loads(transform))
    area = abs(place.determinant)
    if reference_system(crs, "the model").is_geographic:
        area *= METRES_PER_DEGREE**2 * math.cos(math.radians(place.f))
    return area / SQUARE_KILOMETRE
