"""Run by alembic: migrate on the connection that `upgrade` gives."""

from alembic import context

from candela.jobs.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SCHEMA,
    transaction_per_migration=False,
)
context.run_migrations()
