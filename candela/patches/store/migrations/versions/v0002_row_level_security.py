"""Who sees and changes which rows: PostgreSQL's row-level security.

Whoever owns the tables (the platform's own login) says for whom it acts by the setting
``candela.owner``; every other login acts for itself and nobody else, whatever it sets.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

SEEN = "product_id IN (SELECT id FROM product)"  # itself filtered
OWNED = "product_id IN (SELECT id FROM product WHERE owner = (SELECT {viewer}()))"
MINE = "owner = (SELECT {viewer}())"
# For each table: what may be read, and what may be written.
POLICIES = {
    "product": (
        f"{MINE} OR visibility = 'public' OR id IN (SELECT product_id FROM product_share "
        "WHERE reader = (SELECT {viewer}()))",
        MINE,
    ),
    "product_share": (f"{MINE} OR reader = (SELECT {{viewer}}())", MINE),
    "grid": (SEEN, OWNED),
    "patch": (SEEN, OWNED),
    "quicklook": (SEEN, OWNED),
    "feature": (SEEN, OWNED),
    "session": (MINE, MINE),
    "annotation": (f"{SEEN} AND ({MINE} OR visibility = 'public')", f"{SEEN} AND {MINE}"),
    "relevance": (
        "session_id IN (SELECT id FROM session)",
        "session_id IN (SELECT id FROM session)",
    ),
}
# NOTE: names are qualified and the search path is fixed, or a login could put a table "product"
# of its own in front, and own it.
VIEWER = """
CREATE FUNCTION {viewer}() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT CASE
    WHEN pg_has_role(session_user, c.relowner, 'MEMBER')
    THEN current_setting('candela.owner', true)
    ELSE session_user::text
  END
  FROM pg_class c WHERE c.oid = '{schema}.product'::regclass
$$
"""


def upgrade() -> None:
    """Make the policies; SQLite has none."""
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    schema = bind.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    viewer = f"{schema}.patches_viewer"
    op.execute(VIEWER.format(viewer=viewer, schema=schema))
    for table, (read, write) in POLICIES.items():
        reading, writing = read.format(viewer=viewer), write.format(viewer=viewer)
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")  # of their owner, too
        op.execute(f"CREATE POLICY {table}_read ON {table} FOR SELECT USING ({reading})")
        for verb, check in (
            ("INSERT", "WITH CHECK ({0})"),
            ("UPDATE", "USING ({0}) WITH CHECK ({0})"),
            ("DELETE", "USING ({0})"),
        ):
            op.execute(
                f"CREATE POLICY {table}_{verb.lower()} ON {table} FOR {verb} "
                + check.format(writing)
            )


def downgrade() -> None:
    """Remove the policies."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in POLICIES:
        for verb in ("read", "insert", "update", "delete"):
            op.execute(f"DROP POLICY {table}_{verb} ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute("DROP FUNCTION patches_viewer()")
