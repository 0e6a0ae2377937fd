"""Products, patches, features, labels, annotations."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from candela.patches.store.tables import Outline, Vector

revision = "0001"
down_revision = None

NAME = sa.String(200)
TABLES = (
    "product",
    "product_share",
    "grid",
    "patch",
    "quicklook",
    "feature_set",
    "feature",
    "label_scheme",
    "label",
    "label_mapping",
    "session",
    "annotation",
    "relevance",
)


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


def upgrade() -> None:
    """Make the tables."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    op.create_table(
        "product",
        _number(),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("name", sa.String(500), nullable=False),
        sa.Column("visibility", sa.String(10), nullable=False),
        sa.Column("s1_name", sa.String(300), nullable=False),
        sa.Column("s2_name", sa.String(300), nullable=False),
        sa.Column("s1_time", sa.DateTime),
        sa.Column("s2_time", sa.DateTime),
        sa.Column("crs", sa.Text, nullable=False),
        sa.Column("transform", sa.JSON, nullable=False),  # six numbers, as rasterio has them
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("cols", sa.Integer, nullable=False),
        sa.Column("updated", sa.DateTime, nullable=False),
        sa.UniqueConstraint("owner", "name"),
        sa.UniqueConstraint("id", "owner"),
        sa.CheckConstraint("visibility IN ('private', 'public')", name="product_visibility"),
        sa.Index("product_by_time", "s2_time"),
    )
    op.create_table(
        "product_share",
        sa.Column("product_id", sa.BigInteger, primary_key=True),
        sa.Column("reader", NAME, primary_key=True),
        sa.Column("owner", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id", "owner"], ["product.id", "product.owner"], ondelete="CASCADE"
        ),
    )
    op.create_table(
        "grid",
        _of("product", "product_id", primary_key=True),
        sa.Column("size", sa.Integer, primary_key=True),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("cols", sa.Integer, nullable=False),
    )
    op.create_table(
        "patch",
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
    op.create_table(
        "quicklook",
        sa.Column("patch_id", sa.BigInteger, primary_key=True),
        sa.Column("product_id", sa.BigInteger, nullable=False, index=True),
        sa.Column("content", sa.LargeBinary, nullable=False),  # JPEG
        _of_patch(),
    )
    op.create_table(
        "feature_set",
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
    op.create_table(
        "feature",
        _of("feature_set", "feature_set_id", primary_key=True),
        sa.Column("patch_id", sa.BigInteger, primary_key=True),
        sa.Column("product_id", sa.BigInteger, nullable=False, index=True),
        sa.Column("vector", Vector, nullable=False),
        _of_patch(),
    )
    op.create_table(
        "label_scheme",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
    )
    op.create_table(
        "label",
        sa.Column("scheme", NAME, sa.ForeignKey("label_scheme.name"), primary_key=True),
        sa.Column("code", sa.String(40), primary_key=True),
        sa.Column("parent", sa.String(40)),
        sa.Column("title", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["scheme", "parent"], ["label.scheme", "label.code"]),
    )
    op.create_table(
        "label_mapping",
        sa.Column("scheme", NAME, primary_key=True),
        sa.Column("code", sa.String(40), primary_key=True),
        sa.Column("to_scheme", NAME, primary_key=True),
        sa.Column("to_code", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["scheme", "code"], ["label.scheme", "label.code"]),
        sa.ForeignKeyConstraint(["to_scheme", "to_code"], ["label.scheme", "label.code"]),
    )
    op.create_table(
        "session",
        _number(),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("scheme", NAME),
        sa.Column("code", sa.String(40)),
        sa.Column("feature_set_id", sa.BigInteger, sa.ForeignKey("feature_set.id")),
        sa.Column("started", sa.DateTime, nullable=False),
        sa.Column("finished", sa.DateTime),
        sa.ForeignKeyConstraint(["scheme", "code"], ["label.scheme", "label.code"]),
    )
    op.create_table(
        "annotation",
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
        sa.Column("created", sa.DateTime, nullable=False),
        sa.ForeignKeyConstraint(["scheme", "code"], ["label.scheme", "label.code"]),
        sa.CheckConstraint("visibility IN ('private', 'public')", name="annotation_visibility"),
        sa.CheckConstraint("origin IN ('manual', 'model', 'reference')", name="annotation_origin"),
        _of_patch(),
        sa.CheckConstraint("sensor IN ('', 's1', 's2', 'fused')", name="annotation_sensor"),
        sa.Index("annotation_by_label", "scheme", "code"),
    )
    op.create_table(
        "relevance",
        _of("session", "session_id", primary_key=True),
        _of("patch", "patch_id", primary_key=True),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("relevant", sa.Boolean, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE INDEX patch_by_outline ON patch USING gist (outline)")
        # What is too long for a page goes beside it as it is: numbers do not compress.
        op.execute("ALTER TABLE feature ALTER vector SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Remove the tables."""
    for name in reversed(TABLES):
        op.drop_table(name)
