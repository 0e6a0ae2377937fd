"""The processes of an attempt: found by a mark in their environment, wherever they went.

The mark survives what process groups and sessions do not: a child that makes its own session, a
parent that has died, a new gateway. It also tells our process from another one that got its pid.
"""

import logging
import os
import time
from collections.abc import Collection, Mapping

import psutil

logger = logging.getLogger(__name__)

MARK = "CANDELA_ATTEMPT"  # environment variable, with the work folder of the attempt
POLL_S = 0.01
BEGIN_S = 1.0  # how long a process may take to begin its program
NOBODY = 0  # no process of ours has this pid
KILL_S = 10.0  # how long dying processes are waited for


def is_alive(pid: int, mark: str) -> bool:
    """Whether the process is the attempt's, and not a zombie."""
    try:
        process = psutil.Process(pid)
        # NOTE: while a process begins its program (exec), its environment is empty for a moment.
        end = time.monotonic() + BEGIN_S
        while not process.environ() and _is_alive(process) and time.monotonic() < end:
            time.sleep(POLL_S)
    except (psutil.Error, OSError):
        return False
    return _mark(process) == mark and _is_alive(process)


def find_members(leaders: Mapping[str, int]) -> dict[str, list[psutil.Process]]:
    """Find all processes of some attempts, in one look at the machine.

    Parameters
    ----------
    leaders : mapping of str to int
        The pid of each attempt's worker, by the attempt's mark.

    Returns
    -------
    dict
        The living processes of each attempt: those with its mark, and those without any in the
        session of its living worker.
    """
    sessions = {pid: mark for mark, pid in leaders.items() if is_alive(pid, mark)}
    members: dict[str, list[psutil.Process]] = {mark: [] for mark in leaders}
    for process in psutil.process_iter():
        mark = _mark(process)
        if mark not in members:
            mark = sessions.get(_session(process.pid))
        if mark is not None and _is_alive(process):
            members[mark].append(process)
    return members


def find_worker(mark: str) -> int | None:
    """Return the pid of an attempt's worker (the leader of its session), if there is one."""
    members = find_members({mark: NOBODY})[mark]
    return next((member.pid for member in members if _session(member.pid) == member.pid), None)


def memory_bytes(processes: Collection[psutil.Process], limit: int) -> int:
    """Return the memory of processes together; shared pages count once if it matters.

    The exact figure (PSS) is costly; it is looked up only where the simple sum is above the limit.
    """
    simple = sum(_resident(process) for process in processes)
    return simple if simple <= limit else sum(_proportional(process) for process in processes)


def end_members(mark: str, pid: int, grace_s: float) -> bool:
    """End all processes of an attempt: politely, and after some time for good.

    Returns
    -------
    bool
        Whether all are gone.
    """
    polite = find_members({mark: pid})[mark] if grace_s > 0 else []
    for process in polite:
        _send(process, terminate=True)
    _wait(polite, grace_s)
    end = time.monotonic() + KILL_S
    is_sure = not polite
    while (remaining := find_members({mark: pid})[mark]) or not is_sure:
        is_sure = not remaining  # look twice: one of them may just have begun another program
        if time.monotonic() > end:
            logger.error("Processes of %s do not die: %s", mark, [p.pid for p in remaining])
            return False
        for process in remaining:
            _send(process, terminate=False)
        _wait(remaining, POLL_S * 10)
    return True


def _wait(processes: Collection[psutil.Process], seconds: float) -> None:
    # NOTE: psutil.wait_procs would wait for zombies too, and take the exit codes of our children.
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(_is_alive(process) for process in processes):
        time.sleep(POLL_S)


def _send(process: psutil.Process, *, terminate: bool) -> None:
    try:
        if terminate:
            process.terminate()
        else:
            process.kill()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        logger.warning("Process %s cannot be ended: %s", process.pid, error)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):  # gone, a zombie, or somebody else's
        return None


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _proportional(process: psutil.Process) -> int:
    try:
        exact = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(exact, "pss", exact.uss))
