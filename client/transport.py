"""HTTP to a server: the only module of the client that opens connections.

Base address, credentials, certificates, time limits and retries stand here, for jobs, uploads,
outputs, layers and patches alike.
"""

import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from owslib.etree import etree
from owslib.util import Authentication, ServiceException, build_get_url
from requests.auth import AuthBase

from candela.client.credentials import Credentials, header_fields, without_user
from candela.client.errors import InputValueError, ServerAnswerError, ServerUnreachableError
from candela.client.problems import error_of, read_problem, refuse_report

T = TypeVar("T")
CHUNK_BYTES = 2**20
RETRIES = 3
FIRST_PAUSE_S = 0.3  # before the first retry; twice as long before each further one
LONGEST_PAUSE_S = 30.0  # a longer Retry-After is left to the caller
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110, 9.2.2
IDEMPOTENCY_KEY = "Idempotency-Key"
NOT_NOW = frozenset({429, 502, 503, 504})


class Transport:
    """Sends requests to one server.

    Parameters
    ----------
    url : str
        The address of the server; without a scheme it is https, but http for this machine, IP
        addresses and names without a dot. ``user:password@`` in it are taken as ``auth``.
    auth : tuple of str, optional
        User and password (HTTP Basic).
    token : str, optional
        A bearer token.
    headers : mapping, optional
        Header fields that the server wants; they are secret, too.
    trusted : sequence of str
        Addresses beside ``url`` whose origins get the credentials.
    verify : bool or Path
        Whether the server's certificate is checked; or a file of the authorities to check it by.
    timeout_s : float
        How long an answer may take to begin.
    retries : int
        How often a request is repeated that may be (GET and other idempotent methods, and what
        carries an idempotency key), when there is no answer, or one that says "not now".
    """

    def __init__(
        self,
        url: str,
        *,
        auth: tuple[str, str] | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        trusted: tuple[str, ...] = (),
        verify: bool | Path | str = True,
        timeout_s: float = 60,
        retries: int = RETRIES,
    ) -> None:
        address, user = without_user(with_scheme(url).rstrip("/"))
        if not address.lower().startswith(("http://", "https://")):
            raise InputValueError(
                f"{address!r} is no address of a server (expected http://... or https://...)"
            )
        self.base = address
        self.timeout_s = timeout_s
        self._retries = retries
        self._verify = verify if isinstance(verify, bool) else str(verify)
        self._credentials = Credentials(
            header_fields(auth or user, token, headers), (address, *trusted)
        )
        self._session = requests.Session()
        if self._credentials:  # without, requests looks into ~/.netrc
            self._session.auth = _HeaderFields(self._credentials)

    def __repr__(self) -> str:
        return f"<Transport to {self.base}>"

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
            On HTTP 404 and 410.
        AccessDeniedError
            On HTTP 401 and 403.
        RequestRefusedError
            On any other HTTP error.
        """
        headers = options.get("headers") or {}
        retries = self._retries if method in IDEMPOTENT or IDEMPOTENCY_KEY in headers else 0
        for attempt in range(retries + 1):
            pause_s = FIRST_PAUSE_S * 2**attempt
            try:
                with self._answering():
                    answer = self._session.request(
                        method, address, timeout=self.timeout_s, verify=self._verify, **options
                    )
            except ServerUnreachableError as error:
                # A server that is silent for so long would cost the same time again.
                if attempt == retries or isinstance(error.__cause__, requests.Timeout):
                    raise
            else:
                asked_s = _retry_after_s(answer)
                if (
                    answer.status_code not in NOT_NOW
                    or attempt == retries
                    or asked_s > LONGEST_PAUSE_S
                ):
                    return self._fulfilled(answer)
                answer.close()
                pause_s = max(pause_s, asked_s)
            time.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _fulfilled(self, answer: requests.Response) -> requests.Response:
        if answer.ok:
            return answer
        with answer, self._answering():
            problem = read_problem(answer.content, answer.headers.get("Content-Type", ""))
        error = error_of(answer.status_code, answer.reason, problem, base=self.base)
        if isinstance(error, ServerUnreachableError):
            error.retry_after_s = _retry_after_s(answer) or None
        raise error

    def json(self, address: str, method: str = "GET", **options: Any) -> Any:  # noqa: ANN401 - JSON
        """Ask for a JSON document.

        Raises
        ------
        ServerAnswerError
            If the answer is no JSON.
        """
        headers = {"Accept": "application/json"} | (options.pop("headers", None) or {})
        with self.request(method, address, headers=headers, **options) as answer:
            try:
                return answer.json()
            except ValueError:
                raise ServerAnswerError(f"{address} does not answer with JSON") from None

    def xml(self, address: str, method: str = "GET", **options: Any) -> Any:  # noqa: ANN401 - lxml
        """Ask for an XML document, and return its root element.

        Raises
        ------
        ServerAnswerError
            If the answer is no XML.
        """
        with self.request(method, address, **options) as answer, self._answering():
            content = answer.content
        try:
            return etree.fromstring(content)
        except etree.XMLSyntaxError as error:
            raise ServerAnswerError(
                f"{address} does not answer with XML, is it a WPS? ({error})"
            ) from None

    @contextmanager
    def stream(self, address: str) -> Iterator[Iterator[bytes]]:
        """Read a file in chunks."""
        with self.get(address, stream=True) as answer:
            yield self._chunks(answer)

    def _chunks(self, answer: requests.Response) -> Iterator[bytes]:
        with self._answering():
            yield from answer.iter_content(CHUNK_BYTES)

    def for_gdal(self, address: str) -> tuple[str, dict[str, str]]:
        """Return where GDAL finds a file, and the options that it opens it with.

        GDAL opens connections of its own, and keeps the options of a file while it is open.

        Raises
        ------
        ServerUnreachableError, NotFoundError, AccessDeniedError
            As from ``request``: the first byte is asked for here.
        """
        # NOTE: GDAL would carry headers on to another origin, and it remembers what it was refused.
        with self.get(address, headers={"Range": "bytes=0-0"}, stream=True) as answer:
            place = answer.url if self._credentials.fields_for(address) else address
        options = {
            "GDAL_HTTP_MAX_RETRY": str(self._retries),
            "GDAL_HTTP_RETRY_DELAY": str(FIRST_PAUSE_S),
        }
        settings = self._session.merge_environment_settings(place, {}, True, self._verify, None)
        if settings["verify"] is False:
            options["GDAL_HTTP_UNSAFESSL"] = "YES"
        elif isinstance(settings["verify"], str):
            options["GDAL_CURL_CA_BUNDLE"] = settings["verify"]
        if fields := self._credentials.fields_for(place):
            options["GDAL_HTTP_HEADERS"] = ",".join(
                _quoted(f"{name}: {value}") for name, value in fields.items()
            )
        return place, options

    def service(self, kind: Callable[..., T], name: str, address: str, version: str) -> T:
        """Return a service of OWSLib, such as ``WebMapService``, with these credentials.

        Parameters
        ----------
        kind : callable
            OWSLib's class, or the function that makes one.
        name : str
            The service, such as ``WMS``.
        address, version : str
            Where it is, and the version to speak.
        """
        query = {"service": name, "version": version, "request": "GetCapabilities"}
        root = self.xml(build_get_url(address, query, overwrite=True))
        refuse_report(root)
        capabilities = etree.tostring(root)
        # NOTE: these services open connections of their own later (getmap, getfeature ...).
        auth = Authentication(verify=self._verify)
        if self._credentials:
            auth = Authentication(
                verify=self._verify, auth_delegate=_HeaderFields(self._credentials)
            )
        try:
            return kind(address, version, capabilities, auth=auth, timeout=self.timeout_s)
        except ServiceException as error:
            raise ServerAnswerError(f"{address} is no {name}: {error}") from None

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what ``requests`` raises into our errors."""
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise ServerUnreachableError(
                f"the certificate of {self.base} cannot be trusted: {_reason(error)}"
            ) from error
        except requests.Timeout as error:
            raise ServerUnreachableError(f"{self.base} does not answer in time: {error}") from error
        except requests.ConnectionError as error:
            raise ServerUnreachableError(
                f"{self.base} cannot be reached; is a server running?"
            ) from error
        except requests.RequestException as error:
            raise ServerUnreachableError(f"{self.base} cannot be asked: {error}") from error


