"""What users call their jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the title; jobs that there are have none."""
    op.add_column("job", sa.Column("title", sa.String(200), nullable=False, server_default=""))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("job", "title")
