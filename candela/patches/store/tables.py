"""The tables of the patch database; their migrations are in ``migrations/``."""

import datetime as dt
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles

WGS84 = 4326


class UtcTime(sa.types.TypeDecorator[dt.datetime]):
    """A point in time, kept as UTC."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, _: Dialect) -> dt.datetime | None:
        """Drop the time zone, which is always UTC."""
        return None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, _: Dialect) -> dt.datetime | None:  # noqa: ANN401
        """Put the time zone back."""
        return None if value is None else value.replace(tzinfo=dt.UTC)


class Vector(sa.types.TypeDecorator[NDArray[np.float32]]):
    """A vector of float32: ``real[]`` in PostgreSQL, little-endian bytes in SQLite."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        """Return the column's type in a database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.ARRAY(sa.REAL))
        return dialect.type_descriptor(sa.LargeBinary())

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any:  # noqa: ANN401
        """Write the vector."""
        if value is None:
            return None
        vector = np.asarray(value, "<f4")
        return vector.tolist() if dialect.name == "postgresql" else vector.tobytes()

    def process_result_value(self, value: Any | None, _: Dialect) -> NDArray[np.float32] | None:  # noqa: ANN401
        """Read the vector."""
        if value is None:
            return None
        if isinstance(value, bytes):
            return np.frombuffer(value, "<f4")
        return np.array(value, np.float32)


