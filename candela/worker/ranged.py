"""Files elsewhere, of which only the parts that are read are fetched."""

import io
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from candela.contract.addresses import AddressGuard
from candela.contract.job import Reference
from candela.storage import Storage
from candela.worker.web import TransientError, ask, transient_errors, with_patience

PIECE_BYTES = 2**16  # the header of most images is in the first
KEPT_PIECES = 64
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")

ReadPiece = Callable[[int], bytes]  # by number, from 0


class RangedFile(io.RawIOBase):
    """A binary file that is fetched piece by piece.

    Parameters
    ----------
    size : int
        Number of bytes.
    read_piece : callable
        Returns a piece of ``PIECE_BYTES`` (the last one may be shorter) by its number.
    """

    def __init__(self, size: int, read_piece: ReadPiece) -> None:
        self._size = size
        self._read_piece = read_piece
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; see ``io.IOBase.seek``."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return as many bytes as asked for; less at the end of the file only."""
        end = self._size if size < 0 else min(self._position + size, self._size)
        parts = []
        while self._position < end:
            number, start = divmod(self._position, PIECE_BYTES)
            part = self._read_piece(number)[start : start + end - self._position]
            if not part:
                raise OSError("the file became shorter while it was read")
            parts.append(part)
            self._position += len(part)
        return b"".join(parts)


class StoredContent:
    """Opens a file of a storage.

    Raises
    ------
    NotFoundError
        If there is no such file.
    """

    def __init__(self, storage: Storage, key: str) -> None:
        self._size = storage.size(key)
        self._read_piece: ReadPiece = lru_cache(KEPT_PIECES)(
            lambda number: b"".join(
                storage.open(key, number * PIECE_BYTES, (number + 1) * PIECE_BYTES)
            )
        )

    def __call__(self) -> BinaryIO:
        """Open it."""
        return cast(BinaryIO, RangedFile(self._size, self._read_piece))


class WebContent:
    """Opens a file of a web server; nothing is asked for before.

    Parameters
    ----------
    reference : Reference
        An http(s) address.
    guard : AddressGuard
        Says what may be asked.
    fetch_whole : callable
        Fetches the whole file: is called if the server gives no parts.
    """

    def __init__(
        self, reference: Reference, guard: AddressGuard, fetch_whole: Callable[[], Path]
    ) -> None:
        self._reference = reference
        self._guard = guard
        self._fetch_whole = lru_cache(1)(fetch_whole)
        self._gives_parts = True
        self._size = 0
        self._read_piece: ReadPiece = lru_cache(KEPT_PIECES)(self._fetch)

    def __call__(self) -> BinaryIO:
        """Open it.

        Raises
        ------
        ReferenceUnavailableError, TooLargeError
            If it cannot be had.
        """
        try:
            if self._gives_parts:
                self._read_piece(0)
        except _NoRangesError:
            self._gives_parts = False
        if not self._gives_parts:
            return self._fetch_whole().open("rb")
        return cast(BinaryIO, RangedFile(self._size, self._read_piece))

    def _fetch(self, number: int) -> bytes:
        return with_patience(self._reference.href, lambda: self._ask(number * PIECE_BYTES))

    def _ask(self, start: int) -> bytes:
        headers = {"Range": f"bytes={start}-{start + PIECE_BYTES - 1}"}
        with ask(self._reference, self._guard, headers) as response:
            told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if response.status_code != 206 or told is None:
                raise _NoRangesError
            first, last, self._size = (int(number) for number in told.groups())
            content = b""
            with transient_errors():
                for part in response.iter_content(PIECE_BYTES):
                    content += part
                    if len(content) >= PIECE_BYTES:
                        break
        if first != start or len(content) != last + 1 - first:
            raise TransientError("the server sent another part than asked for")
        return content


class _NoRangesError(Exception):
    """The server gives its file only whole."""
