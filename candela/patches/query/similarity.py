"""Patches like this one: all vectors of a feature set in one file, compared one by one.

A tile's vectors are some megabytes: reading all of them is as fast as an index, and exact.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from candela.eo.fusion import Scaler
from candela.errors import NotFoundError
from candela.patches.query.selection import PatchFilter, restricted
from candela.patches.store.tables import FEATURE, FEATURE_SET, PATCH

VECTORS, NORMS, NUMBERS, FACTS = "vectors.npy", "norms.npy", "numbers.npy", "facts.json"
SIZES, USABLE = "sizes.npy", "usable.npy"
CHUNK = 10_000  # rows
FEW = 0.25  # of the rows: so many are rather taken out than passed over

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]


class Neighbour(NamedTuple):
    """A patch and how far its vector is."""

    patch: int
    distance: float


class VectorIndex:
    """The vectors of one feature set, scaled, mapped into memory.

    Parameters
    ----------
    folder : Path
        See ``build_index``.
    """

    def __init__(self, folder: Path) -> None:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        self.feature_set: str = facts["name"]
        self.version: int = facts["version"]
        self._scaler = scaler_of(facts["scaler"])
        self._vectors: Vectors = np.load(folder / VECTORS, mmap_mode="r")
        self._norms: Vectors = np.load(folder / NORMS)
        self.numbers: Numbers = np.load(folder / NUMBERS)
        self.sizes: Numbers = np.load(folder / SIZES)
        self.usable: Vectors = np.load(folder / USABLE)

    def __len__(self) -> int:
        return len(self.numbers)

    def like_patch(
        self, patch: int, count: int = 20, *, among: list[int] | None = None
    ) -> list[Neighbour]:
        """Return the patches that are most like one, without it.

        Parameters
        ----------
        patch : int
            Its number.
        count : int
            How many.
        among : list of int, optional
            The patches that are compared: see ``find_numbers``.

        Raises
        ------
        NotFoundError
            If the patch is not in the index.
        """
        place = int(np.searchsorted(self.numbers, patch))
        if place == len(self) or self.numbers[place] != patch:
            raise NotFoundError(f"patch {patch} has no vector of {self.feature_set} here")
        nearest = self.nearest(self._vectors[place], count + 1, self._rows_of(among))
        return [found for found in nearest if found.patch != patch][:count]

    def like_vector(
        self, vector: Vectors, count: int = 20, *, among: list[int] | None = None
    ) -> list[Neighbour]:
        """Return the patches most like a vector as a feature set makes it, shape (dimension,)."""
        given = np.asarray(vector, np.float32)
        scaled = self._scaler.apply(given[None])[0] if self._scaler else given
        return self.nearest(scaled, count, self._rows_of(among))

    def nearest(
        self, scaled: Vectors, count: int, kept: NDArray[np.bool_] | None
    ) -> list[Neighbour]:
        """Return the nearest of the rows that are kept, to a vector that is scaled already."""
        vectors, norms, numbers = self._vectors, self._norms, self.numbers
        if kept is not None and kept.mean() < FEW:
            vectors, norms, numbers = vectors[kept], norms[kept], numbers[kept]
            kept = None
        squares = norms - 2 * (vectors @ scaled) + scaled @ scaled
        if kept is not None:
            squares, numbers = squares[kept], numbers[kept]
        count = min(count, len(numbers))
        near = np.argpartition(squares, count - 1)[:count] if count else np.empty(0, int)
        near = near[np.lexsort((numbers[near], squares[near]))]
        distances = np.sqrt(np.maximum(squares[near], 0))
        return [
            Neighbour(int(number), float(distance))
            for number, distance in zip(numbers[near], distances, strict=True)
        ]

    def _rows_of(self, among: list[int] | None) -> NDArray[np.bool_] | None:
        return None if among is None else np.isin(self.numbers, among)


def build_index(
    connection: Connection,
    viewer: str,
    feature_set: str,
    folder: Path,
    *,
    version: int | None = None,
    where: PatchFilter | None = None,
) -> VectorIndex:
    """Write the vectors that a user may see into files, scaled by their frozen scaler.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.acting_for``.
    viewer : str
        Who asks; the files are for nobody else.
    feature_set : str
        Its name.
    folder : Path
        Where the files go; what is there is replaced.
    version : int, optional
        By default the newest.
    where : PatchFilter, optional
        The patches that are taken; its limit does not count.

    Raises
    ------
    NotFoundError
        If there is no such feature set, or no patch has a vector of it.
    """
    made = find_feature_set(connection, feature_set, version)
    query = restricted(
        connection,
        sa.select(PATCH.c.id, PATCH.c.size, PATCH.c.usable),
        viewer,
        where or PatchFilter(),
    )
    query = query.join(FEATURE, FEATURE.c.patch_id == PATCH.c.id)
    query = query.where(FEATURE.c.feature_set_id == made.id).order_by(PATCH.c.id)
    patches = [tuple(row) for row in connection.execute(query)]
    if not patches:
        raise NotFoundError(f"no patch has a vector of {feature_set} {made.version}")
    rows = connection.execution_options(yield_per=CHUNK).execute(
        query.add_columns(FEATURE.c.vector)
    )
    blocks = (np.stack([row.vector for row in part]) for part in rows.partitions(CHUNK))
    write_index(folder, made, patches, blocks)
    return VectorIndex(folder)


def write_index(
    folder: Path,
    made: sa.Row[Any],
    patches: Sequence[tuple[int, int, float]],
    blocks: Iterator[Vectors],
) -> None:
    """Write the files of an index.

    Parameters
    ----------
    folder : Path
        Where they go; what is there is replaced.
    made : Row
        The feature set.
    patches : sequence of tuple
        Number, size and usable share of patches, in the order of their numbers.
    blocks : iterator of ndarray, shape (any, dimension), float32
        Their vectors as they are in the database, in the same order.
    """
    scaler = scaler_of(made.scaler)
    folder.mkdir(parents=True, exist_ok=True)
    numbers, sizes, usable = zip(*patches, strict=True)
    vectors = np.lib.format.open_memmap(
        folder / VECTORS, mode="w+", dtype=np.float32, shape=(len(numbers), made.dimension)
    )
    place = 0
    for block in blocks:
        vectors[place : place + len(block)] = scaler.apply(block) if scaler else block
        place += len(block)
    assert place == len(numbers)
    np.save(folder / NORMS, np.einsum("ij,ij->i", vectors, vectors))
    np.save(folder / NUMBERS, np.array(numbers, np.int64))
    np.save(folder / SIZES, np.array(sizes, np.int64))
    np.save(folder / USABLE, np.array(usable, np.float32))
    vectors.flush()
    facts = {"name": made.name, "version": made.version, "scaler": made.scaler}
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def scaler_of(stored: Any) -> Scaler | None:  # noqa: ANN401 - JSON
    """Return a scaler as the database has it."""
    return Scaler(tuple(stored["mean"]), tuple(stored["deviation"])) if stored else None


def find_feature_set(connection: Connection, name: str, version: int | None = None) -> sa.Row[Any]:
    """Return a feature set, by default its newest version.

    Raises
    ------
    NotFoundError
        With what there is.
    """
    query = sa.select(FEATURE_SET).where(FEATURE_SET.c.name == name)
    if version is not None:
        query = query.where(FEATURE_SET.c.version == version)
    found = connection.execute(query.order_by(FEATURE_SET.c.version.desc())).first()
    if found is None:
        known = connection.execute(sa.select(FEATURE_SET.c.name).distinct()).scalars()
        listed = ", ".join(sorted(known)) or "none"
        wanted = name if version is None else f"{name} {version}"
        raise NotFoundError(f"there is no feature set {wanted!r} (feature sets: {listed})")
    return found
