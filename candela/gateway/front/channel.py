"""A connection: waitress's, with deadlines, and answers sent a turn at a time."""

import array
import errno
import fcntl
import os
import socket
import termios
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import WSGITask

from candela.gateway.front.large import RELEASE
from candela.gateway.front.request import PORT, REFUSAL, Request

if TYPE_CHECKING:
    from candela.gateway.front.listener import Listener, Tuning
    from candela.gateway.front.loop import Loop

TURN_BYTES = 256 * 1024  # sent to one client before others have their turn


class Task(WSGITask):  # type: ignore[misc]  # waitress has no types
    """The work on a request."""

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment."""
        environment: dict[str, Any] = super().get_environment()
        environment[PORT] = self.channel.server.port_name
        environment[RELEASE] = self.channel.release
        if self.request.refusal is not None:
            environment[REFUSAL] = self.request.refusal
        return environment


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection."""

    task_class = Task
    parser_class = Request

    def __init__(
        self,
        server: "Listener",
        sock: socket.socket,
        addr: tuple[Any, ...],
        adj: "Tuning",
        map: "Loop",  # noqa: A002 - the name that waitress gives it
    ) -> None:
        self._limits = adj.limits
        self._loop = map
        self._served = 0  # requests
        self._sent = 0  # bytes
        self._charged = 0  # bytes of answers that wait here
        self._has_file = False
        self._lingers = False
        self._has_turn = False
        self._phase: tuple[str, int] = ("", 0)
        self._since = self._window = time.monotonic()
        self._moved = 0
        super().__init__(server, sock, addr, adj, map=map)

    def is_overdue(self, now: float) -> bool:
        """Tell whether the client has taken too long."""
        phase = (self._phase_name(), self._served)
        if phase != self._phase:
            self._phase, self._since = phase, now
            self._window, self._moved = now, self._progress()
            return False
        deadlines = self._limits.deadlines
        match phase[0]:
            case "work":
                return False
            case "linger":
                return now - self._since > deadlines.linger_s
            case "idle":
                return now - self._since > deadlines.idle_s
            case "headers":
                return now - self._since > deadlines.headers_s
        if now - self._window < deadlines.window_s:
            return False
        before, self._moved = self._moved, self._progress()
        passed_s, self._window = now - self._window, now
        return self._moved - before < passed_s * deadlines.bytes_per_s

    @property
    def waits_since(self) -> float | None:
        """Since when the client is waited for; None while its request is worked on."""
        return None if self.requests and not self.total_outbufs_len else self._since

    @property
    def is_busy(self) -> bool:
        """Whether a request is worked on, or answered."""
        return bool(self.requests or self.total_outbufs_len)

    def drop(self) -> None:
        """Close the connection; of the loop's thread alone."""
        self.handle_close()

    def _phase_name(self) -> str:
        if self._lingers:
            return "linger"
        if self.total_outbufs_len:
            return "answer"
        if self.requests:
            return "work"
        if self.request is None:
            return "idle" if self._served else "headers"
        return "body" if self.request.headers_finished else "headers"

    def _progress(self) -> int:
        """Return how many bytes came, or arrived at the client's machine."""
        if self.total_outbufs_len and self.socket is not None:
            unread = array.array("i", [0])
            fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, unread)
            return self._sent - unread[0]
        return self.request.body_bytes_received if self.request is not None else 0

    # In the loop's thread

    def readable(self) -> bool:
        """Tell whether anything may be read."""
        return self._lingers or bool(super().readable())

    def writable(self) -> bool:
        """Tell whether there is anything to send, or to end."""
        return not self._lingers and bool(super().writable())

    def handle_read(self) -> None:
        """Read; what comes after the last answer is thrown away."""
        if not self._lingers:
            super().handle_read()
            return
        try:
            self.recv(self.adj.recv_bytes)  # closes at its end
        except OSError:
            self.handle_close()

    def handle_write(self) -> None:
        """Send; a client that may still be sending reads the last answer before it is cut off."""
        if not (self.close_when_flushed and not self.will_close and self._ends()):
            super().handle_write()

    def _ends(self) -> bool:
        """Send the rest; return whether that was all, and only the client's end is awaited."""
        self._flush_exception(self._flush_some)
        if self.total_outbufs_len or self.will_close or self.socket is None:
            return False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self.close_when_flushed = False
        self._lingers = True
        return True

    def handle_close(self) -> None:
        """Close, and forget what was kept for the client."""
        if self.request is not None:
            self.request.close()
        super().handle_close()
        self._settle()

    # In a thread that works on a request

    def take_turn(self, add_task: Callable[["Channel"], None]) -> None:
        """Have a large request worked on."""
        self._has_turn = True
        add_task(self)

    def release(self) -> None:
        """End the turn of a large request, if this is one."""
        has_turn, self._has_turn = self._has_turn, False
        if has_turn:
            self._limits.turns.release()

    def service(self) -> None:
        """Work on a request."""
        try:
            super().service()
        finally:
            self.release()
            self._served += 1
            if not self.connected:
                for request in self.requests:
                    request.close()
            self._touch()

    def write_soon(self, data: Any) -> int:  # noqa: ANN401 - bytes, or a file
        """Send, or keep until the client takes more."""
        is_file = isinstance(data, ReadOnlyFileBasedBuffer)
        with self.outbuf_lock:
            self._has_file = self._has_file or is_file
        count = int(super().write_soon(data))
        self._settle()
        if self.total_outbufs_len or self.will_close:
            self._touch()
        return count

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Wait for a reader that is far behind, in one of the places for that."""
        if self.total_outbufs_len <= self._watermark():
            return
        with self._limits.readers.place() as has_place:
            if not has_place:
                self.will_close = True
                self._touch()
                raise ClientDisconnected
            with self.outbuf_lock:
                while self.connected and self.total_outbufs_len > self._watermark():
                    self._touch()
                    self.outbuf_lock.wait()

    def _watermark(self) -> int:
        limits = self._limits
        return limits.memory_bytes if limits.budget.is_exhausted else limits.answer_bytes

    def _touch(self) -> None:
        self._loop.touch(self._fileno)
        self.server.pull_trigger()

    # In either

    def _flush_some(self, do_close: bool = True) -> bool:
        """Send what the client takes, but not so much that others wait."""
        sent = 0
        with self.outbuf_lock:
            while sent < TURN_BYTES and self.socket is not None:
                buffer = self.outbufs[0]
                if not buffer.__len__():  # len() has a limit
                    if len(self.outbufs) == 1:
                        break
                    self.outbufs.pop(0).close()
                    continue
                count = self._send_from(buffer, do_close=do_close)
                if not count:
                    break
                sent += count
                self._sent += count
                self.total_outbufs_len -= count
            if self.total_outbufs_len <= self._watermark():
                self.outbuf_lock.notify()
        if sent:
            self.last_activity = time.time()
            self._settle()
        return bool(sent)

    def _send_from(self, buffer: Any, *, do_close: bool) -> int:  # noqa: ANN401 - of waitress
        descriptor = _descriptor(buffer)
        if descriptor is None:
            chunk = buffer.get(self.sendbuf_len)
            count = int(self.send(chunk, do_close=do_close))
        else:
            wanted = min(TURN_BYTES, buffer.__len__())
            try:
                count = os.sendfile(self.socket.fileno(), descriptor, buffer.tell(), wanted)
            except BlockingIOError:
                return 0
            if not count:
                raise OSError(errno.EIO, "the file became shorter while it was sent")
        if count:
            buffer.skip(count, True)
        return count

    def _settle(self) -> None:
        """Tell the budget what is kept; a file is not kept for a client."""
        with self.outbuf_lock:
            if not self.total_outbufs_len:
                self._has_file = False
            kept = 0 if self._has_file else self.total_outbufs_len
            change, self._charged = kept - self._charged, kept
        if change:
            self._limits.budget.move(change)


def _descriptor(buffer: Any) -> int | None:  # noqa: ANN401 - of waitress
    """Return the descriptor of a file that is sent as it is, or None."""
    if not isinstance(buffer, ReadOnlyFileBasedBuffer):
        return None
    try:
        return int(buffer.file.fileno())
    except (AttributeError, OSError):
        return None
