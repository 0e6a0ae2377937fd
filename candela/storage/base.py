"""What CANDELA asks of a storage, be it a folder or a bucket."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from candela.errors import StorageError


def untold(_count: int) -> None:
    """Take no note of what has come."""


class Storage(Protocol):
    """Files by key (``jobs/<id>/outputs/image.tif``); a reader never sees half a file.

    All methods raise ``StorageError`` where the storage does not work or a key is not valid,
    and ``NotFoundError`` where a key that is read does not exist.
    """

    @property
    def url(self) -> str:
        """The URL that ``open_storage`` makes the same storage of."""

    def write(self, key: str, content: bytes) -> None:
        """Store a small file."""

    def put(self, key: str, path: Path) -> None:
        """Store a file of any size; afterwards ``path`` may be gone, or be the stored file."""

    def join(self, key: str, parts: Sequence[str]) -> None:
        """Store what several files hold, one after the other; but the last have 5 MiB or more."""

    def read(self, key: str) -> bytes:
        """Return a small file."""

    def open(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Return the bytes from ``start`` to before ``stop``, in pieces."""

    def fetch(self, key: str, path: Path, told: Callable[[int], None] = untold) -> None:
        """Copy a file to a path; ``told``, by any thread, how many bytes have come since last."""

    def size(self, key: str) -> int:
        """Return the number of bytes."""

    def etag(self, key: str) -> str:
        """Return a word (without quotes) that differs when the content does."""

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""

    def list(self, prefix: str) -> tuple[str, ...]:
        """Return the keys of all files below a folder, sorted; none if there is no folder."""

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the names of the folders right below a folder, sorted."""

    def changed(self, prefix: str) -> float:
        """Return when a folder, or a file below it, last changed (seconds since the epoch)."""

    def sweep(self, before: float, spare: Callable[[str], bool]) -> tuple[str, ...]:
        """Remove what writes that never ended have left, begun before a time; say what it was.

        Parameters
        ----------
        before : float
            Seconds since the epoch.
        spare : callable
            Tells by the key, where it is known, what is to stay.
        """

    def delete(self, prefix: str) -> None:
        """Remove a file, or a folder with all that is below; nothing there is no error."""

    def is_lost(self) -> bool:
        """Whether it is another storage than the one that was opened; cheap enough for each job."""

    def local_path(self, key: str) -> Path | None:
        """Return where the file is, or would be, on this machine's disk; None if never there."""


def checked_key(key: str) -> str:
    """Return the key if it is one: plain names, joined by ``/``.

    Raises
    ------
    StorageError
        If it is empty, absolute, or has empty parts, ``.``, ``..``, backslashes or control
        characters.
    """
    parts = key.split("/")
    if any(part in {"", ".", ".."} for part in parts) or any(
        character == "\\" or not character.isprintable() for character in key
    ):
        raise StorageError(f"{key!r} is no valid storage key")
    return key
