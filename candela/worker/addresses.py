"""Which addresses a worker may fetch from."""

from urllib.parse import urlsplit

from candela.errors import ReferenceUnavailableError
from candela.worker.names import without_secrets


def check_address(url: str) -> None:
    """Refuse an address that may not be fetched.

    This is the only place that decides it; it is asked before every request, redirects included.

    Raises
    ------
    ReferenceUnavailableError
        If the address may not be fetched.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ReferenceUnavailableError(
            f"{without_secrets(url)} cannot be fetched: expected an http or https address"
        )
