"""Serve the gateway: gunicorn's master, and a worker process with the front and the dispatcher."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psutil
from flask import Flask
from gunicorn.app.base import BaseApplication

from candela.gateway.access.ports import is_reserved
from candela.gateway.app import Gateway
from candela.gateway.front.limits import FrontLimits
from candela.gateway.front.worker import FrontWorker, affordable_connections
from candela.gateway.maps.publisher import check_styles
from candela.gateway.staging import staging_of
from candela.jobs.store import JobStore
from candela.memory import keep_no_large_blocks
from candela.settings import ConfigurationError, Limits, Metadata, Settings
from candela.spec import load_specs

CONNECTIONS = 4096
LOCK = "gateway.lock"
ORPHAN_S = 20.0  # a server process whose master was killed ends within this


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn of one process, which holds the dispatcher too.

    A gateway process that dies is replaced by gunicorn; the new one adopts the running jobs.
    """

    def __init__(self, settings: Settings, bind: str) -> None:
        self._settings = settings
        self._bind = bind
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up."""
        options: dict[str, Any] = {
            "bind": [each for each in (self._bind, self._settings.internal_bind) if each],
            "workers": 1,
            "worker_class": FrontWorker,
            "timeout": 120,
            "graceful_timeout": 10,
            "proc_name": "candela",
            "loglevel": "warning",
            "control_socket_disable": True,
            "worker_exit": _stop,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Start a gateway in the worker process."""
        keep_no_large_blocks()
        gateway = Gateway.assemble(self._settings)
        gateway.start()
        app = gateway.application()
        app.extensions["candela"] = gateway
        return app

    def front_options(self, app: Flask) -> tuple[FrontLimits, Callable[[str], bool]]:
        """Return what the front allows, and which paths have threads of their own."""
        limits = FrontLimits(
            body_bytes=app.config["MAX_CONTENT_LENGTH"],
            connections=affordable_connections(CONNECTIONS),
        )
        return limits, is_reserved


def _stop(_: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn's own type
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["candela"].stop()


def check(settings: Settings) -> None:
    """Find what is wrong before a server process is started, where it is hard to say."""
    Metadata.load(settings.config)
    staging_of(settings, Limits.load(settings.config))
    check_styles(load_specs())
    _ = settings.signing_key
    _ = settings.proxy_proof
    JobStore(settings.database_url).close()


def check_port(bind: str) -> None:
    """Find out whether a port can be listened at.

    Raises
    ------
    ConfigurationError
        If another program listens there, or nobody can.
    """
    parts = urlsplit(f"//{bind}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise ConfigurationError(f"cannot listen at {bind!r}: expected HOST:PORT")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        reason = {
            errno.EADDRINUSE: "another program listens there already",
            errno.EADDRNOTAVAIL: "this machine has no such address",
            errno.EACCES: "only root may listen there",
        }.get(error.errno or 0, error.strerror or str(error))
        raise ConfigurationError(
            f"cannot listen at {bind}: {reason}; --bind HOST:PORT (and --url) name another"
        ) from None


@contextmanager
def sole_use(folder: Path, url: str) -> Iterator[None]:
    """Have a data folder for one gateway, and its processes, alone.

    Raises
    ------
    ConfigurationError
        If another gateway uses it: both would write the layers' addresses, and run the jobs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as lock:
        patience = time.monotonic() + ORPHAN_S
        while not _is_locked(lock):
            lock.seek(0)
            holder = lock.read().strip()
            if _lives(holder) or time.monotonic() > patience:
                raise ConfigurationError(
                    f"{folder} is used by another gateway ({holder}); "
                    "--data DIR names another folder"
                )
            time.sleep(0.1)
        lock.truncate(0)
        lock.write(f"{url}, process {os.getpid()}\n")
        lock.flush()
        yield


def _is_locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(holder: str) -> bool:
    """Tell whether a gateway lives; one that was killed leaves a process that ends soon."""
    process = holder.rpartition(" ")[2]
    return process.isdigit() and psutil.pid_exists(int(process))


def serve(
    settings: Settings, bind: str | None = None, *, announce: Callable[[], object] = lambda: None
) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    settings : Settings
        Where the gateway lives.
    bind : str, optional
        ``host:port`` to listen on; by default those of the public address.
    announce : callable, optional
        Called once nothing has been found wrong, before the server starts.

    Raises
    ------
    ConfigurationError, SpecError, StorageError
        If a setting, a file of wps_config, a process.yaml or the job database is wrong, if the
        port is taken, or if another gateway uses the data folder.
    """
    address = urlsplit(settings.base_url)
    bind = bind or f"{address.hostname}:{address.port or 80}"
    with ExitStack() as stack:
        # Gateways of a cluster share a folder of layers, and are one service.
        if settings.runner == "local":
            stack.enter_context(sole_use(settings.folder, settings.base_url))
        check(settings)
        for each in (bind, settings.internal_bind):
            if each:
                check_port(each)
        announce()
        Server(settings, bind).run()
