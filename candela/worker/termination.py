"""End at once on SIGTERM, also in the middle of a long computation."""

import logging
import os
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path

import psutil

from candela.contract.job import EXIT_TERMINATED
from candela.worker.workdir import empty_workdir

logger = logging.getLogger(__name__)


def end_on_sigterm(workdir: Path) -> None:
    """Let SIGTERM end this process and its children, and empty its folder.

    A Python signal handler would wait until numpy or GDAL return, which may take minutes. So a
    thread waits for the byte that the C level writes at each signal (``signal.set_wakeup_fd``).
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.detach())  # open as long as this process
    signal.signal(signal.SIGTERM, _ignore)
    threading.Thread(
        target=_wait, args=(receiver, workdir), name="termination", daemon=True
    ).start()


def _ignore(number: int, frame: object) -> None:
    """Leave it to the thread; without any handler no byte would be written."""


def _wait(receiver: socket.socket, workdir: Path) -> None:
    while signal.SIGTERM not in receiver.recv(64):
        pass
    try:
        logger.warning("Terminated by SIGTERM")
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
        empty_workdir(workdir)
    finally:  # whatever is wrong with children, folder or log: the process ends
        os._exit(EXIT_TERMINATED)
