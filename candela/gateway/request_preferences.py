"""What a client asks for beside its request, in headers that mean the same in every protocol."""

from typing import NamedTuple, Self
from urllib.parse import unquote

from werkzeug.datastructures import Headers
from werkzeug.http import parse_list_header

from candela.errors import InvalidValueError

LONGEST = 200  # characters, of what the store has room for
KEY_HEADER = "Idempotency-Key"
TITLE_HEADER = "Candela-Title"


class RequestPreferences(NamedTuple):
    """Under which key a request is sent, how urgent it is, and what its job is called.

    Attributes
    ----------
    idempotency_key : str, optional
        The same request under the same key is the same job.
    priority : int
        From ``Prefer: priority=3`` (RFC 7240); higher is more urgent.
    title : str
        From ``Candela-Title``, percent-encoded where it is not ASCII.
    """

    idempotency_key: str | None = None
    priority: int = 0
    title: str = ""

    @classmethod
    def of(cls, headers: Headers) -> Self:
        """Read the headers of a request.

        Raises
        ------
        InvalidValueError
            If the key or the title is too long.
        """
        key = headers.get(KEY_HEADER)
        title = unquote(headers.get(TITLE_HEADER, ""), errors="replace")
        for name, value in ((KEY_HEADER, key), (TITLE_HEADER, title)):
            if value is not None and len(value) > LONGEST:
                raise InvalidValueError(
                    f"{name} has {len(value)} characters, at most {LONGEST} are allowed", name
                )
        if not title.isprintable():
            raise InvalidValueError("the title has characters that cannot be printed", TITLE_HEADER)
        return cls(key or None, _priority(headers), title.strip())


def _priority(headers: Headers) -> int:
    for preference in parse_list_header(",".join(headers.getlist("Prefer"))):
        name, _, value = preference.partition("=")
        if name.strip().lower() == "priority":
            try:
                return int(value.strip(' "'))
            except ValueError:
                return 0  # a preference that makes no sense is to be ignored (RFC 7240, 2)
    return 0
