"""Jobs are listed by filters, and leave tombstones: footprints, run times, removals, causes."""

import datetime as dt

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TOMBSTONES_KEPT = dt.timedelta(days=30)
EDGES = ("west", "south", "east", "north")
FILTERED = ["process", "state", "started", "run_s", *EDGES]


def upgrade() -> None:
    """Add columns, their values for jobs that there are, indices and the record of purged jobs."""
    op.add_column("job", sa.Column("run_s", sa.Float))
    op.add_column("job", sa.Column("removed", sa.DateTime))
    op.add_column("job", sa.Column("removed_by", sa.String(200), nullable=False, server_default=""))
    for edge in EDGES:
        op.add_column("job", sa.Column(edge, sa.Float))
    connection = op.get_bind()
    seconds = (
        "(julianday(finished) - julianday(started)) * 86400"
        if connection.dialect.name == "sqlite"
        else "extract(epoch FROM finished - started)"
    )
    connection.execute(sa.text(f"UPDATE job SET run_s = {seconds}"))
    purged = dt.datetime.now(dt.UTC).replace(tzinfo=None) + TOMBSTONES_KEPT
    removed = sa.text(
        "UPDATE job SET removed = finished, expires = coalesce(expires, :purged) "
        "WHERE state = 'dismissed'"
    )
    connection.execute(removed.bindparams(sa.bindparam("purged", purged, type_=sa.DateTime)))
    op.drop_index("job_by_time", "job")
    op.drop_index("job_by_owner", "job")
    op.create_index("job_by_time", "job", ["created", "id", "owner", *FILTERED])
    op.create_index("job_by_owner", "job", ["owner", "created", "id", *FILTERED])
    is_removed = sa.text("removed IS NOT NULL")
    op.create_index(
        "job_removed", "job", ["runner"], sqlite_where=is_removed, postgresql_where=is_removed
    )
    op.add_column("job_event", sa.Column("cause", sa.String(40), nullable=False, server_default=""))
    op.add_column(
        "consumption",
        sa.Column("peak_memory_bytes", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "purged_job",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("job", sa.String(36), nullable=False, unique=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("is_expired", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("purged_job")
    op.drop_column("consumption", "peak_memory_bytes")
    op.drop_column("job_event", "cause")
    op.drop_index("job_removed", "job")
    op.drop_index("job_by_owner", "job")
    op.drop_index("job_by_time", "job")
    op.create_index("job_by_time", "job", ["created"])
    op.create_index("job_by_owner", "job", ["owner", "created"])
    for name in (*EDGES, "removed_by", "removed", "run_s"):
        op.drop_column("job", name)
