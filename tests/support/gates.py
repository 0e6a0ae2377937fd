"""A way to a server that can be shut: to its clients the server is away."""

import selectors
import socket
import threading


class Gate:
    """Passes connections on to a server of this machine, while it is open.

    Parameters
    ----------
    port : int
        Where the server listens.
    host : str, optional
        Where the way begins; another host than the loopback is for the pods of a cluster.
    listens_at : int, optional
        The port where it begins; by default one that is free.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", listens_at: int = 0) -> None:
        self._target = ("127.0.0.1", port)
        self._host = host
        self._listener: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        with socket.create_server((host, listens_at)) as probe:
            self.port = int(probe.getsockname()[1])
        self.open()

    def open(self) -> None:
        """Let clients through."""
        listener = socket.create_server((self._host, self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> int:
        """Break all connections that there are, and tell how many; new ones may come."""
        with self._lock:
            pairs = [pair for pair in self._pairs if pair[0].fileno() != -1]
            self._pairs = []
        for pair in pairs:
            for end in pair:
                _shut(end)
        return len(pairs)

    def shut(self) -> None:
        """Let nobody through, and break what there is."""
        listener, self._listener = self._listener, None
        if listener is not None:
            _shut(listener)
            listener.close()
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    with selectors.DefaultSelector() as selector, client, server:
        for end in other:
            selector.register(end, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                end = key.fileobj
                assert isinstance(end, socket.socket)
                try:
                    piece = end.recv(2**16)
                    other[end].sendall(piece)
                except OSError:
                    return
                if not piece:
                    return


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is over already
