"""The gateway that a command asks, and the credentials for it.

NOTE: beside the settings of the service this is the only reader of the environment: a command on
another machine has no settings, and ``candela.client`` takes parameters only.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from candela.client import Client
    from candela.client.inputs import FilesPolicy

DEFAULT_URL = "http://127.0.0.1:8080"
URL_VARIABLE = "CANDELA_URL"  # for the gateway itself it is the address that clients reach it by
TOKEN_VARIABLE = "CANDELA_TOKEN"
TOKEN_FILE_VARIABLE = "CANDELA_TOKEN_FILE"


@dataclass(frozen=True)
class Connection:
    """A gateway, and the token for it.

    Attributes
    ----------
    url : str
        The address, with its scheme.
    auth : tuple of str, optional
        User and password, if they stood in the address.
    token : str, optional
        A bearer token.
    hint : str
        The options by which another command asks the same gateway; empty where it would anyway.
    """

    url: str
    auth: tuple[str, str] | None = field(repr=False)
    token: str | None = field(repr=False)
    hint: str

    def client(self, *, files: "FilesPolicy" = "auto") -> "Client":
        """Return a client; to be closed by the caller, best with ``with``."""
        from candela.client import Client

        return Client(self.url, auth=self.auth, token=self.token, files=files)


def connect(url: str | None, token_file: Path | None) -> Connection:
    """Return the connection that options and environment name.

    Parameters
    ----------
    url : str, optional
        By default that of the environment, or that of this machine.
    token_file : Path, optional
        By default the token is that of the environment, if the gateway is: another gateway than
        that of ``CANDELA_URL`` does not get it.

    Raises
    ------
    OSError
        If the file of the token cannot be read.
    """
    # OWSLib is no part of what --help needs.
    from candela.client.credentials import Origin, without_user

    usual = with_scheme(_variable(URL_VARIABLE) or DEFAULT_URL)
    address, auth = without_user(with_scheme(url) if url else usual)
    hint = "" if address == without_user(usual)[0] else f" --url {address}"
    token: str | None = None
    if token_file is not None:
        token = token_file.read_text(encoding="utf-8").strip()
        hint += f" --token-file {token_file}"
    elif auth is None and (not _variable(URL_VARIABLE) or Origin.of(address) == Origin.of(usual)):
        token = _usual_token()
    return Connection(address, auth, token, hint)


def _usual_token() -> str | None:
    if token := _variable(TOKEN_VARIABLE):
        return token
    if path := _variable(TOKEN_FILE_VARIABLE):
        return Path(path).read_text(encoding="utf-8").strip()
    return None


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def with_scheme(address: str) -> str:
    """Return an address with its scheme: http for this machine, IP addresses and plain names."""
    from candela.client.transport import with_scheme as complete

    return complete(address)
