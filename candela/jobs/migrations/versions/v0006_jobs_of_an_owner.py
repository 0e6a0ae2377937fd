"""Owners list their own jobs, the newest first."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the index that such a list is read from."""
    op.create_index("job_by_owner", "job", ["owner", "created"])


def downgrade() -> None:
    """Remove it."""
    op.drop_index("job_by_owner", "job")
