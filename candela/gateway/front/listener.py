"""A port: takes connections, hands requests to threads, and closes what takes too long."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from candela.gateway.front.channel import Channel
from candela.gateway.front.large import LARGE_BYTES
from candela.gateway.front.limits import FrontLimits
from candela.gateway.front.loop import Loop

logger = logging.getLogger(__name__)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
ACCEPTED_AT_ONCE = 64
DROPPED_AT_ONCE = 64
# The memory of sockets counts as the gateway's: little of what a reader has not read is kept there.
SOCKET_OPTIONS = [
    (socket.SOL_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024),  # Linux takes twice that
]
CHUNKED = 8  # times the size of its content, at most, is a body in chunks


class Tuning(Adjustments):  # type: ignore[misc]  # waitress has no types
    """waitress's settings, and what we allow."""

    def __init__(self, limits: FrontLimits) -> None:
        self.limits = limits
        super().__init__(
            max_request_body_size=CHUNKED * limits.body_bytes,  # of less, see Request
            max_request_header_size=limits.header_bytes,
            inbuf_overflow=limits.memory_bytes,
            outbuf_overflow=limits.memory_bytes,
            outbuf_high_watermark=limits.answer_bytes,
            connection_limit=limits.connections,
            recv_bytes=64 * 1024,
            log_socket_errors=False,
            ident=None,
        )
        self.socket_options = SOCKET_OPTIONS


class Listener(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """A port.

    Parameters
    ----------
    application : callable
        A WSGI application; it finds ``port_name`` in its environment.
    sock : socket.socket
        That is bound.
    pool : ThreadedTaskDispatcher
        The threads that requests are worked on in.
    reserved : ThreadedTaskDispatcher
        Those for paths of which ``is_reserved`` is true.
    """

    channel_class = Channel

    def __init__(
        self,
        application: Application,
        sock: socket.socket,
        loop: Loop,
        *,
        port_name: str,
        pool: ThreadedTaskDispatcher,
        reserved: ThreadedTaskDispatcher,
        is_reserved: Callable[[str], bool],
        limits: FrontLimits,
    ) -> None:
        self.port_name = port_name
        self._reserved = reserved
        self._is_reserved = is_reserved
        self._limits = limits
        # A handler of a signal may wake the loop, in the thread that is just doing so.
        self._waking = threading.RLock()
        self._is_closed = False
        super().__init__(
            application,
            map=loop,
            _sock=sock,
            dispatcher=pool,
            adj=Tuning(limits),
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )

    def pull_trigger(self) -> None:
        """Wake the loop; any thread may do so, also when there is no loop any more."""
        # NOTE: the descriptor of a closed trigger may be that of another file by now.
        with self._waking:
            if not self._is_closed:
                super().pull_trigger()

    def close(self) -> None:
        """Close the port, and what wakes its loop."""
        with self._waking:
            self._is_closed = True
            super().close()

    def readable(self) -> bool:
        """Tell that connections are always taken: others make room."""
        return bool(self.accepting)

    def handle_accept(self) -> None:
        """Take new connections."""
        for _ in range(ACCEPTED_AT_ONCE):
            before = len(self.active_channels)
            if before >= self._limits.connections:
                self._make_room()
                before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                break

    def add_task(self, task: Channel) -> None:
        """Have a complete request worked on."""
        is_reserved = self._is_reserved(task.requests[0].path)
        pool = self._reserved if is_reserved else self.task_dispatcher
        if task.requests[0].body_bytes_received < LARGE_BYTES:
            pool.add_task(task)
        else:
            self._limits.turns.ask(lambda: task.take_turn(pool.add_task))

    def close_overdue(self) -> None:
        """Close connections whose clients took too long."""
        now = time.monotonic()
        for channel in [*self.active_channels.values()]:
            if channel.is_overdue(now):
                channel.drop()

    def stop_accepting(self) -> None:
        """Take no more connections, and close those that nothing is done for."""
        self.accepting = False
        self.del_channel()
        for channel in [*self.active_channels.values()]:
            if not channel.is_busy:
                channel.drop()

    @property
    def is_busy(self) -> bool:
        """Whether any request is worked on, or answered."""
        return any(channel.is_busy for channel in [*self.active_channels.values()])

    def _make_room(self) -> None:
        waiting = [
            (since, id(channel), channel)
            for channel in self.active_channels.values()
            if (since := channel.waits_since) is not None
        ]
        logger.warning("%d connections: those that wait longest are closed", len(waiting))
        for _, _, channel in sorted(waiting)[:DROPPED_AT_ONCE]:
            channel.drop()
