"""Keys under which the same request is the same job, today and after an interruption."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from candela.client.descriptions import ProcessDescription
from candela.client.inputs import Content, Reference

LENGTH = 48  # of the 64 letters of a SHA-256


def request_key(process: ProcessDescription, encoded: Sequence[tuple[str, Any]]) -> str:
    """Return a key that is equal for equal requests to one version of a process.

    The key of a local file is of its path, size and time of change.

    Parameters
    ----------
    process : ProcessDescription
    encoded : sequence
        The inputs, as ``encode_inputs`` makes them.
    """
    inputs = [(name, _fingerprint(value)) for name, value in encoded]
    request = [process.identifier, process.version, inputs]
    return hashlib.sha256(json.dumps(request).encode()).hexdigest()[:LENGTH]


def _fingerprint(value: Any) -> list[object]:  # noqa: ANN401 - OWSLib has no types
    if isinstance(value, str):
        return ["literal", value]
    if isinstance(value, Reference):
        return ["reference", value.href, *_state(value.href)]
    if isinstance(value, Content):
        data = value.data.encode() if isinstance(value.data, str) else value.data
        return ["content", hashlib.sha256(data).hexdigest()]
    return ["box", *value.lower_corner, *value.upper_corner, value.crs]


def _state(href: str) -> tuple[int, ...]:
    path = Path(unquote(urlsplit(href).path))
    if not href.lower().startswith("file:") or not path.is_file():
        return ()
    state = path.stat()
    return state.st_size, state.st_mtime_ns
