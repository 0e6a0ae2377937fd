"""What a local runner remembers of attempts, in files that the next gateway finds."""

import fcntl
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from candela.contract.job import Document
from candela.errors import StorageError
from candela.runners.base import Cause, RunState
from candela.storage.base import checked_key

logger = logging.getLogger(__name__)

KEEP_S = 7 * 24 * 3600.0  # how long an ended attempt is remembered


def up_s() -> float:
    """Return the time since this machine was started, in seconds; the same for all processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def attempt_name(job_id: str, attempt: int) -> str:
    """Return the name of an attempt: the same submitted again has the same name."""
    if "/" in checked_key(job_id):
        raise StorageError(f"{job_id!r} is no valid job id")
    return f"{job_id}-{attempt}"


class Record(Document):
    """An attempt.

    Attributes
    ----------
    started : float
        Seconds since the epoch.
    began_s : float, optional
        The same since the machine was started: a clock that is set does not change it.
    cause : Cause, optional
        Why it ends: known before its processes are gone.
    ended : bool
        Whether all of its processes are gone.
    """

    job: str
    attempt: int
    pid: int
    started: float
    began_s: float | None = None
    memory_bytes: int
    timeout_s: float
    cause: Cause | None = None
    exit_code: int | None = None
    message: str = ""
    ended: bool = False

    @property
    def name(self) -> str:
        """The name of the attempt."""
        return attempt_name(self.job, self.attempt)

    @property
    def reference(self) -> str:
        """What the dispatcher calls it."""
        return f"{self.name}:{self.pid}:{self.started:.3f}"

    @property
    def ran_s(self) -> float:
        """How long it has been running."""
        if self.began_s is None:  # written by an earlier version
            return time.time() - self.started
        return up_s() - self.began_s

    @property
    def state(self) -> RunState:
        """Where it stands."""
        if not self.ended:
            return RunState()
        return RunState(self.cause, self.exit_code, self.message)


class Records:
    """Records in a folder, one file each: ``<name>.json``, later ``ended/<name>.json``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._past = folder / "ended"
        self._past.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all others, in this process or another, from the same."""
        self._past.mkdir(parents=True, exist_ok=True)  # somebody may have removed the folder
        with (self._folder / ".lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read(self, name: str) -> Record | None:
        """Return a record, or None."""
        for path in (self._path(name), self._past_path(name)):
            try:
                return Record.model_validate_json(path.read_bytes())
            except FileNotFoundError:
                continue
            except ValidationError as error:
                logger.warning("%s is not valid and left alone: %s", path, error)
        return None

    def find(self, reference: str) -> Record | None:
        """Return the record that a reference means, or None."""
        record = self.read(reference.partition(":")[0])
        return record if record is not None and record.reference == reference else None

    def write(self, record: Record) -> None:
        """Store a record; a reader never sees half of it."""
        self._past.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{uuid.uuid4().hex}"
        unfinished.write_text(record.to_json())
        if record.ended:
            unfinished.replace(self._past_path(record.name))
            self._path(record.name).unlink(missing_ok=True)
        else:
            unfinished.replace(self._path(record.name))

    def unended(self) -> list[Record]:
        """Return what has not ended."""
        records = [self.read(path.stem) for path in sorted(self._folder.glob("*.json"))]
        return [record for record in records if record is not None and not record.ended]

    def forget_old(self) -> None:
        """Remove what ended long ago."""
        for path in self._past.iterdir():
            if path.stat().st_mtime < time.time() - KEEP_S:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{Path(name).name}.json"

    def _past_path(self, name: str) -> Path:
        return self._past / f"{Path(name).name}.json"
