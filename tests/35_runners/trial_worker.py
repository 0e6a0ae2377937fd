"""The worker with one more process: Trial, which misbehaves on demand."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from candela.eo.progress import Progress
from candela.errors import InputError
from candela.spec import ProcessSpec
from candela.worker import __main__ as worker

SPEC = ProcessSpec.model_validate(
    {
        "identifier": "Trial",
        "version": "1.0.0",
        "title": "Trial",
        "abstract": "Misbehaves on demand.",
        "inputs": {"action": {"title": "What to do", "type": "string"}},
        "outputs": {"word": {"title": "A word", "type": "string"}},
    }
).model_copy(update={"package": "candela_trial"})

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(300)
os._exit(0)
"""


def run(*, action: str, workdir: Path, progress: Progress) -> dict[str, object]:
    """Do what the test wants."""
    progress(10, f"trying {action}")
    ACTIONS[action](workdir)
    return {"word": action}


def _pause(workdir: Path) -> None:
    (workdir / "started").touch()
    time.sleep(300)


def _compute(workdir: Path) -> None:
    """Spend a minute in one call into compiled code."""
    matrix = np.random.default_rng(0).random((4000, 4000))
    (workdir / "started").touch()
    np.linalg.svd(matrix)


def _refuse(workdir: Path) -> None:
    raise InputError("this is refused", "action")


def _print_environment(workdir: Path) -> None:
    for name, value in sorted(os.environ.items()):
        sys.stdout.write(f"VARIABLE {name}={value}\n")


def _eat_memory(workdir: Path) -> None:
    """Let a child use 300 MB; the worker itself stays small."""
    code = "import time; eaten = bytearray(b'x') * (300 * 2**20); time.sleep(300)"
    subprocess.run([sys.executable, "-c", code], check=True)


def _fill_the_disk(workdir: Path) -> None:
    """Write more than there is room for, and wait for the consequences."""
    (workdir / "large").write_bytes(bytes(60 * 2**20))
    _pause(workdir)


def _have_children(workdir: Path) -> None:
    """Leave three kinds of children: plain, without an environment, and a daemon."""
    subprocess.Popen(["/bin/sleep", "300"])
    subprocess.Popen(["/bin/sleep", "300"], env={})
    subprocess.run([sys.executable, "-c", DAEMON], check=True)
    _pause(workdir)


def _leave_a_daemon(workdir: Path) -> None:
    subprocess.run([sys.executable, "-c", DAEMON], check=True)


def _ignore_sigterm(workdir: Path) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _pause(workdir)


def _crash(workdir: Path) -> None:
    ctypes.string_at(0)


def _die(workdir: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _talk(workdir: Path) -> None:
    """Say 5 MB, and that it is done."""
    for _ in range(50):
        sys.stdout.write(f"{'x' * 99}\n" * 1000)
    sys.stdout.write("all is said\n")
    sys.stdout.flush()
    _pause(workdir)


def _finish(workdir: Path) -> None:
    pass


ACTIONS = {
    "finish": _finish,
    "pause": _pause,
    "compute": _compute,
    "refuse": _refuse,
    "print environment": _print_environment,
    "eat memory": _eat_memory,
    "fill the disk": _fill_the_disk,
    "have children": _have_children,
    "leave a daemon": _leave_a_daemon,
    "ignore SIGTERM": _ignore_sigterm,
    "crash": _crash,
    "die": _die,
    "talk": _talk,
}

if __name__ == "__main__":
    module = ModuleType(SPEC.package)
    module.run = run  # type: ignore[attr-defined]
    sys.modules[SPEC.package] = module
    worker.load_specs = lambda: {SPEC.identifier: SPEC}  # type: ignore[attr-defined]
    sys.exit(worker.main())
