"""An event loop whose turn costs what happens in it, not how many connections there are.

waitress asks all of its connections at each turn what they wait for. Here a connection is asked
again after something happened to it: an event, or a call of ``touch``.
"""

import select
from collections import deque
from typing import Any

from waitress import wasyncore


class Loop(dict[int, Any]):
    """The sockets of waitress (its ``map``) by file descriptor."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._flags: dict[int, int] = {}  # of those that epoll knows
        self._touched: deque[int] = deque()

    def __setitem__(self, descriptor: int, watched: Any) -> None:  # noqa: ANN401 - of waitress
        super().__setitem__(descriptor, watched)
        self._touched.append(descriptor)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        if self._flags.pop(descriptor, 0):
            self._epoll.unregister(descriptor)

    def touch(self, descriptor: int | None) -> None:
        """Ask a socket again what it waits for; any thread may say so."""
        if descriptor is not None:
            self._touched.append(descriptor)

    def turn(self, timeout_s: float) -> None:
        """Wait for events, and let the sockets handle them."""
        while self._touched:
            self._follow(self._touched.popleft())
        for descriptor, flags in self._epoll.poll(timeout_s):
            watched = self.get(descriptor)
            if watched is not None:
                wasyncore.readwrite(watched, flags)
                self._touched.append(descriptor)

    def close(self) -> None:
        """Close all sockets."""
        wasyncore.close_all(self, ignore_all=True)
        self._epoll.close()

    def _follow(self, descriptor: int) -> None:
        watched = self.get(descriptor)
        if watched is None:
            return
        flags = select.EPOLLIN | select.EPOLLPRI if watched.readable() else 0
        if watched.writable() and not watched.accepting:
            flags |= select.EPOLLOUT
        before = self._flags.get(descriptor, 0)
        if flags == before:
            return
        # NOTE: one that waits for nothing is unknown to epoll, which would tell again and again
        # that a client has gone whose request is worked on.
        if not flags:
            self._epoll.unregister(descriptor)
        elif before:
            self._epoll.modify(descriptor, flags)
        else:
            self._epoll.register(descriptor, flags)
        self._flags[descriptor] = flags
