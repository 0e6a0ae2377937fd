"""The server's addresses, and requests to them."""

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from owslib.etree import etree
from owslib.util import ServiceException

from candela.client.errors import (
    InputValueError,
    NotFoundError,
    RequestRefusedError,
    ServerAnswerError,
    ServerUnreachableError,
)

T = TypeVar("T")
FILE_NAME = "/wps"  # what the address of the processing service ends in
CHUNK_BYTES = 2**20


class Server:
    """One server, asked over HTTP.

    Parameters
    ----------
    url : str
        The address of the server, or of its WPS if that ends in ``/wps``; without a scheme it is
        https, but http for this machine, IP addresses and names without a dot.
    endpoint : str, optional
        The address of the WPS, where it ends otherwise.
    timeout_s : float
        How long one answer may take to begin.
    """

    def __init__(self, url: str, *, endpoint: str | None = None, timeout_s: float = 60) -> None:
        address = with_scheme(url).rstrip("/")
        if not address.lower().startswith(("http://", "https://")):
            raise InputValueError(
                f"{url!r} is no address of a server (expected http://... or https://...)"
            )
        if address.lower().endswith(FILE_NAME):
            self.endpoint = endpoint or address
            self.base = address[: -len(FILE_NAME)]
        else:
            self.endpoint = endpoint or address + FILE_NAME
            self.base = address
        self.timeout_s = timeout_s
        self._session = requests.Session()

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the server's address is one of the loopback."""
        host = urlsplit(self.base).hostname or ""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def close(self) -> None:
        """Release the connections."""
        self._session.close()

    def get(self, address: str, **options: Any) -> requests.Response:  # noqa: ANN401
        """Ask for an address; see ``request``."""
        return self.request("GET", address, **options)

    def request(self, method: str, address: str, **options: Any) -> requests.Response:  # noqa: ANN401
        """Send a request, options as for ``requests``.

        Raises
        ------
        ServerUnreachableError
            If there is no answer, or one that says "not now" (HTTP 429 and 5xx).
        NotFoundError
            On HTTP 404.
        RequestRefusedError
            On any other HTTP error.
        """
        with _reachable(self.base):
            answer = self._session.request(method, address, timeout=self.timeout_s, **options)
        if answer.ok:
            return answer
        with answer:
            message, locator = _problem(answer)
        if answer.status_code == 404:
            raise NotFoundError(message)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise ServerUnreachableError(f"{self.base} cannot answer now: {message}")
        raise RequestRefusedError(message, code=f"HTTP {answer.status_code}", locator=locator)

    def json(self, address: str, method: str = "GET", **options: Any) -> Any:  # noqa: ANN401 - JSON
        """Ask for a JSON document.

        Raises
        ------
        ServerAnswerError
            If the answer is no JSON.
        """
        headers = {"Accept": "application/json"}
        with self.request(method, address, headers=headers, **options) as answer:
            try:
                return answer.json()
            except ValueError:
                raise ServerAnswerError(f"{address} does not answer with JSON") from None

    @contextmanager
    def stream(self, address: str) -> Iterator[Iterator[bytes]]:
        """Read a file in chunks."""
        with self.get(address, stream=True) as answer:
            yield self._chunks(answer)

    def _chunks(self, answer: requests.Response) -> Iterator[bytes]:
        with _reachable(self.base):
            yield from answer.iter_content(CHUNK_BYTES)

    def ask_owslib(self, call: Callable[[], T]) -> T:
        """Let OWSLib ask, and turn what it raises into our errors."""
        try:
            with _reachable(self.base):
                return call()
        except ServiceException as error:
            raise refusal_of(str(error)) from None
        except etree.XMLSyntaxError as error:
            raise ServerAnswerError(
                f"{self.endpoint} does not answer with XML, is it a WPS? ({error})"
            ) from None


def with_scheme(address: str) -> str:
    """Return an address with its scheme: http for this machine, IP addresses and plain names."""
    if "://" in address or not address:
        return address
    host = urlsplit(f"//{address}").hostname or ""
    is_near = "." not in host or ":" in host or host.replace(".", "").isdigit()
    return f"{'http' if is_near else 'https'}://{address}"


@contextmanager
def _reachable(base: str) -> Iterator[None]:
    try:
        yield
    except requests.Timeout as error:
        raise ServerUnreachableError(f"{base} does not answer in time: {error}") from error
    except requests.HTTPError as error:
        raise ServerUnreachableError(f"{base} cannot answer now: {error}") from error
    except requests.ConnectionError as error:
        raise ServerUnreachableError(f"{base} cannot be reached; is a server running?") from error
    except requests.RequestException as error:
        raise ServerUnreachableError(f"{base} cannot be asked: {error}") from error


def _problem(answer: requests.Response) -> tuple[str, str]:
    """Return what an error page says, in one line, and what it blames."""
    told: dict[str, Any] = {}
    text = ""
    try:
        problem = answer.json()
    except ValueError:
        if answer.headers.get("Content-Type", "").startswith("text/plain"):
            text = answer.text
    else:
        told = problem if isinstance(problem, dict) else {}
        text = str(told.get("detail") or told.get("title") or "")
    message = " ".join(text.split()) or f"HTTP {answer.status_code} {answer.reason}"
    return message, str(told.get("locator") or "")


def refusal_of(report: str) -> RequestRefusedError:
    """Return the first exception of an ows:ExceptionReport."""
    try:
        root = etree.fromstring(report.encode())
    except etree.XMLSyntaxError:
        return RequestRefusedError(" ".join(report.split())[:500])
    exception = root.find("{*}Exception")
    if exception is None:
        return RequestRefusedError(" ".join(root.itertext()).strip()[:500])
    text = exception.findtext("{*}ExceptionText") or ""
    return RequestRefusedError(
        text.strip() or str(exception.get("exceptionCode")),
        code=exception.get("exceptionCode") or "",
        locator=exception.get("locator") or "",
    )
