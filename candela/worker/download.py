"""Fetch inputs over HTTP."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, Timeout

from candela.eo.progress import Progress
from candela.errors import ReferenceUnavailableError, TooLargeError
from candela.worker.addresses import check_address
from candela.worker.contract import Reference
from candela.worker.names import address_name, disposition_name, safe_name, without_secrets

logger = logging.getLogger(__name__)

WAITS_S = (0.5, 2.0, 8.0)  # before the second, third and fourth try
TIMEOUT_S = (10.0, 60.0)  # to connect, between two pieces
TOTAL_S = 3600.0  # for one file
PIECE_BYTES = 2**20
MAX_REDIRECTS = 10
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
TRANSIENT_ERRORS = (
    requests.ConnectionError,
    Timeout,
    ChunkedEncodingError,
    ContentDecodingError,
)


class _TransientError(Exception):
    """Trying again may help."""


def fetch(
    reference: Reference,
    folder: Path,
    *,
    suffix: str,
    max_bytes: int,
    progress: Progress,
) -> Path:
    """Fetch a file into a folder, under the name its server gives it.

    Parameters
    ----------
    reference : Reference
        An http(s) address, with method, headers and body.
    folder : Path
        Where the file is put; empty.
    suffix : str
        What the name gets if it has none.
    max_bytes : int
        Upper limit of the file's size.
    progress : Progress
        Is told how much has come.

    Raises
    ------
    ReferenceUnavailableError
        If the file cannot be had, also not after some tries.
    TooLargeError
        If the file is above the limit.
    """
    shown = without_secrets(reference.href)
    for wait_s in (*WAITS_S, None):
        try:
            with _answer(reference) as response:
                path = folder / _name(response, reference.href, suffix)
                _save(response, path, max_bytes, _told(progress, path.name))
        except _TransientError as error:
            if wait_s is None:
                raise ReferenceUnavailableError(f"{shown} cannot be fetched: {error}") from error
            logger.info("%s: %s; next try in %s s", shown, error, wait_s)
            time.sleep(wait_s)
        else:
            logger.info("Fetched %s: %s bytes as %s", shown, path.stat().st_size, path.name)
            return path
    raise AssertionError("the last try returns or raises")


@contextmanager
def _answer(reference: Reference) -> Iterator[requests.Response]:
    """Ask for the file, and follow redirects ourselves: each address is checked."""
    url, method, body = reference.href, reference.method, reference.body
    headers = {"Accept-Encoding": "identity", **reference.headers}
    if method == "POST" and reference.type is None:
        headers.setdefault("Content-Type", "text/xml")
    with requests.Session() as session:
        for _ in range(MAX_REDIRECTS + 1):
            check_address(url)
            response = _ask(session, method, url, headers, body)
            if not response.is_redirect:
                with response:
                    _check_status(response)
                    yield response
                return
            target = urljoin(url, response.headers["Location"])
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {"Accept-Encoding": "identity"}  # the user's may hold a password
            if response.status_code not in {307, 308}:
                method, body = "GET", None
            url = target
    raise ReferenceUnavailableError(
        f"{without_secrets(reference.href)} cannot be fetched: more than {MAX_REDIRECTS} redirects"
    )


def _ask(
    session: requests.Session, method: str, url: str, headers: dict[str, str], body: str | None
) -> requests.Response:
    data = None if body is None or method == "GET" else body.encode()
    try:
        return session.request(
            method,
            url,
            headers=headers,
            data=data,
            stream=True,
            timeout=TIMEOUT_S,
            allow_redirects=False,
        )
    except TRANSIENT_ERRORS as error:
        raise _TransientError(_reason(error)) from error
    except (requests.RequestException, UnicodeError) as error:
        raise ReferenceUnavailableError(
            f"{without_secrets(url)} cannot be fetched: {_reason(error)}"
        ) from error


def _check_status(response: requests.Response) -> None:
    if response.ok:
        return
    answer = f"the server answered {response.status_code} {response.reason}"
    if response.status_code in TRANSIENT_STATUS:
        raise _TransientError(answer)
    raise ReferenceUnavailableError(f"{without_secrets(response.url)} cannot be fetched: {answer}")


def _reason(error: Exception) -> str:
    """Say what happened, without the addresses and queries that the libraries quote."""
    if isinstance(error, Timeout):
        return "the server does not answer in time"
    if isinstance(error, ChunkedEncodingError | ContentDecodingError):
        return "the server broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return "the address is not valid"


def _name(response: requests.Response, href: str, suffix: str) -> str:
    """Return the product's own name: told by the server, else in the address."""
    told = disposition_name(response.headers.get("Content-Disposition", ""))
    first, last = address_name(href), address_name(response.url)
    asked = first if "." in first or "." not in last else last
    name = safe_name(told or asked, "input")
    return name if "." in name else name + suffix


def _save(response: requests.Response, path: Path, max_bytes: int, told: Progress) -> None:
    declared = int(response.headers.get("Content-Length") or 0)
    _check_size(path.name, declared, max_bytes)
    end, count = time.monotonic() + TOTAL_S, 0
    try:
        with path.open("wb") as file:
            for piece in response.iter_content(PIECE_BYTES):
                count += len(piece)
                _check_size(path.name, count, max_bytes)
                if time.monotonic() > end:
                    raise ReferenceUnavailableError(
                        f"{path.name} has not come within {TOTAL_S:.0f} s"
                    )
                file.write(piece)
                told(100 * count / declared if declared else 0, f"{count / 1e6:.0f} MB")
    except TRANSIENT_ERRORS as error:
        raise _TransientError(_reason(error)) from error


def _check_size(name: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLargeError(f"{name} has {size} bytes or more, at most {max_bytes} are allowed")


def _told(progress: Progress, name: str) -> Progress:
    def report(percent: float, message: str) -> None:
        share = f" ({percent:.0f} %)" if percent else ""
        progress(0, f"fetching {name}: {message}{share}")

    return report
