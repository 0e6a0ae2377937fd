"""Descriptions of processes: those that jobs were accepted with, and those added at run time."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables; jobs that there are have no description."""
    op.add_column("job", sa.Column("description", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "process_description",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("process", sa.String(100), nullable=False),
        sa.Column("version", sa.String(20), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "added_process",
        sa.Column("process", sa.String(100), primary_key=True),
        sa.Column("version", sa.String(20), primary_key=True),
        sa.Column("description", sa.String(64), nullable=False),
        sa.Column("is_offered", sa.Boolean, nullable=False),
        sa.Column("added", sa.DateTime, nullable=False),
        sa.Column("added_by", sa.String(200), nullable=False),
    )
    catalogue = op.create_table(
        "process_catalogue", sa.Column("revision", sa.Integer, nullable=False)
    )
    op.bulk_insert(catalogue, [{"revision": 0}])


def downgrade() -> None:
    """Remove them."""
    op.drop_table("process_catalogue")
    op.drop_table("added_process")
    op.drop_table("process_description")
    op.drop_column("job", "description")
