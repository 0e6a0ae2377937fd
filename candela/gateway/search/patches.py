"""The way of the search routes to the database of patch models."""

import logging
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from flask import request
from sqlalchemy.engine import Connection

from candela.errors import NotFoundError, StorageError, UnavailableError
from candela.gateway.access.identity import principal_of
from candela.patches.query.shelf import VectorShelf
from candela.patches.store.database import PatchDatabase, open_database
from candela.patches.store.target import NOBODY
from candela.settings import Settings

logger = logging.getLogger(__name__)

PLACES = 12  # questions at the same time, of the threads of a gateway
PATIENCE_S = 2  # for a place
NOT_HERE = "this gateway has no database of patch models"
AWAY = "the patch database does not answer; please try again later"


class PatchesApi:
    """The routes' way to the database.

    Parameters
    ----------
    settings : Settings
        Of the gateway.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database: PatchDatabase | None = None
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PLACES)
        self.base_url = f"{settings.base_url}/patches"
        self._folder = _own_folder(settings.folder / "vectors")
        self.shelf = VectorShelf(self._folder)

    @property
    def limit_s(self) -> float:
        """How long an answer may take."""
        return self._settings.patches_limit_s

    @property
    def viewer(self) -> str:
        """Who asks: as for jobs."""
        return principal_of(request).name or NOBODY

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction in which the user who asks reads."""
        with (
            self.place(),
            self._opened().reading_for(self.viewer, limit_s=self.limit_s) as connection,
        ):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction in which the user who asks writes."""
        with (
            self.place(),
            self._opened().acting_for(self.viewer, limit_s=self.limit_s) as connection,
        ):
            yield connection

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places for questions, so that a gateway always has threads for jobs."""
        if not self._places.acquire(timeout=PATIENCE_S):
            raise UnavailableError("too many questions to the patch database at the same time")
        try:
            yield
        except StorageError as error:
            logger.warning("The patch database does not work: %s", error)
            raise UnavailableError(AWAY) from error
        finally:
            self._places.release()

    def close(self) -> None:
        """Release the connections, and remove the vectors that were kept."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._database is not None:
            self._database.close()

    def _opened(self) -> PatchDatabase:
        """Return the database; it need not be there when a gateway starts."""
        url = self._settings.patches_query_url
        if not url:
            raise NotFoundError(NOT_HERE)
        if self._database is None:
            with self._lock:
                if self._database is None:
                    self._database = open_database(url)
        return self._database


def _own_folder(folder: Path) -> Path:
    """Return a folder for this process alone; those of processes that were killed are removed."""
    host = socket.gethostname()
    for other in folder.glob(f"{host}-*"):
        process = other.name.removeprefix(f"{host}-")
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(other, ignore_errors=True)
    return folder / f"{host}-{os.getpid()}"
