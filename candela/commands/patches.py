"""Keep the database of patch models."""

from candela.commands.screen import console
from candela.patches.database import open_server
from candela.settings import ConfigurationError, Settings


def upgrade() -> None:
    """Bring the database that the environment names up to date.

    Raises
    ------
    ConfigurationError
        If the environment names none.
    StorageError
        If its login may not change it.
    """
    url = Settings.from_environment().patches_database.get_secret_value()
    if not url:
        raise ConfigurationError("CANDELA_PATCHES_DATABASE is not set")
    database = open_server(url)
    try:
        database.upgrade()
    finally:
        database.close()
    console().print("The patch database is up to date.")