class _HeaderFields(AuthBase):
    """Adds credentials to a request, and takes them away when it is sent on to another origin."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._credentials.fields_for(request.url or ""))
        request.register_hook("response", self._before_redirect)  # type: ignore[no-untyped-call]
        return request

    def _before_redirect(self, answer: requests.Response, **_: object) -> None:
        # NOTE: requests copies the headers of this request for the next one after the hooks.
        if answer.is_redirect:
            target = urljoin(answer.url, answer.headers["Location"])
            if not self._credentials.fields_for(target):
                for name in self._credentials.names:
                    answer.request.headers.pop(name, None)


def with_scheme(address: str) -> str:
    """Return an address with its scheme: http for this machine, IP addresses and plain names."""
    if "://" in address or not address:
        return address
    host = urlsplit(f"//{address}").hostname or ""
    is_near = "." not in host or ":" in host or host.replace(".", "").isdigit()
    return f"{'http' if is_near else 'https'}://{address}"


def _quoted(text: str) -> str:
    """Quote a header field for GDAL's list of them."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def _retry_after_s(answer: requests.Response) -> float:
    """Return how long a server asks to wait (RFC 9110, 10.2.3); 0 if it does not ask."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


def _reason(error: Exception) -> str:
    """Return the sentence of TLS among the wrappings of its error."""
    inner: Any = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)
    return str(getattr(inner, "verify_message", "") or inner)
