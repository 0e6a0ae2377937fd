"""Find products, and tell what is known of one patch."""

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
import shapely
import sqlalchemy as sa
from affine import Affine
from sqlalchemy.engine import Connection

from candela.eo.reference_system import reference_system
from candela.errors import NotFoundError
from candela.patches.query.selection import PatchFilter, of_products, seen_by
from candela.patches.store.model import outlines
from candela.patches.store.tables import (
    ANNOTATION,
    FEATURE,
    FEATURE_SET,
    GRID,
    LABEL,
    PATCH,
    PRODUCT,
    QUICKLOOK,
)


class Product(NamedTuple):
    """A product that was found.

    Attributes
    ----------
    product : int
        Its number.
    name, owner, visibility : str
    s1, s2 : str
        Names of the images.
    s1_time, time : datetime or None
        When they were sensed: Sentinel-1, Sentinel-2.
    updated : datetime
        When the model was made.
    crs : str
    rows, cols : int
        Of the images, in pixels.
    sizes : tuple of int
        Of its patches, in pixels.
    outline : shapely.Polygon
        Of the images, longitude and latitude.
    """

    product: int
    name: str
    owner: str
    visibility: str
    s1: str
    s2: str
    s1_time: dt.datetime | None
    time: dt.datetime | None
    updated: dt.datetime
    crs: str
    rows: int
    cols: int
    sizes: tuple[int, ...]
    outline: shapely.Geometry


class PatchLabel(NamedTuple):
    """A label that a patch has, and who says so."""

    owner: str
    scheme: str
    code: str
    title: str
    origin: str
    sensor: str
    confidence: float | None


def find_products(connection: Connection, viewer: str, where: PatchFilter) -> list[Product]:
    """Find the products that a user may see, in the order of their numbers.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.reading_for``.
    viewer : str
        Who asks.
    where : PatchFilter
        Of which name, owner and time; ``after`` is the number of a product here.
    """
    query = of_products(sa.select(PRODUCT), viewer, where).where(PRODUCT.c.id > where.after)
    rows = connection.execute(query.order_by(PRODUCT.c.id).limit(where.limit)).all()
    sizes: dict[int, list[int]] = {row.id: [] for row in rows}
    levels = sa.select(GRID.c.product_id, GRID.c.size).where(GRID.c.product_id.in_(sizes))
    for product, size in connection.execute(levels.order_by(GRID.c.size.desc())):
        sizes[product].append(size)
    return [
        Product(
            row.id, row.name, row.owner, row.visibility, row.s1_name, row.s2_name, row.s1_time,
            row.s2_time, row.updated, row.crs, row.rows, row.cols, tuple(sizes[row.id]),
            _outline(row),
        )
        for row in rows
    ]  # fmt: skip


def labels_of(connection: Connection, viewer: str, patch: int) -> list[PatchLabel]:
    """Return the labels of a patch that a user may see."""
    named = sa.and_(LABEL.c.scheme == ANNOTATION.c.scheme, LABEL.c.code == ANNOTATION.c.code)
    seen = sa.or_(ANNOTATION.c.owner == viewer, ANNOTATION.c.visibility == "public")
    names = ("owner", "scheme", "code", "origin", "sensor", "confidence")
    columns = [ANNOTATION.c[name] for name in names]
    columns.insert(3, LABEL.c.title)
    query = sa.select(*columns).join(LABEL, named).where(seen, ANNOTATION.c.patch_id == patch)
    return [PatchLabel(*row) for row in connection.execute(query.order_by(ANNOTATION.c.id))]


def feature_sets_of(connection: Connection, patch: int) -> list[str]:
    """Return the names of the feature sets that a patch has vectors of."""
    query = sa.select(FEATURE_SET.c.name).join(
        FEATURE, FEATURE.c.feature_set_id == FEATURE_SET.c.id
    )
    query = query.where(FEATURE.c.patch_id == patch).distinct().order_by(FEATURE_SET.c.name)
    return list(connection.execute(query).scalars())


def quicklook_of(connection: Connection, viewer: str, patch: int) -> bytes:
    """Return the quick-look of a patch, a JPEG.

    Raises
    ------
    NotFoundError
        If there is none, or the patch is not to be seen.
    """
    query = sa.select(QUICKLOOK.c.content).select_from(
        QUICKLOOK.join(PATCH, PATCH.c.id == QUICKLOOK.c.patch_id).join(
            PRODUCT, PRODUCT.c.id == PATCH.c.product_id
        )
    )
    content = connection.execute(query.where(seen_by(viewer), PATCH.c.id == patch)).scalar()
    if content is None:
        raise NotFoundError(f"there is no quick-look of a patch {patch}")
    return bytes(content)


def _outline(row: sa.Row[Any]) -> shapely.Geometry:
    place = Affine(*row.transform)
    corners = [(0, row.rows), (row.cols, row.rows), (row.cols, 0), (0, 0)]
    points = np.array([[place @ corner for corner in corners]])
    return outlines(points, reference_system(row.crs, "the model"))[0]
