"""How many bytes of a job's inputs are kept in storage."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the number; the inputs of jobs that there are stand in their rows."""
    op.add_column(
        "job", sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0")
    )
    is_stored = sa.text("stored_bytes > 0")
    op.create_index(
        "job_by_stored_bytes",
        "job",
        ["owner", "stored_bytes"],
        sqlite_where=is_stored,
        postgresql_where=is_stored,
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_index("job_by_stored_bytes", "job")
    op.drop_column("job", "stored_bytes")
