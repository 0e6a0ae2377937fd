"""Who may act for users: beside the owner of the tables the members of two groups.

A worker's login writes and a gateway's reads; neither need own the tables. An operator makes the
groups (``k8s/components/patches/roles.sql``), ``candela patches upgrade`` gives them their rights.
"""

from alembic import op

from candela.patches.store.migrations.groups import READERS, WRITERS
from candela.patches.store.migrations.versions.v0002_row_level_security import VIEWER as OWNER_ALONE

revision = "0003"
down_revision = "0002"

VIEWER = """
CREATE OR REPLACE FUNCTION {viewer}() RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog AS $$
  SELECT CASE
    WHEN pg_has_role(session_user, c.relowner, 'MEMBER') OR EXISTS (
      SELECT FROM pg_roles r
      WHERE r.rolname IN ('{readers}', '{writers}') AND pg_has_role(session_user, r.oid, 'MEMBER')
    )
    THEN current_setting('candela.owner', true)
    ELSE session_user::text
  END
  FROM pg_class c WHERE c.oid = '{schema}.product'::regclass
$$
"""


def upgrade() -> None:
    """Let members of the groups say for whom they act."""
    _replace(VIEWER)


def downgrade() -> None:
    """Let the owner of the tables alone say so."""
    _replace(OWNER_ALONE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))


def _replace(viewer: str) -> None:
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    schema = bind.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    names = {"viewer": f"{schema}.patches_viewer", "schema": schema}
    op.execute(viewer.format(readers=READERS, writers=WRITERS, **names))
