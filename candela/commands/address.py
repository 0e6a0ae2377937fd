"""Which gateway a command asks.

NOTE: beside the settings of the service this is the only place that reads the environment: a
command on another machine has no settings, and ``candela.client`` is told its address.
"""

import os

DEFAULT_URL = "http://127.0.0.1:8080"
VARIABLE = "CANDELA_URL"  # for the gateway itself it is the address that clients reach it by


def gateway_address(given: str | None) -> str:
    """Return the address that was given, or that of the environment, or that of this machine."""
    return with_scheme(given or _usual())


def url_option(url: str) -> str:
    """Return what a hint must add for the same gateway to be asked; nothing for the usual one."""
    return "" if url == with_scheme(_usual()) else f" --url {url}"


def _usual() -> str:
    return os.environ.get(VARIABLE, "").strip() or DEFAULT_URL


def with_scheme(address: str) -> str:
    """Return an address with its scheme: http for this machine, IP addresses and plain names."""
    from candela.client.transport import with_scheme as complete

    return complete(address)
