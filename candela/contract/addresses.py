"""Which addresses a worker may fetch from.

Users name addresses, and the worker stands inside a network: a cluster's API, a cloud's metadata
service or a neighbour's database must not be within their reach. So only public addresses are
fetched from, and those that the operator allows.
"""

import ipaddress
import logging
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from candela.contract.names import without_secrets
from candela.errors import ReferenceUnavailableError

logger = logging.getLogger(__name__)

EVERYWHERE = ("0.0.0.0/0", "::/0")  # what to allow where a user fetches for nobody but himself

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # the rest is local, mapped (also by NAT64)
_INSIDE_OTHERS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # a cloud's service for its virtual machines, at a public address
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata service lives there
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # Teredo and others that carry a second address
        "2001:db8::/32",
        "2002::/16",  # 6to4: carries an IPv4 address
        "3fff::/20",
    )
)
_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?")
_LAST_LABEL_OF_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)\.?$")


def is_public(address: Address) -> bool:
    """Tell whether an IP address is one of the public network, for one receiver.

    Not so are private, shared (carrier-grade NAT), loopback, link-local, multicast, reserved and
    documentation addresses (RFC 6890), and IPv6 addresses that stand for an IPv4 address.
    """
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _INSIDE_OTHERS)
    )


@dataclass(frozen=True)
class AllowedHost:
    """What an operator allows although it is not public.

    Attributes
    ----------
    name : str
        A host name; empty where ``network`` is given.
    network : Network, optional
        Addresses, whatever the name that leads to them.
    port : int, optional
        The only port; without one, all.
    """

    name: str = ""
    network: Network | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``name``, ``name:port``, ``10.1.2.3:80``, ``[fd00::1]:80`` or ``10.0.0.0/8``.

        Raises
        ------
        ValueError
            If it is none of them.
        """
        try:
            return cls(network=ipaddress.ip_network(text))
        except ValueError:
            parts = urlsplit(f"//{text}")
        name = parts.hostname or ""
        if parts.netloc != text or not _HOST_AND_PORT.fullmatch(text):
            raise ValueError(f"{text!r} is no host, host:port or network such as 10.0.0.0/8")
        if "[" in text or _LAST_LABEL_OF_NUMBER.search(name):
            return cls(network=ipaddress.ip_network(name), port=parts.port)
        return cls(name=name.rstrip("."), port=parts.port)

    def fits(self, host: str, address: Address, port: int) -> bool:
        """Tell whether this allows a host, its address and a port."""
        if self.port not in {None, port}:
            return False
        return address in self.network if self.network else host == self.name


class AddressGuard:
    """Connects to allowed addresses only.

    The address that is checked is the one that is connected to, so a name that leads elsewhere a
    moment later (DNS rebinding) gains nothing.

    Parameters
    ----------
    allowed : iterable of str
        What is allowed beside public addresses, see ``AllowedHost.parse``.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = tuple(AllowedHost.parse(text) for text in allowed)

    def check(self, url: str) -> None:
        """Refuse what is no plain http(s) address, and an IP address that is not allowed.

        Raises
        ------
        ReferenceUnavailableError
            If it may not be fetched.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ReferenceUnavailableError("the address is not valid") from None
        shown = without_secrets(url)
        if parts.scheme not in {"http", "https"} or not host:
            raise ReferenceUnavailableError(
                f"{shown} cannot be fetched: expected an http or https address"
            )
        if "\\" in url or not url.isprintable() or " " in url:
            raise ReferenceUnavailableError(f"{shown} cannot be fetched: it is not valid")
        if not _LAST_LABEL_OF_NUMBER.search(host) and ":" not in host:
            return  # a name: looked up when it is connected to
        try:
            address = ipaddress.ip_address(host)
        except ValueError:  # such as 2130706433, 0x7f.1 or 127.1, which systems understand
            raise ReferenceUnavailableError(
                f"{shown} cannot be fetched: {host} is no usual IP address"
            ) from None
        self._check_address(host, address, port or (443 if parts.scheme == "https" else 80))

    def allows_name(self, name: str) -> bool:
        """Tell whether an operator allows a host by its name."""
        return any(each.name == name.lower().rstrip(".") for each in self._allowed if each.name)

    def connect(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        """Connect to a host by an address of it that was checked.

        Raises
        ------
        ReferenceUnavailableError
            If one of its addresses is not allowed.
        OSError
            If it cannot be found or reached.
        """
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        for *_, target in found:
            address = ipaddress.ip_address(str(target[0]))
            self._check_address(host.strip("[]").lower().rstrip("."), address, port)
        failure = OSError(f"{host} has no address")
        for family, kind, protocol, _, target in found:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(timeout_s)
            try:
                connection.connect(target)
            except OSError as error:
                connection.close()
                failure = error
            else:
                return connection
        raise failure

    def _check_address(self, host: str, address: Address, port: int) -> None:
        if is_public(address) or any(it.fits(host, address, port) for it in self._allowed):
            return
        # Which address a name has inside is no one's business: it goes to the log alone.
        logger.warning("Refused to fetch from %s (%s), port %s", host, address, port)
        shown = f"[{host}]" if ":" in host else host
        raise ReferenceUnavailableError(
            f"nothing may be fetched from {shown}:{port}: it is not a public address"
        )
