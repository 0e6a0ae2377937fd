"""MapServer as a process: lighttpd on a loopback port and its FastCGI workers.

Of all processes that share a folder one owns the server (it holds a file lock); the others find
the address in a file, and take over when the owner is gone. Nothing outlives the owner, even when
it is killed: the kernel ends lighttpd with the thread that started it and the workers with
lighttpd (``setpriv --pdeathsig``).
"""

import contextlib
import fcntl
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

import psutil

from candela.errors import PublicationError
from candela.publish.record import write_whole

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0
RESTART_PAUSE_S = 0.2
WORKER_CACHE_MB = 128

CONFIGURATION = """\
# Made by candela; changes are lost.
server.modules = ( "mod_fastcgi" )
server.bind = "{loopback}"
server.port = {port}
server.document-root = "."
server.errorlog = "lighttpd.log"
server.upload-dirs = ( "." )
server.max-request-size = 1024
server.http-parseopts = ( "url-ctrls-reject" => "disable" )  # a filter may have several lines
server.max-keep-alive-idle = 30
server.max-keep-alive-requests = 10000
server.stream-response-body = 2
fastcgi.server = ( "/" => ((
  "bin-path" => "{setpriv} --pdeathsig KILL {mapserv}",
  "socket" => "worker-{port}.sock",
  "max-procs" => {workers},
  "disable-time" => 0,
  "check-local" => "disable"
)) )
"""


class MapServerProcess:
    """A MapServer that runs while this object is started, in this process or another.

    Parameters
    ----------
    folder : Path
        Where its configuration, sockets and log stand.
    maps : Path
        The folder with the map files it may read.
    workers : int, optional
        How many requests are worked on at the same time; by default one for each CPU.
    """

    def __init__(self, folder: Path, maps: Path, *, workers: int | None = None) -> None:
        self.folder = folder
        self.maps = maps
        self.workers = workers or max(2, os.cpu_count() or 1)
        self._lock = threading.Lock()
        self._ownership: IO[str] | None = None
        self._stopping = threading.Event()
        self._supervisor: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start the server, or find the one that another process runs.

        Raises
        ------
        PublicationError
            If a program is missing, or the server does not answer in time.
        """
        programs = {name: find_program(name) for name in PROGRAMS}
        with self._lock:
            deadline = time.monotonic() + timeout_s
            while not self.is_ready():
                if self._supervisor is None or not self._supervisor.is_alive():
                    self._try_to_own(programs)
                if time.monotonic() > deadline:
                    raise PublicationError(f"MapServer did not start: {self._last_log_line()}")
                time.sleep(0.02)

    def stop(self) -> None:
        """End the server and all its workers, where this process runs it."""
        with self._lock:
            self._stopping.set()
            if self._supervisor is not None:
                if self._process is not None:
                    self._process.kill()  # the supervisor does the rest
                self._supervisor.join()
                self._supervisor = None
            if self._ownership is not None:
                self._address_file.unlink(missing_ok=True)
                self._ownership.close()
                self._ownership = None

    def port(self) -> int | None:
        """Return the loopback port of the server, or None while there is none."""
        try:
            return int(self._address_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    @property
    def _address_file(self) -> Path:
        return self.folder / "port"

    def is_ready(self) -> bool:
        """Tell whether the server takes connections."""
        port = self.port()
        if port is None:
            return False
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            return False
        return True

    def _try_to_own(self, programs: dict[str, Path]) -> None:
        if self._ownership is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / "owner.lock").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return
            self._ownership = file
        self._stopping.clear()
        self._supervisor = threading.Thread(
            target=self._supervise, args=(programs,), name="mapserver", daemon=True
        )
        self._supervisor.start()

    def _supervise(self, programs: dict[str, Path]) -> None:
        """Run lighttpd again and again; it lives no longer than this thread."""
        while not self._stopping.is_set():
            port = _free_port()
            self._configure(port, programs)
            with (self.folder / "lighttpd.out").open("wb") as output:
                self._process = subprocess.Popen(
                    [programs["setpriv"], "--pdeathsig", "KILL",
                     programs["lighttpd"], "-D", "-f", "lighttpd.conf"],
                    cwd=self.folder,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )  # fmt: skip
            if self._stopping.is_set():  # stop() may have come before there was a process
                self._process.kill()
            write_whole(self._address_file, str(port))
            code = _wait_for_group(self._process)
            if not self._stopping.wait(RESTART_PAUSE_S):
                logger.warning("MapServer's lighttpd ended with code %d, starting it again", code)

    def _configure(self, port: int, programs: dict[str, Path]) -> None:
        for old in self.folder.glob("worker-*.sock*"):
            old.unlink(missing_ok=True)
        text = CONFIGURATION.format(
            loopback=LOOPBACK, port=port, workers=self.workers,
            setpriv=programs["setpriv"], mapserv=programs["mapserv"],
        )  # fmt: skip
        write_whole(self.folder / "lighttpd.conf", text)
        # MapServer has no way to quote for a pattern: any unusual character stands for any.
        pattern = "^" + re.sub(r"[^A-Za-z0-9/_-]", ".", f"{self.maps}/")
        write_whole(
            self.folder / "mapserver.conf",
            f'CONFIG\n  ENV\n    MS_MAP_PATTERN "{pattern}"\n    MS_MAPFILE ""\n  END\nEND\n',
        )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "MAPSERVER_CONFIG_FILE": str(self.folder / "mapserver.conf"),
            "GDAL_CACHEMAX": str(WORKER_CACHE_MB),
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
            "GDAL_PAM_ENABLED": "NO",
            "PROJ_NETWORK": "OFF",
        }

    def _last_log_line(self) -> str:
        for name in ("lighttpd.out", "lighttpd.log"):
            with contextlib.suppress(FileNotFoundError):
                lines = (self.folder / name).read_text(errors="replace").split("\n")
                if found := [line for line in lines if line.strip()]:
                    return found[-1]
        return f"no answer, and nothing in {self.folder}"


PROGRAMS = {
    "lighttpd": ("/usr/sbin/lighttpd", "lighttpd"),
    "mapserv": ("/usr/lib/cgi-bin/mapserv", "cgi-mapserver"),
    "setpriv": ("/usr/bin/setpriv", "util-linux"),
}  # where Debian puts them, and in which package


def find_program(name: str) -> Path:
    """Find a program in the path or where Debian puts it.

    Raises
    ------
    PublicationError
        If it is not installed; the message names the Debian package.
    """
    place, package = PROGRAMS[name]
    found = shutil.which(name) or shutil.which(place)
    if found is None:
        raise PublicationError(f"{name} is not installed (Debian package {package})")
    return Path(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_for_group(leader: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process, end what is left of its group, and return its status.

    Its workers end with it, except one that was being made at that very moment.
    """
    os.waitid(os.P_PID, leader.pid, os.WEXITED | os.WNOWAIT)  # until reaped it keeps its number
    os.killpg(leader.pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _has_members(leader.pid) and time.monotonic() < deadline:
        time.sleep(0.005)
    return leader.wait()


def _has_members(group: int) -> bool:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
