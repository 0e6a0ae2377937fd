"""Who asks: what a proxy says in the owner's header (``CANDELA_OWNER_HEADER``).

The header counts only if the request comes from the trusted proxy: one that knows the secret
(``CANDELA_PROXY_SECRET_FILE``), or, where there is no secret, one on this machine. From all other
requests it is taken away before anybody reads it.
"""

import hmac
import ipaddress

from flask import Flask, Request, request
from werkzeug.datastructures import Headers

PROOF = "X-Candela-Proxy"


def owner_of(headers: Headers, owner_header: str) -> str | None:
    """Return who asks: empty where nobody is named, None where no proxy names anybody."""
    return headers.get(owner_header, "") if owner_header else None


def guard(app: Flask, owner_header: str, proof: bytes) -> None:
    """Take the header away from requests that are not the proxy's, and the proof from all."""

    @app.before_request
    def distrust() -> None:
        if not is_from_proxy(request, proof):
            request.environ.pop(_variable(owner_header), None)
        request.environ.pop(_variable(PROOF), None)


def is_from_proxy(asked: Request, proof: bytes) -> bool:
    """Tell whether a request came by the trusted proxy."""
    if proof:
        told = asked.headers.get(PROOF, "").encode("latin-1", "replace")  # the bytes of WSGI
        return hmac.compare_digest(told, proof)
    try:
        return ipaddress.ip_address(asked.remote_addr or "").is_loopback
    except ValueError:
        return False


def _variable(header: str) -> str:
    """Return the name of a header in a WSGI environment."""
    return f"HTTP_{header.upper().replace('-', '_')}"
