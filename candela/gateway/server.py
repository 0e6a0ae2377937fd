"""Serve the gateway with gunicorn."""

from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from gunicorn.app.base import BaseApplication

from candela.gateway.app import Gateway
from candela.gateway.publisher import check_styles
from candela.jobs.store import JobStore
from candela.settings import Limits, Metadata, Settings
from candela.spec import load_specs

THREADS = 48  # most of them wait: for jobs that are asked for synchronously


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn of one process with many threads, which holds the dispatcher too.

    A gateway process that dies is replaced by gunicorn; the new one adopts the running jobs.
    """

    def __init__(self, settings: Settings, bind: str) -> None:
        self._settings = settings
        self._bind = bind
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up."""
        options: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": 120,
            "graceful_timeout": 10,
            "keepalive": 5,
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
        gateway = Gateway.assemble(self._settings)
        gateway.start()
        app = gateway.application()
        app.extensions["candela"] = gateway
        return app


def _stop(_: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn's own type
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["candela"].stop()


def check(settings: Settings) -> None:
    """Find what is wrong before a server process is started, where it is hard to say."""
    Metadata.load(settings.config)
    Limits.load(settings.config)
    check_styles(load_specs())
    JobStore(settings.database_url).close()


def serve(settings: Settings, bind: str | None = None) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    settings : Settings
        Where the gateway lives.
    bind : str, optional
        ``host:port`` to listen on; by default those of the public address.

    Raises
    ------
    ConfigurationError, SpecError, StorageError
        If a setting, a file of wps_config, a process.yaml or the job database is wrong.
    """
    check(settings)
    address = urlsplit(settings.base_url)
    Server(settings, bind or f"{address.hostname}:{address.port or 80}").run()
