"""Put a patch model into the database: all of it or nothing, in place of what was there."""

import datetime as dt
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from candela.errors import InputError
from candela.patches.store.binary_copy import COPY_HEADER, COPY_TRAILER, binary_rows
from candela.patches.store.database import PatchDatabase
from candela.patches.store.model import FeatureSetRecord, Patches, PatchModel, Vectors
from candela.patches.store.tables import (
    FEATURE,
    FEATURE_SET,
    GRID,
    PATCH,
    PRODUCT,
    QUICKLOOK,
    WGS84,
)

CHUNK = 8192  # rows

Numbers = NDArray[np.int64]
Place = tuple[int, int, int]  # size, row and column of a patch


def store_model(
    database: PatchDatabase, model: PatchModel, *, owner: str, visibility: str = "private"
) -> int:
    """Write a model, in place of the one that its owner had under the same name.

    Patches that are there in the same place keep their number, and so their annotations.

    Parameters
    ----------
    database : PatchDatabase
        Where to.
    model : PatchModel
        What.
    owner : str
        Whose it is.
    visibility : {"private", "public"}
        Whether others may see it.

    Returns
    -------
    int
        The number of the product.

    Raises
    ------
    InputError
        If a feature set has the name and version of one with other parameters.
    StorageError
        If the database does not answer, or refuses; then nothing has changed.
    """
    with database.acting_for(owner) as connection:
        product = _write_product(connection, model, owner, visibility)
        numbers = _write_patches(connection, product, model.patches)
        for table in (FEATURE, QUICKLOOK):
            connection.execute(sa.delete(table).where(table.c.product_id == product))
        for record in model.feature_sets:
            made = _write_feature_set(connection, record)
            vectors = model.features[record.name]
            if database.is_postgresql:
                _copy_vectors(connection, made, product, numbers, vectors)
            else:
                _insert_vectors(connection, made, product, numbers, vectors)
        quicklooks = (
            (int(numbers[index]), product, content) for index, content in model.quicklooks.items()
        )
        _write(connection, QUICKLOOK, ("patch_id", "product_id", "content"), quicklooks)
    return product


def _write_product(connection: Connection, model: PatchModel, owner: str, visibility: str) -> int:
    """Make or renew the product's row, which is locked from here on; tell its number."""
    grid = model.patches.grid
    values = {
        "visibility": visibility,
        "s1_name": model.s1.name,
        "s2_name": model.s2.name,
        "s1_time": model.s1.time,
        "s2_time": model.s2.time,
        "crs": grid.crs.to_string() if grid.crs else "",
        "transform": list(grid.transform)[:6],
        "rows": grid.shape.rows,
        "cols": grid.shape.cols,
        "updated": dt.datetime.now(dt.UTC),
    }
    place = ("crs", "transform", "rows", "cols")
    mine = sa.and_(PRODUCT.c.owner == owner, PRODUCT.c.name == model.name)
    before = connection.execute(sa.select(PRODUCT).where(mine).with_for_update()).first()
    if before is None:
        made = sa.insert(PRODUCT).values(owner=owner, name=model.name, **values)
        product = int(connection.execute(made.returning(PRODUCT.c.id)).scalar_one())
    else:
        product = int(before.id)
        connection.execute(sa.update(PRODUCT).where(mine).values(**values))
        connection.execute(sa.delete(GRID).where(GRID.c.product_id == product))
        if any(getattr(before, name) != values[name] for name in place):
            # Patches of another grid are other places, whatever their row and column.
            connection.execute(sa.delete(PATCH).where(PATCH.c.product_id == product))
    levels = [
        {"product_id": product, "size": level.size, **level.shape._asdict()}
        for level in model.levels
    ]
    connection.execute(sa.insert(GRID), levels)
    return product


def _write_patches(connection: Connection, product: int, patches: Patches) -> Numbers:
    """Write the patches and return their numbers in the database."""
    columns = (patches.size.tolist(), patches.row.tolist(), patches.col.tolist())
    places: list[Place] = list(zip(*columns, strict=True))
    usable = dict(zip(places, patches.usable.tolist(), strict=True))
    known = _known_patches(connection, product)
    gone = [{"number": row.id} for place, row in known.items() if place not in usable]
    if gone:
        connection.execute(sa.delete(PATCH).where(PATCH.c.id == sa.bindparam("number")), gone)
    changed = [
        {"number": row.id, "share": usable[place]}
        for place, row in known.items()
        if place in usable and row.usable != usable[place]
    ]
    if changed:
        renewed = sa.update(PATCH).where(PATCH.c.id == sa.bindparam("number"))
        connection.execute(renewed.values(usable=sa.bindparam("share")), changed)
    new = [index for index, place in enumerate(places) if place not in known]
    _write_new_patches(connection, product, patches, new)
    known = _known_patches(connection, product)
    return np.array([known[place].id for place in places], np.int64)


