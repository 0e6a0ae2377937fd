"""What a client asks for beside its request, in headers that mean the same in every protocol."""

from typing import NamedTuple
from urllib.parse import unquote

from werkzeug.datastructures import Headers
from werkzeug.http import parse_list_header

from candela.errors import InvalidValueError
from candela.gateway.access.owners import owner_of
from candela.settings import Settings

LENGTH = 200  # of what the store has room for
TITLE_HEADER = "Candela-Title"


class Wishes(NamedTuple):
    """Who asks, under which key, how urgent it is, and what the job is called.

    Attributes
    ----------
    owner : str
        As a reverse proxy says; empty where there is none.
    idempotency_key : str, optional
        The same request under the same key is the same job.
    priority : int
        From ``Prefer: priority=3`` (RFC 7240); higher is more urgent.
    title : str
        From ``Candela-Title``, percent-encoded where it is not ASCII.
    """

    owner: str = ""
    idempotency_key: str | None = None
    priority: int = 0
    title: str = ""


def wishes_of(headers: Headers, settings: Settings) -> Wishes:
    """Read the headers of a request.

    Raises
    ------
    InvalidValueError
        If a key or a name is too long.
    """
    key = headers.get("Idempotency-Key")
    owner = owner_of(headers, settings.owner_header) or ""
    title = unquote(headers.get(TITLE_HEADER, ""), errors="replace")
    for name, value in (
        ("Idempotency-Key", key),
        (settings.owner_header, owner),
        (TITLE_HEADER, title),
    ):
        if value is not None and len(value) > LENGTH:
            raise InvalidValueError(
                f"{name} has {len(value)} characters, at most {LENGTH} are allowed", name
            )
    if not title.isprintable():
        raise InvalidValueError("the title has characters that cannot be printed", TITLE_HEADER)
    return Wishes(owner, key or None, _priority(headers), title.strip())


def _priority(headers: Headers) -> int:
    for preference in parse_list_header(",".join(headers.getlist("Prefer"))):
        name, _, value = preference.partition("=")
        if name.strip().lower() == "priority":
            try:
                return int(value.strip(' "'))
            except ValueError:
                return 0  # a preference that makes no sense is to be ignored (RFC 7240, 2)
    return 0
