"""Where a storm blows: what can be struck there, and what is looked at; and this machine as one."""

import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil

from candela.demo.gateway import LocalGateway
from candela.jobs.model import Job
from candela.runners.processes import MARK
from candela.storage import Storage, open_storage

LEAST_STRIKES = 3


class Strike(NamedTuple):
    """One blow."""

    after_s: float
    target: str  # one of the targets of the place
    which: float  # 0 to 1: of those there are
    down_s: float  # before it is started again, where it does not do so by itself


def strikes(seed: int, targets: Mapping[str, int], pace: float = 1.0) -> Iterator[Strike]:
    """Draw the blows of a storm.

    Parameters
    ----------
    targets : mapping of str to int
        What is struck, and how often relative to others.
    pace : float, optional
        How much time everything takes, relative to this machine.
    """
    drawn = random.Random(seed)
    while True:
        target = drawn.choices(list(targets), list(targets.values()))[0]
        after_s, which, down_s = drawn.uniform(0.2, 2.0), drawn.random(), drawn.uniform(0, 0.5)
        yield Strike(pace * after_s, target, which, pace * down_s)


class Place(Protocol):
    """Where jobs run that a storm is to break.

    Attributes
    ----------
    targets : mapping of str to int
        What can be struck, and how often relative to others.
    owed : collection of str
        Those of them that no storm may spare.
    pace : float
        How long everything takes, relative to subprocesses of this machine.
    database : str
        The URL of the job store.
    storage : Storage
        The storage of the jobs.
    """

    targets: Mapping[str, int]
    owed: frozenset[str]
    pace: float
    database: str
    storage: Storage

    def start(self) -> None:
        """Start the gateways."""

    def stop(self) -> None:
        """Stop the gateways with their jobs."""

    def urls(self) -> list[str]:
        """Return the addresses of the gateways."""

    def strike(self, strike: Strike) -> bool:
        """Do it; tell whether there was something to strike."""

    def workers(self) -> dict[str, list[int]]:
        """Return the workers that live, as process ids, by their job."""

    def at_work(self) -> list[str]:
        """Return what there is of attempts that have not come to their end."""

    def stored(self, job: Job) -> set[int]:
        """Return the attempts of a job that have ever stored a result, as far as it is known."""

    def left_over(self) -> list[str]:
        """Return what is left of attempts after their time, which may be waited for."""


def kill_worker(workers: Mapping[str, list[int]], which: float) -> bool:
    """Kill one of some workers; tell whether there was one."""
    found = [pid for pids in workers.values() for pid in pids]
    if not found:
        return False
    try:
        psutil.Process(found[int(which * len(found))]).kill()
    except psutil.NoSuchProcess:
        return False
    return True


class Here:
    """Gateways and workers of this machine, in a folder."""

    targets: Mapping[str, int] = {"gateway": 1, "server": 1, "worker": 2}
    owed = frozenset({"gateway", "server"})  # workers there may be none of any more
    pace = 1.0

    def __init__(self, folder: Path, *, database: str = "", gateways: int = 1) -> None:
        self.folder = folder
        self.database = database or f"sqlite:///{folder / 'candela.db'}"
        storage = folder / "storage"
        shared = {"CANDELA_STORAGE": storage.as_uri(), "CANDELA_SECRET": "storm" * 8}
        self.gateways = [
            LocalGateway(folder / f"gateway{number}", database=self.database, environment=shared)
            for number in range(gateways)
        ]
        self.storage = open_storage(storage.as_uri())

    def start(self) -> None:
        for gateway in self.gateways:
            gateway.start()

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.stop()

    def urls(self) -> list[str]:
        return [gateway.url for gateway in self.gateways]

    def strike(self, strike: Strike) -> bool:
        if strike.target == "worker":
            return kill_worker(self.workers(), strike.which)
        gateway = self.gateways[int(strike.which * len(self.gateways))]
        if strike.target == "server":
            gateway.kill_server()
        else:
            gateway.kill()
            time.sleep(strike.down_s)
            gateway.start()
        return True

    def workers(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for process in psutil.process_iter():
            try:
                attempt = process.environ().get(MARK, "")
                is_worker = "candela.worker" in process.cmdline()
            except (psutil.Error, OSError):
                continue
            if is_worker and attempt.startswith(str(self.folder)):
                job_id = Path(attempt).name.rpartition("-")[0]
                found.setdefault(job_id, []).append(process.pid)
        return found

    def at_work(self) -> list[str]:
        folders = [gateway.data / "work" for gateway in self.gateways]
        return [
            str(path) for each in folders for path in each.iterdir() if path.name.count("-") > 3
        ]

    def stored(self, job: Job) -> set[int]:
        return {job.result.attempt} if job.result else set()

    def left_over(self) -> list[str]:
        return []