def _write_new_patches(
    connection: Connection, product: int, patches: Patches, new: list[int]
) -> None:
    outlines = patches.outlines[new]
    if connection.dialect.name == "postgresql":  # COPY takes what PostGIS shows: hexadecimal
        outlines = shapely.to_wkb(shapely.set_srid(outlines, WGS84), hex=True, include_srid=True)
    else:
        outlines = shapely.to_wkb(outlines)
    places = (values[new].tolist() for values in (patches.size, patches.row, patches.col))
    columns = ("product_id", "size", "grid_row", "grid_col", "usable", "outline")
    rows = zip(repeat(product), *places, patches.usable[new].tolist(), outlines, strict=False)
    _write(connection, PATCH, columns, rows)


def _known_patches(connection: Connection, product: int) -> dict[Place, Any]:
    columns = (PATCH.c.id, PATCH.c.size, PATCH.c.grid_row, PATCH.c.grid_col, PATCH.c.usable)
    rows = connection.execute(sa.select(*columns).where(PATCH.c.product_id == product))
    return {(row.size, row.grid_row, row.grid_col): row for row in rows}


def _write_feature_set(connection: Connection, record: FeatureSetRecord) -> int:
    """Return the number of a feature set, which is made if it is new."""
    values = {
        "sensor": record.sensor,
        "dimension": record.dimension,
        "parameters": _plain(record.parameters),
        "scaler": _plain(record.scaler._asdict()) if record.scaler else None,
        "reference": record.reference,
    }
    named = sa.and_(FEATURE_SET.c.name == record.name, FEATURE_SET.c.version == record.version)
    known = connection.execute(sa.select(FEATURE_SET).where(named)).first()
    if known is None:
        made = sa.insert(FEATURE_SET).values(name=record.name, version=record.version, **values)
        return int(connection.execute(made.returning(FEATURE_SET.c.id)).scalar_one())
    different = [name for name in values if getattr(known, name) != values[name]]
    if different:
        raise InputError(
            f"the database has a feature set {record.name} {record.version} with another "
            f"{', '.join(different)}: its vectors cannot be compared; raise the version"
        )
    return int(known.id)


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a JSON value as it comes back from the database: with lists, not tuples."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _write(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write many rows: by COPY where there is one."""
    if connection.dialect.name == "postgresql":
        stage = _stage(connection, table, columns)
        names = ", ".join(columns)
        command = f"COPY {stage} ({names}) FROM STDIN"
        with _cursor(connection) as cursor, cursor.copy(command) as copy:
            for row in rows:
                copy.write_row(row)
        _unstage(connection, table, stage, columns)
        return
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(dict(zip(columns, row, strict=True)))
        if len(chunk) == CHUNK:
            connection.execute(sa.insert(table), chunk)
            chunk = []
    if chunk:
        connection.execute(sa.insert(table), chunk)


def _insert_vectors(
    connection: Connection, made: int, product: int, numbers: Numbers, vectors: Vectors
) -> None:
    rows = (
        (made, number, product, vector)
        for number, vector in zip(numbers.tolist(), vectors, strict=True)
    )
    _write(connection, FEATURE, ("feature_set_id", "patch_id", "product_id", "vector"), rows)


def _copy_vectors(
    connection: Connection, made: int, product: int, numbers: Numbers, vectors: Vectors
) -> None:
    columns = ("feature_set_id", "patch_id", "product_id", "vector")
    stage = _stage(connection, FEATURE, columns)
    with _cursor(connection) as cursor:
        command = f"COPY {stage} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
        with cursor.copy(command) as copy:
            copy.write(COPY_HEADER)
            for start in range(0, len(numbers), CHUNK):
                part = slice(start, start + CHUNK)
                fields: dict[str, int | Numbers] = {
                    "set": made,
                    "patch": numbers[part],
                    "product": product,
                }
                copy.write(binary_rows(fields, vectors[part]))
            copy.write(COPY_TRAILER)
    _unstage(connection, FEATURE, stage, columns)


def _cursor(connection: Connection) -> Any:  # noqa: ANN401 - psycopg's own type
    return connection.connection.cursor()


def _stage(connection: Connection, table: sa.Table, columns: Sequence[str]) -> str:
    """Make a table for this transaction; COPY cannot write where there is row-level security."""
    stage = f"stage_{table.name}"
    names = ", ".join(columns)
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.{stage}")
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS "
        f"SELECT {names} FROM {table.name} WITH NO DATA"
    )
    return f"pg_temp.{stage}"


def _unstage(connection: Connection, table: sa.Table, stage: str, columns: Sequence[str]) -> None:
    names = ", ".join(columns)
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {stage}")