class Outline(sa.types.UserDefinedType[bytes]):
    """A polygon in WGS 84, as WKB: ``geometry`` in PostGIS, bytes in SQLite.

    In SQLite the functions are those that ``database.py`` registers under PostGIS's names.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:  # noqa: ANN401
        """Return the column's type in PostGIS."""
        return f"geometry(Polygon, {WGS84})"

    def bind_expression(self, bindvalue: sa.BindParameter[bytes]) -> sa.ColumnElement[Any]:
        """Write WKB."""
        return sa.func.ST_GeomFromWKB(sa.type_coerce(bindvalue, sa.LargeBinary), WGS84)

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Read WKB."""
        return sa.func.ST_AsBinary(column, type_=sa.LargeBinary)


@compiles(Outline, "sqlite")
def _blob(*_: Any, **__: Any) -> str:  # noqa: ANN401
    return "BLOB"


def _number(name: str = "id") -> sa.Column[int]:
    # NOTE: SQLite numbers rows only if the type is exactly INTEGER.
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, big, sa.Identity(), primary_key=True)


def _of(target: str, name: str, **options: Any) -> sa.Column[int]:  # noqa: ANN401
    return sa.Column(
        name, sa.BigInteger, sa.ForeignKey(f"{target}.id", ondelete="CASCADE"), **options
    )


def _of_patch() -> sa.ForeignKeyConstraint:
    """Tie a row to a patch; its product stands in the row too, which tells who may see it."""
    return sa.ForeignKeyConstraint(
        ["patch_id", "product_id"], ["patch.id", "patch.product_id"], ondelete="CASCADE"
    )


SCHEMA = sa.MetaData()
NAME = sa.String(200)

PRODUCT = sa.Table(
    "product",
    SCHEMA,
    _number(),
    sa.Column("owner", NAME, nullable=False),
    sa.Column("name", sa.String(500), nullable=False),
    sa.Column("visibility", sa.String(10), nullable=False),
    sa.Column("s1_name", sa.String(300), nullable=False),
    sa.Column("s2_name", sa.String(300), nullable=False),
    sa.Column("s1_time", UtcTime),
    sa.Column("s2_time", UtcTime),
    sa.Column("crs", sa.Text, nullable=False),
    sa.Column("transform", sa.JSON, nullable=False),  # six numbers, as rasterio has them
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("cols", sa.Integer, nullable=False),
    sa.Column("updated", UtcTime, nullable=False),
    sa.UniqueConstraint("owner", "name"),
    sa.UniqueConstraint("id", "owner"),
    sa.CheckConstraint("visibility IN ('private', 'public')", name="product_visibility"),
    sa.Index("product_by_time", "s2_time"),
)
SHARE = sa.Table(
    "product_share",
    SCHEMA,
    sa.Column("product_id", sa.BigInteger, primary_key=True),
    sa.Column("reader", NAME, primary_key=True),
    sa.Column("owner", NAME, nullable=False),
    sa.ForeignKeyConstraint(
        ["product_id", "owner"], ["product.id", "product.owner"], ondelete="CASCADE"
    ),
)
GRID = sa.Table(
    "grid",
    SCHEMA,
    _of("product", "product_id", primary_key=True),
    sa.Column("size", sa.Integer, primary_key=True),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("cols", sa.Integer, nullable=False),
)
PATCH = sa.Table(
    "patch",
    SCHEMA,
    _number(),
    _of("product", "product_id", nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("grid_row", sa.Integer, nullable=False),
    sa.Column("grid_col", sa.Integer, nullable=False),
    sa.Column("usable", sa.REAL, nullable=False),
    sa.Column("outline", Outline, nullable=False),
    sa.UniqueConstraint("product_id", "size", "grid_row", "grid_col"),
    sa.UniqueConstraint("id", "product_id"),
)
QUICKLOOK = sa.Table(
    "quicklook",
    SCHEMA,
    sa.Column("patch_id", sa.BigInteger, primary_key=True),
    sa.Column("product_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("content", sa.LargeBinary, nullable=False),  # JPEG
    _of_patch(),
)
FEATURE_SET = sa.Table(
    "feature_set",
    SCHEMA,
    _number(),
    sa.Column("name", NAME, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("sensor", sa.String(10), nullable=False),
    sa.Column("dimension", sa.Integer, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("scaler", sa.JSON),
    sa.Column("reference", sa.Text, nullable=False),
    sa.UniqueConstraint("name", "version"),
)
FEATURE = sa.Table(
    "feature",
    SCHEMA,
    _of("feature_set", "feature_set_id", primary_key=True),
    sa.Column("patch_id", sa.BigInteger, primary_key=True),
    sa.Column("product_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("vector", Vector, nullable=False),
    _of_patch(),
)
SCHEME = sa.Table(
    "label_scheme",
    SCHEMA,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
)
LABEL = sa.Table(
    "label",
    SCHEMA,
    sa.Column("scheme", NAME, sa.ForeignKey("label_scheme.name"), primary_key=True),
    sa.Column("code", sa.String(40), primary_key=True),
    sa.Column("parent", sa.String(40)),
    sa.Column("title", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["scheme", "parent"], ["label.scheme", "label.code"]),
)
MAPPING = sa.Table(
    "label_mapping",
    SCHEMA,
    sa.Column("scheme", NAME, primary_key=True),
    sa.Column("code", sa.String(40), primary_key=True),
    sa.Column("to_scheme", NAME, primary_key=True),
    sa.Column("to_code", sa.String(40), nullable=False),
    sa.ForeignKeyConstraint(["scheme", "code"], ["label.scheme", "label.code"]),
    sa.ForeignKeyConstraint(["to_scheme", "to_code"], ["label.scheme", "label.code"]),
)
SESSION = sa.Table(
    "session",
    SCHEMA,
    _number(),
    sa.Column("owner", NAME, nullable=False),
    sa.Column("name", NAME, nullable=False),
    sa.Column("scheme", NAME),
    sa.Column("code", sa.String(40)),
    sa.Column("feature_set_id", sa.BigInteger, sa.ForeignKey("feature_set.id")),
    sa.Column("started", UtcTime, nullable=False),
    sa.Column("finished", UtcTime),
    sa.ForeignKeyConstraint(["scheme", "code"], ["label.scheme", "label.code"]),
)
ANNOTATION = sa.Table(
    "annotation",
    SCHEMA,
    _number(),
    sa.Column("patch_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("product_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("owner", NAME, nullable=False),
    sa.Column("visibility", sa.String(10), nullable=False),
    sa.Column("scheme", NAME, nullable=False),
    sa.Column("code", sa.String(40), nullable=False),
    sa.Column("origin", sa.String(20), nullable=False),
    sa.Column("sensor", sa.String(10), nullable=False),
    sa.Column("confidence", sa.REAL),
    sa.Column("session_id", sa.BigInteger, sa.ForeignKey("session.id", ondelete="SET NULL")),
    sa.Column("created", UtcTime, nullable=False),
    sa.ForeignKeyConstraint(["scheme", "code"], ["label.scheme", "label.code"]),
    sa.CheckConstraint("visibility IN ('private', 'public')", name="annotation_visibility"),
    sa.CheckConstraint("origin IN ('manual', 'model', 'reference')", name="annotation_origin"),
    _of_patch(),
    sa.CheckConstraint("sensor IN ('', 's1', 's2', 'fused')", name="annotation_sensor"),
    sa.Index("annotation_by_label", "scheme", "code"),
)
RELEVANCE = sa.Table(
    "relevance",
    SCHEMA,
    _of("session", "session_id", primary_key=True),
    _of("patch", "patch_id", primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("relevant", sa.Boolean, nullable=False),
)
