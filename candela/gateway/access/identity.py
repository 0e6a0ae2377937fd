"""Who asks: the one place that reads what a trusted proxy says (``CANDELA_OWNER_HEADER``).

The header counts only if the request comes from the trusted proxy: one that knows the secret
(``CANDELA_PROXY_SECRET_FILE``), or, where there is no secret, one on this machine. From all other
requests it is taken away before anybody reads it. Then who asks is

the system       at the internal port, which only workers, probes and monitoring reach
the sole user    where no header is configured: one who sees all
an operator      named in ``CANDELA_OPERATORS``: sees what all owners have
an owner         of the name in the header: sees their own
anonymous        without a name: sees what has no owner
"""

import hmac
import ipaddress
from dataclasses import dataclass
from typing import Self

from flask import Flask, Request, Response, abort, request

from candela.errors import InvalidValueError
from candela.gateway.front.request import PORT
from candela.jobs.principal import ANONYMOUS, SOLE_USER, SYSTEM, Principal, Role
from candela.settings import Settings

PROOF = "X-Candela-Proxy"
LONGEST_NAME = 200  # characters, of what the job database has room for
PRINCIPAL = "candela.principal"  # in the WSGI environment


@dataclass(frozen=True)
class TrustedProxy:
    """What names those who ask.

    Attributes
    ----------
    header : str
        Has the name; empty where nobody is named.
    proof : bytes
        The secret by which the proxy proves itself; empty where one on this machine is believed.
    operators : frozenset of str
        Names of those who see everything, as headers have them: bytes of UTF-8 as Latin-1.
    """

    header: str = ""
    proof: bytes = b""
    operators: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the proxy of a gateway."""
        operators = frozenset(name.encode().decode("latin-1") for name in settings.operators)
        return cls(settings.owner_header, settings.proxy_proof, operators)

    def principal(self, asked: Request) -> Principal:
        """Return who asks.

        Raises
        ------
        InvalidValueError
            If the name is too long.
        """
        if asked.environ.get(PORT) == "internal":
            return SYSTEM
        if not self.header:
            return SOLE_USER
        name = asked.headers.get(self.header, "") if self.sent(asked) else ""
        if len(name) > LONGEST_NAME:
            raise InvalidValueError(
                f"{self.header} has {len(name)} characters, at most {LONGEST_NAME} are allowed",
                self.header,
            )
        if not name:
            return ANONYMOUS
        return Principal(name, Role.OPERATOR if name in self.operators else Role.OWNER)

    def sent(self, asked: Request) -> bool:
        """Tell whether a request came by this proxy."""
        if self.proof:
            told = asked.headers.get(PROOF, "").encode("latin-1", "replace")  # the bytes of WSGI
            return hmac.compare_digest(told, self.proof)
        try:
            return ipaddress.ip_address(asked.remote_addr or "").is_loopback
        except ValueError:
            return False


def principal_of(asked: Request) -> Principal:
    """Return who asks, as it was found out when the request came."""
    principal: Principal = asked.environ[PRINCIPAL]
    return principal


def identify(app: Flask, proxy: TrustedProxy) -> None:
    """Find out who asks before any route answers, and keep answers from shared caches."""

    @app.before_request
    def name() -> None:
        try:
            request.environ[PRINCIPAL] = proxy.principal(request)
        finally:
            for header in (proxy.header, PROOF):
                request.environ.pop(f"HTTP_{header.upper().replace('-', '_')}", None)

    if not proxy.header:
        return

    @app.after_request
    def keep_private(response: Response) -> Response:
        if not response.cache_control.public:
            response.cache_control.private = True
        return response


def require_operator() -> None:
    """Answer to those who may not see everything as if there were nothing at this address."""
    if principal_of(request).role is not Role.OPERATOR:
        abort(404)
