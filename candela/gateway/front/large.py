"""Large bodies one after the other: what a document becomes in memory is several times its size.

Those that wait are on disk and hold no thread.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from candela.memory import give_back

RELEASE = "candela.release"  # in the WSGI environment: say that a large body is needed no more
LARGE_BYTES = 2**18  # 64 threads parse as much at the same time


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
        """Let the next one begin, in the memory that this one took."""
        give_back()
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
