"""Which routes are for users, and which for workers, probes and who watches the service.

With an internal port (``CANDELA_INTERNAL_BIND``) what is internal is answered there alone, and
nothing else is; probes are answered at both. Without one everything is at the public port. In both
cases internal routes have threads of their own.
"""

import re

from flask import Flask, abort, request

from candela.errors import PublicError
from candela.gateway.front.parts import send_parts_as_files
from candela.gateway.front.request import PORT, REFUSAL

PROBES = frozenset({"/healthz", "/readyz"})
INTERNAL = re.compile(r"/(metrics|usage|warm/[^/]+|jobs/[^/]+/progress)/*")


def is_internal(path: str) -> bool:
    """Tell whether a path is for workers and who watches, not for users."""
    return INTERNAL.fullmatch(path) is not None


def is_reserved(path: str) -> bool:
    """Tell whether a path is answered whatever else is asked."""
    return path in PROBES or is_internal(path)


def guard(app: Flask, *, has_internal_port: bool, max_request_bytes: int) -> None:
    """Keep routes at their ports, and refuse requests whose bodies were not taken."""
    app.config["MAX_CONTENT_LENGTH"] = max_request_bytes
    send_parts_as_files(app)

    @app.before_request
    def refuse() -> None:
        refusal: PublicError | None = request.environ.get(REFUSAL)
        if refusal is not None:
            raise refusal

    if not has_internal_port:
        return

    @app.before_request
    def keep_apart() -> None:
        if request.path in PROBES:
            return
        if is_internal(request.path) != (request.environ.get(PORT) == "internal"):
            abort(404)
