"""The database of patch models."""

from functools import cached_property
from typing import Annotated

from pydantic import Field, SecretStr

from candela.settings.base import Default, Group


class PatchSettings(Group):
    """The database of patch models, and queries to it."""

    patches_database: Annotated[SecretStr, Default("none")] = SecretStr("")
    """SQLAlchemy URL of the [database of patch models](patches.md). Workers get it in their
    environment; it is never in `job.json` or in a log."""

    patches_query_database: Annotated[SecretStr, Default("`CANDELA_PATCHES_DATABASE`")] = SecretStr(
        ""
    )
    """The same database for [queries to the gateway](patches.md#ask-it-over-http): a login that
    reads, and writes annotations alone."""

    patches_limit_s: float = Field(default=10, gt=0)
    """The longest time that a query may take."""

    @cached_property
    def patches_query_url(self) -> str:
        """The SQLAlchemy URL of the patch database for queries; empty without one."""
        own = self.patches_query_database.get_secret_value()
        return own or self.patches_database.get_secret_value()
