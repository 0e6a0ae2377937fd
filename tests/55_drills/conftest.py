"""What may break around a gateway, really broken."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from databases import Postgres, find_binaries

from candela.gateway.app import Gateway
from candela.jobs.model import Job
from candela.jobs.principal import SYSTEM
from candela.settings import Settings

BASE = "http://candela.test"
EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs="
)
PATIENCE_S = 120


class Disk:
    """A small disk of its own.

    Parameters
    ----------
    folder : Path
        Where it is seen.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: str, *, remount: bool = True) -> None:
        """Give it another size, such as ``1m``."""
        options = f"size={size}" + (",remount" if remount else "")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path):
    """Return an empty disk of 1 MiB, or skip the test."""
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = Disk(folder)
    try:
        disk.resize("1m", remount=False)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk can only be mounted by root")
    yield disk
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def postgres():
    """Return a PostgreSQL that runs and may be stopped, or skip the test."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine (Debian package postgresql)")
    server = Postgres(binaries)
    server.start()
    yield server
    server.stop()


class Drill:
    """A gateway whose jobs run, and a client of it."""

    def __init__(self, settings: Settings) -> None:
        self.gateway = Gateway.assemble(settings)
        self.gateway.start()
        self.http = self.gateway.application().test_client()
        self.store = self.gateway.jobs.store

    def submit(self, inputs: str, **headers: str) -> str:
        """Start a job and return its id."""
        answer = self.http.get(EXECUTE + inputs, headers=headers)
        assert answer.status_code == 200, answer.data
        return answer.text.partition("/wps/status/")[2][:36]

    def away(self) -> list[str]:
        """Return what the gateway says is away."""
        answer = self.http.get("/readyz")
        assert answer.status_code == (503 if "away" in answer.json else 200)
        return answer.json.get("away", [])

    def until(self, job_id: str, condition: Callable[[Job], bool]) -> Job:
        """Wait until a job is as it should be."""
        until(lambda: condition(self.store.get(job_id)), lambda: self.store.get(job_id))
        return self.store.get(job_id)

    def finished(self, job_id: str) -> Job:
        """Wait until a job is at its end."""
        return self.until(job_id, lambda job: job.state.is_final)

    def stop(self) -> None:
        """End the gateway and its jobs."""
        for job in self.store.jobs(limit=1000):
            if not job.state.is_final:
                self.gateway.jobs.dismiss(SYSTEM, job.id)
        self.gateway.stop()


def until(condition, told=lambda: "") -> None:
    """Wait for something to come true."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, told()
        time.sleep(0.05)


@pytest.fixture
def drill(tmp_path):
    """Return a function that starts a gateway; all are stopped in the end."""
    drills = []

    def start(**settings: object) -> Drill:
        given = {"url": BASE, "data": tmp_path / "data", "grace_s": 0, **settings}
        drills.append(Drill(Settings(**given)))
        return drills[-1]

    yield start
    for each in drills:
        each.stop()
