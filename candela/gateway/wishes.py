"""What a client asks for beside its request, in headers that mean the same in every protocol."""

from typing import NamedTuple

from werkzeug.datastructures import Headers
from werkzeug.http import parse_list_header

from candela.errors import InvalidValueError
from candela.gateway.owners import owner_of
from candela.settings import Settings

LENGTH = 200  # of what the store has room for


class Wishes(NamedTuple):
    """Who asks, under which key, and how urgent it is.

    Attributes
    ----------
    owner : str
        As a reverse proxy says; empty where there is none.
    idempotency_key : str, optional
        The same request under the same key is the same job.
    priority : int
        From ``Prefer: priority=3`` (RFC 7240); higher is more urgent.
    """

    owner: str = ""
    idempotency_key: str | None = None
    priority: int = 0


def wishes_of(headers: Headers, settings: Settings) -> Wishes:
    """Read the headers of a request.

    Raises
    ------
    InvalidValueError
        If a key or a name is too long.
    """
    key = headers.get("Idempotency-Key")
    owner = owner_of(headers, settings.owner_header) or ""
    for name, value in (("Idempotency-Key", key), (settings.owner_header, owner)):
        if value is not None and len(value) > LENGTH:
            raise InvalidValueError(
                f"{name} has {len(value)} characters, at most {LENGTH} are allowed", name
            )
    return Wishes(owner, key or None, _priority(headers))


def _priority(headers: Headers) -> int:
    for preference in parse_list_header(",".join(headers.getlist("Prefer"))):
        name, _, value = preference.partition("=")
        if name.strip().lower() == "priority":
            try:
                return int(value.strip(' "'))
            except ValueError:
                return 0  # a preference that makes no sense is to be ignored (RFC 7240, 2)
    return 0
