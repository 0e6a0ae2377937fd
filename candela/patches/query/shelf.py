"""Vectors kept beside the database, product by product, so that all users can ask among them.

What a user may see is asked of the database each time; only the numbers that vectors consist of are
read once. A product that was made again is another one here.
"""

import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from candela.errors import NotFoundError, UnavailableError
from candela.patches.query.selection import PatchFilter, of_products, restricted, seen_by
from candela.patches.query.similarity import (
    CHUNK,
    Neighbour,
    VectorIndex,
    Vectors,
    scaler_of,
    write_index,
)
from candela.patches.store.binary_copy import read_vectors
from candela.patches.store.tables import FEATURE, PATCH, PRODUCT

MOST_BYTES = 4 * 2**30  # on disk
UNFINISHED = "unfinished"


class VectorShelf:
    """The vectors of products, in files that are mapped into memory.

    All methods may be called from any thread. What was in the folder before is removed.

    Parameters
    ----------
    folder : Path
        Where the files go; of this process alone.
    most_bytes : int
        What was not asked for longest goes first when there is more.
    """

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, tuple[VectorIndex | None, int]] = OrderedDict()
        self._lock = threading.Lock()
        shutil.rmtree(folder, ignore_errors=True)

    def like_patch(
        self,
        connection: Connection,
        viewer: str,
        patch: int,
        count: int,
        where: PatchFilter,
        *,
        feature_set: sa.Row[Any],
        limit_s: float,
        without: Collection[int] = (),
    ) -> list[Neighbour]:
        """Return the patches most like one, without it, among those of a filter.

        Parameters
        ----------
        connection : Connection
            See ``PatchDatabase.reading_for``.
        viewer : str
            Who asks.
        patch : int
            Its number.
        count : int
            How many.
        where : PatchFilter
            Which patches are compared; its limit does not count.
        feature_set : Row
            By what: see ``find_feature_set``.
        limit_s : float
            How long vectors may be read that are not here yet.
        without : collection of int, optional
            Patches that are left out.

        Raises
        ------
        NotFoundError
            If the patch has no vector of this feature set, or may not be seen.
        UnavailableError
            If there are more vectors to read than that; those that were read stay here.
        """
        vector = _vector_of(connection, viewer, patch, feature_set)
        scaler = scaler_of(feature_set.scaler)
        scaled = scaler.apply(vector[None])[0] if scaler else vector
        among = _numbers(connection, viewer, where)
        found = (
            index.nearest(scaled, count + 1 + len(without), _kept(index, where, among))
            for index in self._indexes(connection, viewer, feature_set, where, limit_s)
        )
        nearest = merge(*found, key=lambda neighbour: (neighbour.distance, neighbour.patch))
        left_out = {patch, *without}
        return list(islice((each for each in nearest if each.patch not in left_out), count))

    def _indexes(
        self,
        connection: Connection,
        viewer: str,
        made: sa.Row[Any],
        where: PatchFilter,
        limit_s: float,
    ) -> list[VectorIndex]:
        query = of_products(sa.select(PRODUCT.c.id, PRODUCT.c.updated), viewer, where)
        products = connection.execute(query.order_by(PRODUCT.c.id)).all()
        end = time.monotonic() + limit_s
        indexes = []
        for place, product in enumerate(products):
            key = f"{made.id}-{product.id}-{product.updated:%Y%m%d%H%M%S%f}"
            with self._lock:
                if key not in self._kept:
                    if time.monotonic() > end:
                        raise UnavailableError(
                            f"the vectors of {place} of {len(products)} products have been read "
                            "so far; please ask again"
                        )
                    self._read(connection, made, product.id, key)
                self._kept.move_to_end(key)
                indexes.append(self._kept[key][0])
        return [index for index in indexes if index is not None]

    def _read(self, connection: Connection, made: sa.Row[Any], product: int, key: str) -> None:
        unfinished = self._folder / UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        query = (
            sa.select(PATCH.c.id, PATCH.c.size, PATCH.c.usable)
            .join(FEATURE, FEATURE.c.patch_id == PATCH.c.id)
            .where(FEATURE.c.feature_set_id == made.id, FEATURE.c.product_id == product)
            .order_by(PATCH.c.id)
        )
        patches = [tuple(row) for row in connection.execute(query)]
        if not patches:
            self._kept[key] = None, 0  # a product of other feature sets
            return
        numbers = [patch[0] for patch in patches]
        write_index(unfinished, made, patches, _blocks(connection, made, product, numbers))
        size = sum(file.stat().st_size for file in unfinished.iterdir())
        unfinished.rename(self._folder / key)
        self._kept[key] = VectorIndex(self._folder / key), size
        while sum(size for _, size in self._kept.values()) > self._most_bytes:
            oldest, _ = self._kept.popitem(last=False)
            shutil.rmtree(self._folder / oldest, ignore_errors=True)
            if oldest == key:
                raise UnavailableError("a product has more vectors than there is room for")


def _vector_of(connection: Connection, viewer: str, patch: int, made: sa.Row[Any]) -> Vectors:
    query = (
        sa.select(FEATURE.c.vector)
        .join(PRODUCT, PRODUCT.c.id == FEATURE.c.product_id)
        .where(seen_by(viewer), FEATURE.c.patch_id == patch, FEATURE.c.feature_set_id == made.id)
    )
    vector: Vectors | None = connection.execute(query).scalar_one_or_none()
    if vector is None:
        raise NotFoundError(
            f"there is no patch {patch} with a vector of {made.name} {made.version}, or it is not "
            "yours to see"
        )
    return vector


def _numbers(connection: Connection, viewer: str, where: PatchFilter) -> NDArray[np.int64] | None:
    """Return the patches that a place or a label leaves; None where it leaves all."""
    if where.area is None and where.label is None:
        return None
    query = restricted(connection, sa.select(PATCH.c.id), viewer, where)
    return np.array(connection.execute(query).scalars().all(), np.int64)


def _kept(
    index: VectorIndex, where: PatchFilter, among: NDArray[np.int64] | None
) -> NDArray[np.bool_] | None:
    """Return which rows of an index a filter leaves; None for all."""
    if among is not None:
        return np.isin(index.numbers, among, assume_unique=True)
    if not where.sizes and not where.least_usable:
        return None
    kept = index.usable >= where.least_usable
    return kept & np.isin(index.sizes, where.sizes) if where.sizes else kept


def _blocks(
    connection: Connection, made: sa.Row[Any], product: int, numbers: list[int]
) -> Iterator[Vectors]:
    """Read the vectors of a product in the order of its patches, some at a time."""
    if connection.dialect.name == "postgresql":
        command = (
            "COPY (SELECT vector FROM feature WHERE feature_set_id = %s AND product_id = %s "
            "AND patch_id BETWEEN %s AND %s ORDER BY patch_id) TO STDOUT (FORMAT binary)"
        )
        driver: Any = connection.connection
        for start in range(0, len(numbers), CHUNK):  # each a statement, which may take its time
            some = numbers[start : start + CHUNK]
            given = (made.id, product, some[0], some[-1])
            with driver.cursor() as cursor, cursor.copy(command, given) as copy:
                yield from read_vectors(copy, made.dimension, CHUNK)
        return
    query = sa.select(FEATURE.c.vector).where(
        FEATURE.c.feature_set_id == made.id, FEATURE.c.product_id == product
    )
    rows = connection.execution_options(yield_per=CHUNK).execute(query.order_by(FEATURE.c.patch_id))
    for part in rows.scalars().partitions(CHUNK):
        yield np.stack(list(part))
