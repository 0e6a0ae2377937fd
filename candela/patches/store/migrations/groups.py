"""Groups of PostgreSQL logins that act for users, and what they may do."""

from sqlalchemy import Connection, text

READERS = "candela_readers"  # gateways
WRITERS = "candela_writers"  # workers
WRITTEN = (
    "product", "product_share", "grid", "patch", "quicklook", "feature_set", "feature", "session",
    "annotation", "relevance",
)  # fmt: skip
READ_TOO = ("label_scheme", "label", "label_mapping", "patches_version")
RIGHTS = {
    READERS: (
        f"SELECT ON {', '.join((*WRITTEN, *READ_TOO))}",
        "INSERT, DELETE ON annotation",
    ),
    WRITERS: (
        f"SELECT, INSERT, UPDATE, DELETE ON {', '.join(WRITTEN)}",
        f"SELECT ON {', '.join(READ_TOO)}",
    ),
}


def grant_rights(connection: Connection) -> None:
    """Give the groups that there are what they need; row-level security bounds it."""
    if connection.dialect.name != "postgresql":
        return
    known = connection.execute(
        text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)"), {"names": list(RIGHTS)}
    ).scalars()
    for group in known.all():
        for rights in RIGHTS[group]:
            connection.exec_driver_sql(f"GRANT {rights} TO {group}")
