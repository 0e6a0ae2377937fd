"""Large bodies one after the other: what a document becomes in memory is several times its size.

Those that wait are on disk and hold no thread.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

RELEASE = "candela.release"  # in the WSGI environment: say that a large body is needed no more
MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE_BYTES = 2**20


class Turns:
    """One large request at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[Callable[[], None]] = deque()

    def ask(self, start: Callable[[], None]) -> None:
        """Call ``start`` when it is this one's turn, which lasts until ``release``."""
        with self._lock:
            if self._is_taken:
                self._waiting.append(start)
                return
            self._is_taken = True
        start()

    def release(self) -> None:
        """Let the next one begin."""
        with self._lock:
            following = self._waiting.popleft() if self._waiting else None
            self._is_taken = following is not None
        if following is not None:
            following()


def release_large_body(environment: dict[str, Any]) -> None:
    """Let the next large request begin, while this one goes on without its body."""
    release: Callable[[], None] | None = environment.get(RELEASE)
    if release is not None:
        release()


def give_back_large_blocks() -> None:
    """Have this process give large blocks of memory back to the system as soon as they are free.

    glibc raises the size from which it does so, up to 32 MiB, each time a larger one is freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE_BYTES // 4)
