"""Run by alembic: migrate on the connection that `upgrade` gives."""

from alembic import context

from candela.patches.store.migrations import VERSION_TABLE
from candela.patches.store.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SCHEMA,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
)
context.run_migrations()
