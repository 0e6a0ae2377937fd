"""What all classes of settings have in common."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from candela.errors import CandelaError

PREFIX = "CANDELA_"


class ConfigurationError(CandelaError):
    """A file of wps_config, or a CANDELA_... variable, is wrong."""


class Option(NamedTuple):
    """The option of ``candela serve`` that sets a value as well."""

    flag: str


class Default(NamedTuple):
    """What docs/settings.md says of a default that is no plain value."""

    text: str


class Group(BaseModel):
    """Settings of one room; the text under each is its description in docs/settings.md."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)
