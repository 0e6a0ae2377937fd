"""Credentials: header fields that go to the server they belong to, and to nobody else."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from candela.client.errors import InputValueError

PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port: what a browser calls the origin of an address (RFC 6454)."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, address: str) -> "Origin":
        """Read the origin of an address.

        Raises
        ------
        InputValueError
            If the address cannot be read.
        """
        parts = _split(address)
        scheme = parts.scheme.lower()
        return cls(scheme, parts.hostname or "", parts.port or PORTS.get(scheme))


class Credentials:
    """Header fields for some origins; they are in no representation and in no message.

    Parameters
    ----------
    fields : mapping
        The header fields: ``{"Authorization": "Bearer ..."}``.
    addresses : iterable of str
        Addresses of the origins that get them.
    """

    def __init__(self, fields: Mapping[str, str], addresses: Iterable[str]) -> None:
        for name, value in fields.items():
            _check_field(name, value)
        self._fields = dict(fields)
        self._origins = frozenset(Origin.of(address) for address in addresses)

    def __repr__(self) -> str:
        return f"<Credentials: {', '.join(self._fields) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._fields)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the header fields."""
        return tuple(self._fields)

    def fields_for(self, address: str) -> dict[str, str]:
        """Return the header fields for an address; none for that of another origin."""
        return dict(self._fields) if Origin.of(address) in self._origins else {}


def header_fields(
    auth: tuple[str, str] | None, token: str | None, headers: Mapping[str, str] | None
) -> dict[str, str]:
    """Return credentials as header fields: Basic (RFC 7617), Bearer (RFC 6750), or as given.

    Raises
    ------
    InputValueError
        If there are both a user and a token, or a user name has a colon.
    """
    fields = dict(headers or {})
    if auth is not None and token is not None:
        raise InputValueError("there are a user and a token: give one of them")
    if auth is not None:
        user, password = auth
        if ":" in user:
            raise InputValueError("the name of a user has no colon (RFC 7617)")
        fields["Authorization"] = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
    if token is not None:
        if not token.strip():
            raise InputValueError("the token is empty")
        fields["Authorization"] = f"Bearer {token.strip()}"
    return fields


def without_user(address: str) -> tuple[str, tuple[str, str] | None]:
    """Return an address without ``user:password@``, and these."""
    parts = _split(address)
    if "@" not in parts.netloc:
        return address, None
    host = parts.netloc.rpartition("@")[2]
    auth = unquote(parts.username or ""), unquote(parts.password or "")
    return parts._replace(netloc=host).geturl(), auth


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port  # is read when it is asked for
    except ValueError as error:
        raise InputValueError(f"an address cannot be read: {error}") from None
    return parts


def _check_field(name: str, value: str) -> None:
    """Refuse here what no header can hold: later errors would show the value."""
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
        raise InputValueError(f"{name!r} is no name of a header field")
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise InputValueError(
            f"the value of the header field {name} has characters that none can have: line ends, "
            "spaces around it, or letters beyond ASCII"
        )
