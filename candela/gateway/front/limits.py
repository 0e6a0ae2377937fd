"""How long a client may take, and how many bytes are kept for all clients together."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from candela.gateway.front.large import Turns

MEBIBYTE = 2**20
THREADS = 64  # for requests; see WAITING_SYNC, WAITING_GRACE, PLACES, and READERS below
RESERVED_THREADS = 24  # for workers, probes and metrics, of them HELD for warm pods
READERS = 16


@dataclass(frozen=True)
class Deadlines:
    """What a client that is slow may take, in seconds.

    Attributes
    ----------
    headers_s : float
        From the first byte of a request (of a new connection: from its beginning) to the end of
        its headers.
    idle_s : float
        Between two requests. Longer than a reverse proxy keeps connections (nginx: 60 s), so that
        it is the proxy that closes them.
    window_s, bytes_per_s : float, int
        A body that arrives, and an answer that waits for its reader, must move on by so many bytes
        a second, averaged over each window.
    linger_s : float
        After an answer that is the last one: so that the client reads it, who may still send.
    """

    headers_s: float = 20
    idle_s: float = 75
    window_s: float = 30
    bytes_per_s: int = 4096
    linger_s: float = 5


class Budget:
    """Bytes that are kept for clients: bodies of requests, and answers that wait for readers."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._lock = threading.Lock()

    @property
    def is_exhausted(self) -> bool:
        """Whether there is no room for another byte."""
        return self.taken >= self.size

    def take(self, count: int) -> bool:
        """Take room for some bytes; return whether there was."""
        with self._lock:
            if self.taken + count > self.size:
                return False
            self.taken += count
            return True

    def move(self, count: int) -> None:
        """Take or (if negative) give back room, there or not."""
        with self._lock:
            self.taken += count


class Places:
    """How many threads may wait for readers of their answers."""

    def __init__(self, count: int) -> None:
        self._places = threading.BoundedSemaphore(count)

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Take a place, if there is one."""
        has_place = self._places.acquire(blocking=False)
        try:
            yield has_place
        finally:
            if has_place:
                self._places.release()


@dataclass(frozen=True)
class FrontLimits:
    """What the front allows.

    Attributes
    ----------
    body_bytes : int
        The largest body of a request.
    header_bytes : int
        The request line and the headers; Execute by key-value pairs has addresses of 64 KiB.
    memory_bytes : int
        What is larger is kept on disk.
    answer_bytes : int
        How far an answer that is made while it is sent may be ahead of its reader.
    connections : int
        At the same time; of more, those are closed that have waited for their client longest.
    """

    body_bytes: int
    header_bytes: int = 128 * 1024
    memory_bytes: int = MEBIBYTE // 2
    answer_bytes: int = 16 * MEBIBYTE
    connections: int = 4096
    threads: int = THREADS
    reserved_threads: int = RESERVED_THREADS
    deadlines: Deadlines = Deadlines()
    budget: Budget = field(default_factory=lambda: Budget(1024 * MEBIBYTE))
    turns: Turns = field(default_factory=Turns)
    readers: Places = field(default_factory=lambda: Places(READERS))
