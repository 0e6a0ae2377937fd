"""Fetch inputs over HTTP."""

import logging
import time
from pathlib import Path

import requests

from candela.contract.addresses import AddressGuard
from candela.contract.job import Reference
from candela.contract.names import address_name, disposition_name, safe_name, without_secrets
from candela.eo.progress import Progress
from candela.errors import ReferenceUnavailableError, TooLargeError
from candela.worker.web import ask, transient_errors, with_patience

logger = logging.getLogger(__name__)

TOTAL_S = 3600.0  # for one file
PIECE_BYTES = 2**20


def fetch(
    reference: Reference,
    folder: Path,
    *,
    guard: AddressGuard,
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
    guard : AddressGuard
        Says what may be asked.
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

    def attempt() -> Path:
        with ask(reference, guard) as response:
            path = folder / _name(response, reference.href, suffix)
            _save(response, path, max_bytes, _reporting(progress, path.name))
        return path

    path = with_patience(reference.href, attempt)
    shown = without_secrets(reference.href)
    logger.info("Fetched %s: %s bytes as %s", shown, path.stat().st_size, path.name)
    return path


def _name(response: requests.Response, href: str, suffix: str) -> str:
    """Return the product's own name: told by the server, else in the address."""
    told = disposition_name(response.headers.get("Content-Disposition", ""))
    first, last = address_name(href), address_name(response.url)
    asked = first if "." in first or "." not in last else last
    name = safe_name(told or asked, "input")
    return name if "." in name else name + suffix


def _save(response: requests.Response, path: Path, max_bytes: int, told: Progress) -> None:
    length = response.headers.get("Content-Length", "")
    declared = int(length) if length.isdecimal() else 0
    _check_size(path.name, declared, max_bytes)
    end, count = time.monotonic() + TOTAL_S, 0
    with transient_errors(), path.open("wb") as file:
        for piece in response.iter_content(PIECE_BYTES):
            count += len(piece)
            _check_size(path.name, count, max_bytes)
            if time.monotonic() > end:
                raise ReferenceUnavailableError(f"{path.name} has not come within {TOTAL_S:.0f} s")
            file.write(piece)
            told(100 * count / declared if declared else 0, f"{count / 1e6:.0f} MB")


def _check_size(name: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLargeError(f"{name} has {size} bytes or more, at most {max_bytes} are allowed")


def _reporting(progress: Progress, name: str) -> Progress:
    def report(percent: float, message: str) -> None:
        share = f" ({percent:.0f} %)" if percent else ""
        progress(0, f"fetching {name}: {message}{share}")

    return report
