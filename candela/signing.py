"""The key that signs the tokens of workers: made once, kept in a file of the data folder."""

import os
import secrets
import uuid
from contextlib import suppress
from pathlib import Path

MINIMUM_BYTES = 32  # of a key: 256 bits as hexadecimal digits have 64


def kept_key(path: Path) -> bytes:
    """Return the key in a file; a new one is made where there is no file.

    The file appears with all of its content, on disk: gateways that start together agree on one
    key, and a kill or a full disk leaves no empty file.

    Raises
    ------
    OSError
        If the file can neither be read nor be made.
    """
    with suppress(FileNotFoundError):
        return path.read_bytes().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.parent / f".{path.name}-{uuid.uuid4().hex}"
    try:
        with os.fdopen(
            os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
        ) as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another gateway was faster: its key counts
            path.hardlink_to(unfinished)
    finally:
        unfinished.unlink(missing_ok=True)
    return path.read_bytes().strip()
