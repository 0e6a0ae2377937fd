"""A real PostgreSQL for tests."""

import getpass
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server, if there is one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    return found[-1] if found else None


@contextmanager
def postgres_server(folder: Path, binaries: Path) -> Iterator[str]:
    """Run a PostgreSQL on a free port of the loopback; give the URL of its first database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    as_user: list[str] = []
    if getpass.getuser() == "root":  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        for parent in (folder, *folder.parents):  # and must get to its files
            if parent == Path(tempfile.gettempdir()):
                break
            parent.chmod(0o755)
        as_user = ["runuser", "-u", "postgres", "--"]
    data = folder / "data"

    def run(name: str, *arguments: str) -> None:
        command = [*as_user, str(binaries / name), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    run("initdb", "-D", str(data), "-U", "candela", "--auth=trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://candela@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
