"""When a job may be tried again, and what the queue is asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

QUEUE = ["state", "owner", "process", "priority", "created", "not_before", "id"]


def upgrade() -> None:
    """Add the time and the indexes."""
    op.add_column("job", sa.Column("not_before", sa.DateTime))
    op.create_index("job_in_queue", "job", QUEUE)
    op.create_index("job_by_end", "job", ["process", "state", "finished"])


def downgrade() -> None:
    """Remove them."""
    op.drop_index("job_by_end", "job")
    op.drop_index("job_in_queue", "job")
    op.drop_column("job", "not_before")
