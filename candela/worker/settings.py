"""What the operator tells a worker in its environment; nothing of it is in job.json or in a log."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PATCHES_DATABASE = "CANDELA_PATCHES_DATABASE"


class WorkerSettings(BaseSettings):
    """Variables of a worker.

    Attributes
    ----------
    patches_database : SecretStr
        An SQLAlchemy URL, which may have a password; empty if the operator keeps no patch database.
    warm_pod : str
        The name of this pod, if it was started before there was a job for it.
    warm_token : SecretStr
        With what it asks for one.
    """

    model_config = SettingsConfigDict(env_prefix="CANDELA_", extra="ignore", frozen=True)

    patches_database: SecretStr = SecretStr("")
    warm_pod: str = ""
    warm_token: SecretStr = SecretStr("")
