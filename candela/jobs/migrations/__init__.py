"""The schema of the job database, step by step."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from candela.errors import StorageError

LOCK = 0x43414E44  # any number: gateways that start together take turns


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring a database to the newest schema, or to another one; an empty one gets it all.

    Raises
    ------
    StorageError
        If the database cannot be reached, or is not one of ours.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except (DBAPIError, CommandError) as error:
        reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        raise StorageError(f"the job database {engine.url!r} cannot be used: {reason}") from error
