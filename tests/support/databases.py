"""A real PostgreSQL for tests."""

import getpass
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

NO_POSTGRES = "no PostgreSQL server on this machine (Debian package postgresql)"


def find_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server, if there is one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    return found[-1] if found else None


class Postgres:
    """A PostgreSQL, on a free port of the loopback unless told otherwise.

    Parameters
    ----------
    binaries : Path
        The folder of its programs.
    host, port : str, int, optional
        Where it listens; another host than the loopback is for the pods of a cluster.
    """

    def __init__(self, binaries: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        # NOTE: not below pytest's folder, which each start of a pytest closes to other users.
        self._folder = folder = Path(tempfile.mkdtemp(prefix="candela-postgres-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._binaries = binaries
        self._host = host
        with socket.create_server((host, port)) as probe:  # also where one has just been
            self.port = int(probe.getsockname()[1])
        self._as_user: list[str] = []
        if getpass.getuser() == "root":  # the server refuses to run as root
            shutil.chown(folder, "postgres")
            self._as_user = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "-U", "candela", "--auth=trust", "--no-sync")
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 trust\n")

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"postgresql+psycopg://candela@{self._host}:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses={self._host} -c unix_socket_directories="
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a power cut would; one that is not running stays so."""
        if not (self._folder / "data" / "postmaster.pid").exists():
            return
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def cut(self) -> int:
        """End all connections that there are, and tell how many; new ones may come."""
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchone()
        return int(ended[0]) if ended else 0

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self._binaries / name), "-D", str(self._folder / "data"), *arguments]
        subprocess.run([*self._as_user, *command], check=True, capture_output=True, cwd="/")


@contextmanager
def postgres_server(binaries: Path, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Run a PostgreSQL; give the URL of its first database."""
    server = Postgres(binaries, host=host, port=port)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
