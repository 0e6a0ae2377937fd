"""A gateway in a process of its own, on a free port of this machine."""

import logging
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from candela.client import Client, ClientError
from candela.client.status import Status
from candela.client.transport import Transport
from candela.errors import CandelaError

logger = logging.getLogger(__name__)

START_S = 60.0
STOP_S = 30.0
LOOPBACK = "127.0.0.1"


class GatewayError(CandelaError):
    """A gateway does not start."""


class LocalGateway:
    """``candela serve`` as a subprocess.

    Parameters
    ----------
    data : Path
        The folder of jobs and results; the gateway's log is put there too.
    input_folders : sequence of Path
        Where inputs may be read from.
    port : int, optional
        By default one that is free.
    database : str, optional
        The SQLAlchemy URL of the job store; by default SQLite in ``data``.
    environment : mapping of str to str, optional
        More variables that it gets.
    """

    def __init__(
        self,
        data: Path,
        *,
        input_folders: Sequence[Path] = (),
        port: int | None = None,
        database: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.database = database
        self.environment = dict(environment or {})
        self.input_folders = tuple(input_folders)
        self.url = f"http://{LOOPBACK}:{port or free_port()}"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def log_path(self) -> Path:
        """The gateway's log."""
        return self.data / "gateway.log"

    def start(self) -> None:
        """Start the gateway, and wait until it answers.

        Raises
        ------
        GatewayError
            If it ends, or does not answer in time.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        folders = [word for path in self.input_folders for word in ("--input-folder", str(path))]
        command = [sys.executable, "-m", "candela.cli", "serve", "--url", self.url]
        if self.database:
            command += ["--database", self.database]
        if shutil.which("setpriv"):  # if this process is killed the gateway ends too
            command = ["setpriv", "--pdeathsig", "TERM", *command]
        with self.log_path.open("ab") as log:
            # NOTE: a session of its own, or Ctrl-C would reach it before its jobs are dismissed.
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data), *folders],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=psutil.Process().environ() | self.environment,
            )
        try:
            self._wait_until_ready(self.process)
        except BaseException:
            self.stop()
            raise

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        transport = Transport(self.url, timeout_s=5, retries=0)
        try:
            while time.monotonic() < deadline:
                if process.poll() is not None:
                    raise GatewayError(f"the gateway did not start, see {self.log_path}")
                try:
                    transport.json(f"{self.url}/readyz")
                except ClientError:
                    time.sleep(0.1)
                else:
                    return
        finally:
            transport.close()
        raise GatewayError(f"the gateway does not answer after {START_S:g} s, see {self.log_path}")

    def dismiss_jobs(self) -> None:
        """End all jobs that have not ended; otherwise they would outlive the gateway."""
        with Client(self.url, timeout_s=10) as client:
            for status in (Status.ACCEPTED, Status.RUNNING):
                for job in client.jobs(status=status):
                    logger.info("Dismissing job %s", job.id)
                    job.dismiss()

    def kill(self) -> None:
        """Kill the gateway's own processes at once, as a power cut would; its workers go on."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        servers = [psutil.Process(process.pid), *self._servers(process)]
        for server in servers:
            server.kill()
        process.wait()
        psutil.wait_procs(servers, timeout=STOP_S)

    def kill_server(self) -> None:
        """Kill the process that answers and dispatches; the gateway replaces it."""
        for server in self._servers(self.process) if self.process else []:
            server.kill()

    @staticmethod
    def _servers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        return [
            each for each in psutil.Process(process.pid).children() if "serve" in each.cmdline()
        ]

    def stop(self) -> None:
        """End the gateway with its jobs; nothing of it is left running."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        try:
            self.dismiss_jobs()
        except ClientError as error:
            logger.warning("Jobs may go on after the gateway: %s", error)
        family = [
            psutil.Process(process.pid),
            *psutil.Process(process.pid).children(recursive=True),
        ]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=STOP_S)
        for member in alive:
            logger.warning("Process %s of the gateway did not end; killing it", member.pid)
            member.kill()
        process.wait()


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port at the moment."""
    try:
        with socket.create_server((LOOPBACK, port)):
            return True
    except OSError:
        return False
