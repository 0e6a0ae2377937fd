"""Jobs and their events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of jobs and events."""
    op.create_table(
        "job",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("process", sa.String(100), nullable=False),
        sa.Column("version", sa.String(20), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("mode", sa.String(10), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("percent", sa.Float, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("runner", sa.String(500), nullable=False),
        sa.Column("backend", sa.String(300), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("links", sa.Text),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("started", sa.DateTime),
        sa.Column("finished", sa.DateTime),
        sa.Column("updated", sa.DateTime, nullable=False),
        sa.Column("deadline", sa.DateTime),
        sa.Column("expires", sa.DateTime),
        sa.UniqueConstraint("owner", "idempotency_key"),
    )
    op.create_index("job_by_state", "job", ["state", "priority", "created"])
    op.create_index("job_by_time", "job", ["created"])
    op.create_index("job_by_expiry", "job", ["expires"])
    op.create_table(
        "job_event",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_index("ix_job_event_job", "job_event", ["job"])


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("job_event")
    op.drop_table("job")
