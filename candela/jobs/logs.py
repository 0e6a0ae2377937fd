"""What users see of a job's log: what their job did, not what it stands on.

The log itself, in storage, is the operator's. Left out here are tracebacks, folders of this
machine, addresses that are not public, passwords and queries in addresses, and what storage and
network say when they fail.
"""

import ipaddress
import re
from collections.abc import Iterator

from candela.contract.addresses import is_public

TAIL_LINES = 20
TAIL_LENGTH = 4000
HIDDEN = "(for the operator)"

_RECORD = re.compile(r"(\d{4}-\d\d-\d\d [\d:,]+ ([A-Z]+) \[[^\]]*\] ([\w.]+): )(.*)")
_ENDED = re.compile(r"Attempt \d+ has ended: ")
_TRACEBACK = "Traceback (most recent call last):"
_INTERNAL = re.compile(r"(__main__|candela\.(contract|storage)|bot|boto|url)")
_PATH = re.compile(r"(?<![\w:/.])(?:/[\w.+@%~-]+)+/(?=[\w.+@%~-])")
_SECRET = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(\w://[^\s?#'\"<>]*)[?#][^\s'\"<>]*")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b(:\d+)?")


def public_log(text: str) -> str:
    """Return a log as its user may see it."""
    return "".join(f"{line}\n" for line in _shown(text.splitlines()))


def without_folders(text: str) -> str:
    """Return a text with the names of files alone, as a library's message seldom has them."""
    return _PATH.sub(".../", text)


def tail(text: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(text.splitlines()[-TAIL_LINES:])[-TAIL_LENGTH:]


def _shown(lines: list[str]) -> Iterator[str]:
    is_traceback = False
    for line in lines:
        record = _RECORD.match(line)
        if record is not None or _ENDED.match(line):
            is_traceback = False
        elif line.startswith(_TRACEBACK):
            if not is_traceback:
                yield HIDDEN
            is_traceback = True
        if is_traceback:
            continue
        if record is not None and record[2] not in {"INFO", "DEBUG"} and _INTERNAL.match(record[3]):
            yield record[1] + HIDDEN
        else:
            yield _clean(line)


def _clean(line: str) -> str:
    line = _QUERY.sub(r"\1", _SECRET.sub("", without_folders(line)))
    return _ADDRESS.sub(lambda found: found[0] if _is_public(found[0]) else "(address)", line)


def _is_public(address: str) -> bool:
    try:
        return is_public(ipaddress.ip_address(address.partition(":")[0]))
    except ValueError:
        return True  # no address, such as a version
