"""gunicorn's worker process: the master replaces it when it dies."""

import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn.workers.base import Worker
from waitress.task import ThreadedTaskDispatcher

from candela.gateway.front.limits import FrontLimits
from candela.gateway.front.listener import Application, Listener
from candela.gateway.front.loop import Loop

TURN_S = 1.0  # at most, of the loop and between looks at deadlines
SPARE_DESCRIPTORS = 512  # of files, databases and map servers
DESCRIPTORS_OF_A_CONNECTION = 3  # with a body and an answer on disk


class Front:
    """The ports of a process, until ``stop``.

    Parameters
    ----------
    application : callable
        A WSGI application.
    public, internal : socket.socket
        What it is asked at; without ``internal`` all is asked at the public one.
    is_reserved : callable
        Tells of a path that it has threads of its own, whatever else is asked.
    """

    def __init__(
        self,
        application: Application,
        public: socket.socket,
        internal: socket.socket | None = None,
        *,
        is_reserved: Callable[[str], bool],
        limits: FrontLimits,
    ) -> None:
        # Of two loops, so that nothing which is sent at one port delays the other.
        self._loops: list[Loop] = []
        self._listeners: list[Listener] = []
        self._pool, self._reserved = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        self._pool.set_thread_count(limits.threads)
        self._reserved.set_thread_count(limits.reserved_threads)
        self._is_stopping = False
        self._sweep_s = min(TURN_S, limits.deadlines.window_s / 2)
        for name, sock in (("public", public), ("internal", internal)):
            if sock is not None:
                loop = Loop()
                listener = Listener(
                    application,
                    sock,
                    loop,
                    port_name=name,
                    pool=self._pool if name == "public" else self._reserved,
                    reserved=self._reserved,
                    is_reserved=is_reserved,
                    limits=limits,
                )
                self._loops.append(loop)
                self._listeners.append(listener)

    def run(self, beat: Callable[[], bool], grace_s: float) -> None:
        """Serve while ``beat`` is true, which is asked at each turn; then end what was begun."""
        others = [
            threading.Thread(target=self._serve, args=(index, lambda: not self._is_stopping))
            for index in range(1, len(self._loops))
        ]
        for thread in others:
            thread.start()
        try:
            self._serve(0, beat)
        finally:
            self._is_stopping = True
            for listener in self._listeners:
                listener.pull_trigger()
            for thread in others:
                thread.join()
            self._finish(grace_s)

    def wake(self) -> None:
        """Have ``beat`` asked now; may be called by a handler of a signal."""
        for listener in self._listeners:
            listener.pull_trigger()

    def _serve(self, index: int, goes_on: Callable[[], bool]) -> None:
        loop, listener = self._loops[index], self._listeners[index]
        swept = time.monotonic()
        while goes_on():
            loop.turn(self._sweep_s)
            if time.monotonic() - swept >= self._sweep_s:
                swept = time.monotonic()
                listener.close_overdue()

    def _finish(self, grace_s: float) -> None:
        deadline = time.monotonic() + grace_s
        for listener in self._listeners:
            listener.stop_accepting()
        while time.monotonic() < deadline and any(each.is_busy for each in self._listeners):
            for loop in self._loops:
                loop.turn(0.02)
        for pool in (self._pool, self._reserved):
            pool.shutdown(timeout=1)
        for listener, loop in zip(self._listeners, self._loops, strict=True):
            listener.close()
            loop.close()


class FrontWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """A worker process of gunicorn that serves by a :class:`Front`."""

    front: Front | None = None

    def run(self) -> None:
        """Serve until the master, or its end, says to stop."""
        limits, is_reserved = self.app.front_options(self.wsgi)
        self.front = Front(
            self.wsgi,
            *(each.sock for each in self.sockets[:2]),
            is_reserved=is_reserved,
            limits=limits,
        )
        self.front.run(self._beat, self.cfg.graceful_timeout - 1.5)

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Stop, after what was begun."""
        super().handle_exit(sig, frame)
        if self.front is not None:
            self.front.wake()

    def _beat(self) -> bool:
        self.notify()
        return bool(self.alive) and os.getppid() == self.ppid


def affordable_connections(wanted: int) -> int:
    """Raise the limit of open files as far as allowed; return how many connections that allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted * DESCRIPTORS_OF_A_CONNECTION + SPARE_DESCRIPTORS
    given = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
    return min(wanted, max(64, (given - SPARE_DESCRIPTORS) // DESCRIPTORS_OF_A_CONNECTION))
