"""Ask web servers for what users refer to: by guarded connections, redirects step by step."""

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, Timeout
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from candela.backoff import Backoff, retry
from candela.contract.addresses import AddressGuard
from candela.contract.job import Reference
from candela.contract.names import without_secrets
from candela.errors import ReferenceUnavailableError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TRIES = 4
BACKOFF = Backoff(0.5, 8.0, factor=4.0)
TIMEOUT_S = (10.0, 60.0)  # to connect, between two pieces
MAX_REDIRECTS = 10
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
TRANSIENT_ERRORS = (
    requests.ConnectionError,
    Timeout,
    ChunkedEncodingError,
    ContentDecodingError,
)
NOT_THE_USERS = frozenset(  # headers that tell how a message is sent, or to whom
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "range"}
)


class TransientError(Exception):
    """Trying again may help."""


@contextmanager
def ask(
    reference: Reference, guard: AddressGuard, headers: Mapping[str, str] | None = None
) -> Iterator[requests.Response]:
    """Ask for a file; the body of the answer is not read yet.

    Redirects are followed here, so that each address is checked, and what the user gave for one
    server (headers may hold a password) is not told to another.

    Parameters
    ----------
    reference : Reference
        An http(s) address, with method, headers and body.
    guard : AddressGuard
        Says what may be asked.
    headers : mapping of str to str, optional
        Our own, for all servers on the way.

    Yields
    ------
    requests.Response
        A successful answer.

    Raises
    ------
    ReferenceUnavailableError
        If the file cannot be had.
    TransientError
        If it cannot be had now.
    """
    url, method, body = reference.href, reference.method, reference.body
    own = {"Accept-Encoding": "identity", **(headers or {})}
    given = {k: v for k, v in reference.headers.items() if k.lower() not in NOT_THE_USERS}
    if method == "POST" and reference.type is None:
        given.setdefault("Content-Type", "text/xml")
    with _session(guard) as session:
        for _ in range(MAX_REDIRECTS + 1):
            guard.check(url)
            response = _request(session, method, url, {**given, **own}, body)
            if not response.is_redirect:
                with response:
                    _check_status(response)
                    yield response
                return
            response.close()
            target = urljoin(url, response.headers["Location"])
            if _origin(target) != _origin(url):
                given = {}
            if response.status_code not in {307, 308}:
                method, body = "GET", None
            url = target
    raise ReferenceUnavailableError(
        f"{without_secrets(reference.href)} cannot be fetched: more than {MAX_REDIRECTS} redirects"
    )


def with_patience(url: str, attempt: Callable[[], Result]) -> Result:
    """Return what an attempt returns, trying again where that may help.

    Raises
    ------
    ReferenceUnavailableError
        If the last try raises ``TransientError``.
    """
    shown = without_secrets(url)
    try:
        return retry(attempt, TransientError, BACKOFF, tries=TRIES, logger=logger, subject=shown)
    except TransientError as error:
        raise ReferenceUnavailableError(f"{shown} cannot be fetched: {error}") from error


@contextmanager
def transient_errors() -> Iterator[None]:
    """Turn what may break while an answer is read into ``TransientError``."""
    try:
        yield
    except TRANSIENT_ERRORS as error:
        raise TransientError(_reason(error)) from error


def _request(
    session: requests.Session, method: str, url: str, headers: dict[str, str], body: str | None
) -> requests.Response:
    data = None if body is None or method == "GET" else body.encode(errors="surrogateescape")
    try:
        with transient_errors():
            return session.request(
                method,
                url,
                headers=headers,
                data=data,
                stream=True,
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
    except (requests.RequestException, UnicodeError) as error:
        raise ReferenceUnavailableError(
            f"{without_secrets(url)} cannot be fetched: {_reason(error)}"
        ) from error


def _check_status(response: requests.Response) -> None:
    if response.ok:
        return
    answer = f"the server answered {response.status_code} {response.reason}"
    if response.status_code in TRANSIENT_STATUS:
        raise TransientError(answer)
    raise ReferenceUnavailableError(f"{without_secrets(response.url)} cannot be fetched: {answer}")


def _reason(error: Exception) -> str:
    """Say what happened, without the addresses and queries that the libraries quote."""
    if isinstance(error, Timeout):
        return "the server does not answer in time"
    if isinstance(error, ChunkedEncodingError | ContentDecodingError):
        return "the server broke off"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return "the address is not valid"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    try:
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return parts.scheme, None, None


def _session(guard: AddressGuard) -> requests.Session:
    """Return a session that connects by the guard alone.

    It takes nothing from the environment: a proxy would connect for us, unchecked, and passwords
    of ``.netrc`` are not the user's.
    """
    session = requests.Session()
    session.trust_env = False
    adapter = _GuardedAdapter(guard)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _guarded(HTTPConnectionPool, self._guard),
            "https": _guarded(HTTPSConnectionPool, self._guard),
        }


class _GuardedConnection(HTTPConnection):
    guard: AddressGuard

    # NOTE: urllib3 has no public place for this; Host, SNI and the name in the certificate stay
    # those of the address, only the socket is ours.
    def _new_conn(self) -> socket.socket:
        timeout_s = self.timeout if isinstance(self.timeout, int | float) else None
        try:
            connection = self.guard.connect(self._dns_host, self.port, timeout_s)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no answer from {self.host}") from error
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(self, f"no connection to {self.host}: {error}") from error
        for option in self.socket_options or ():
            connection.setsockopt(*option)
        return connection


def _guarded(pool: type[HTTPConnectionPool], guard: AddressGuard) -> type[HTTPConnectionPool]:
    """Return a kind of pool whose connections are made by the guard."""
    bases = (_GuardedConnection, pool.ConnectionCls)
    connection = type("GuardedConnection", bases, {"guard": guard})
    return type("GuardedPool", (pool,), {"ConnectionCls": connection})
