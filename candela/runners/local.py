"""Run each job in a subprocess of this machine."""

import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from candela.contract.documents import is_superseded, read_result
from candela.contract.job import (
    EXIT_TERMINATED,
    LOG_FILE,
    OUTPUTS_FOLDER,
    JobDocument,
    job_file,
    job_key,
)
from candela.errors import NotFoundError, StorageError
from candela.runners.base import Cause, Ended, Limits, RunState
from candela.runners.kernel import KernelKills
from candela.runners.processes import (
    MARK,
    NOBODY,
    POLL_S,
    end_members,
    find_members,
    find_worker,
    is_alive,
    memory_bytes,
)
from candela.runners.records import Record, Records, attempt_name, up_s
from candela.storage import Storage
from candela.storage.base import checked_key

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "candela.worker")
LOOK_S = 0.5  # between two looks at memory and deadlines
GRACE_S = 3.0  # from SIGTERM to SIGKILL
REAP_S = 5.0  # how long the last threads of a zombie may take
CLEAN_S = 3600.0  # between two looks for records to forget
LOG_TAIL_BYTES = 64 * 2**10
LOG_BYTES = 64 * 2**20  # a longer log is cut
LOG_KEPT_BYTES = 2**20  # of its end
REMEMBERED = 10_000  # ends that nobody has asked for yet
FROM_OUTSIDE = frozenset(  # exit codes of a worker that was ended; others are its own crashes
    {
        *(-sent for sent in (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)),
        EXIT_TERMINATED,
    }
)


class LocalRunner:
    """Subprocesses with limits; they outlive this gateway, and the next one adopts them.

    Each attempt is a session of its own with the work folder ``<work>/<job id>-<attempt>``, an
    environment that has nothing of the gateway's, and its log in storage.

    Parameters
    ----------
    storage : Storage
        Holds the files of jobs.
    work_folder : Path
        Where attempts work, on this machine.
    command : sequence of str, optional
        Starts a worker; ``--storage``, ``--job`` and ``--workdir`` are appended.
    environment : mapping of str to str, optional
        Variables that workers get in addition, such as those of a proxy.
    grace_s : float, optional
        How long a worker has to end by itself before it is killed.
    kernel_kills : KernelKills, optional
        Tells a kill by the kernel from one by somebody else.
    """

    def __init__(
        self,
        storage: Storage,
        work_folder: Path,
        *,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        grace_s: float = GRACE_S,
        kernel_kills: KernelKills | None = None,
    ) -> None:
        self._storage = storage
        self._work = work_folder.resolve()
        self._command = tuple(command)
        self._environment = dict(environment or {})
        self._grace_s = grace_s
        self._records = Records(self._work)
        self._kernel_kills = kernel_kills or KernelKills()
        self._running = {record.name: record for record in self._records.unended()}
        self._ended: deque[Ended] = deque(maxlen=REMEMBERED)
        self._changing = threading.RLock()
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="local-runner", daemon=True)
        self._watcher.start()

    @property
    def name(self) -> str:
        """The machine and the work folder."""
        return f"local:{socket.gethostname()}:{self._work}"

    def submit(self, job: JobDocument, limits: Limits) -> str:
        """Start an attempt, unless it was started before.

        Raises
        ------
        StorageError
            If its files cannot be written, or the machine can start no more processes.
        """
        name = attempt_name(job.id, job.attempt)
        try:
            with self._records.locked():
                record = self._records.read(name)
                if record is None:
                    pid = self._find(name) or self._start(job, limits)
                    record = Record(
                        job=job.id,
                        attempt=job.attempt,
                        pid=pid,
                        started=time.time(),
                        began_s=up_s(),
                        memory_bytes=limits.memory_bytes,
                        timeout_s=limits.timeout_s,
                    )
                    with self._changing:
                        self._records.write(record)
                        self._running[name] = record
        except OSError as error:
            raise StorageError(f"job {job.id} cannot be started here: {error}") from error
        return record.reference

    def find(self, job_id: str, attempt: int) -> str | None:
        """Return the backend reference of an attempt, or None if it was never started."""
        record = self._records.read(attempt_name(job_id, attempt))
        return None if record is None else record.reference

    def state(self, reference: str) -> RunState:
        """Tell where an attempt stands.

        Raises
        ------
        StorageError
            If it has ended and that cannot be noted now.
        """
        record = self._running.get(reference.partition(":")[0]) or self._records.find(reference)
        if record is None or record.reference != reference:
            return RunState(Cause.LOST, message=f"nothing is known of {reference}")
        if record.ended or is_alive(record.pid, self._mark(record)):
            return record.state
        try:
            return self._finish(record)
        except OSError as error:
            raise StorageError(f"the end of {record.name} cannot be noted: {error}") from error

    def cancel(self, reference: str) -> RunState:
        """End an attempt; on return all of its processes are gone.

        Raises
        ------
        StorageError
            If one does not die; the end is tried again at each look.
        """
        name = reference.partition(":")[0]
        record = self._records.find(reference) or self._running.get(name)
        if (
            record is not None
            and record.reference == reference
            and self.state(reference).is_running
        ):
            return self._end(record, Cause.CANCELLED, "cancelled")
        if record is None and not end_members(str(self._work / name), NOBODY, self._grace_s):
            raise StorageError(f"the processes of {name} do not end")  # its record was removed
        return self.state(reference)

    def logs(self, job_id: str) -> str:
        """Return the last 64 KiB of what the job said; nothing if it has said nothing yet."""
        path = self._log_path(job_id)
        if path.is_file():
            with path.open("rb") as log:
                log.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        key = job_key(job_id, LOG_FILE)
        try:
            size = self._storage.size(key)
            pieces = self._storage.open(key, max(0, size - LOG_TAIL_BYTES))
            return b"".join(pieces).decode(errors="replace")
        except NotFoundError:
            return ""

    def poll(self) -> list[Ended]:
        """Return the attempts that ended since the last call."""
        for record in list(self._running.values()):
            self.state(record.reference)
        ended = []
        while self._ended:
            ended.append(self._ended.popleft())
        return ended

    def close(self) -> None:
        """Watch no longer; running jobs go on."""
        self._closing.set()
        self._watcher.join()

    def _find(self, name: str) -> int | None:
        """Return the pid of a worker whose gateway died before it wrote a record."""
        workdir = self._work / name
        return find_worker(str(workdir)) if workdir.exists() else None

    def _start(self, job: JobDocument, limits: Limits) -> int:
        """Start the worker, and return its pid."""
        self._storage.write(job_key(job.id, job_file(job.attempt)), job.to_json().encode())
        name = attempt_name(job.id, job.attempt)
        workdir = self._work / name
        (workdir / "tmp").mkdir(parents=True, exist_ok=True)
        log = self._log_path(job.id)
        log.parent.mkdir(parents=True, exist_ok=True)
        if job.attempt > 1 and not log.exists():
            self._recall_log(job.id, log)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *self._command,
                    *("--storage", self._storage.url),
                    *("--job", job.id, "--attempt", str(job.attempt)),
                    *("--workdir", str(workdir)),
                ],
                cwd=workdir,
                env=self._variables(workdir, limits),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # NOTE: the worker may outlive us, so it is followed by its pid alone; a return code keeps
        # Popen from warning that it was not waited for.
        process.returncode = 0
        logger.info("Started %s as process %s", name, process.pid)
        return process.pid

    def _variables(self, workdir: Path, limits: Limits) -> dict[str, str]:
        """Return the whole environment of a worker; no secret of the gateway is in it."""
        threads = str(max(1, math.ceil(limits.cpu)))
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(workdir),
            "TMPDIR": str(workdir / "tmp"),
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "GDAL_NUM_THREADS": threads,
            "PYTHONUNBUFFERED": "1",
            **self._environment,
            MARK: str(workdir),
        }

    def _mark(self, record: Record) -> str:
        """Return what its processes have in their environment; job ids of others may be equal."""
        return str(self._work / record.name)

    def _log_path(self, job_id: str) -> Path:
        """Return where the log is written: in storage, if that is on this machine."""
        stored = self._storage.local_path(job_key(job_id, LOG_FILE))
        return stored or self._work / f"{checked_key(job_id)}.log"

    def _watch(self) -> None:
        cleaned = -math.inf
        while not self._closing.wait(LOOK_S):
            try:
                self._look()
                if time.monotonic() > cleaned + CLEAN_S:
                    self._records.forget_old()
                    cleaned = time.monotonic()
            except (OSError, psutil.Error, StorageError):
                logger.exception("A look at the running jobs failed; trying again")

    def _look(self) -> None:
        """Notice what has ended, and end what is beyond its limits."""
        records = list(self._running.values())
        if not records:
            return
        self._kernel_kills.are_recent()
        members = find_members({self._mark(record): record.pid for record in records})
        for record in records:
            try:
                self._look_at(record, members[self._mark(record)])
            except (OSError, psutil.Error, StorageError) as error:
                logger.warning("%s cannot be looked at now: %s", record.name, error)

    def _look_at(self, record: Record, members: list[psutil.Process]) -> None:
        if not self.state(record.reference).is_running:
            return
        self._cut_log(record)
        used = memory_bytes(members, record.memory_bytes)
        if record.cause is not None:  # a gateway died while it was ending this
            self._end(record, record.cause, record.message)
        elif record.ran_s > record.timeout_s:
            self._end(record, Cause.DEADLINE, f"ran longer than {record.timeout_s:g} s")
        elif used > record.memory_bytes:
            message = f"used {used / 2**20:.0f} of {record.memory_bytes / 2**20:.0f} MiB"
            self._end(record, Cause.OUT_OF_MEMORY, message)

    def _end(self, record: Record, cause: Cause, message: str) -> RunState:
        """End the processes of an attempt; the first cause counts."""
        with self._changing:
            current = self._records.read(record.name) or record
            if current.cause is None:
                current = current.model_copy(update={"cause": cause, "message": message})
                self._records.write(current)
                if current.name in self._running:
                    self._running[current.name] = current
        logger.info("Ending %s: %s", current.name, current.message)
        grace_s = 0.0 if current.cause is Cause.OUT_OF_MEMORY else self._grace_s
        if not end_members(self._mark(current), current.pid, grace_s):
            raise StorageError(f"the processes of {current.name} do not end")
        return self._finish(current)

    def _finish(self, record: Record) -> RunState:
        """Write down how an attempt ended, and remove what it left."""
        with self._changing:
            current = self._records.read(record.name) or record
            if current.ended:
                self._running.pop(record.name, None)
                return current.state
            end_members(self._mark(current), current.pid, 0.0)
            shutil.rmtree(self._mark(current), ignore_errors=True)
            current = self._with_exit_code(current)
            has_result = self._has_result(current)
            verdict = _verdict(current, has_result=has_result)
            ended = current.model_copy(update={"ended": True, **verdict})
            if not has_result and not is_superseded(self._storage, ended.job, ended.attempt):
                self._storage.delete(job_key(ended.job, OUTPUTS_FOLDER))  # parts, worth nothing
            self._keep_log(ended)
            self._records.write(ended)
            self._running.pop(record.name, None)
            self._ended.append(Ended(ended.reference, ended.job, ended.attempt, ended.state))
        logger.info("%s has ended: %s, exit code %s", ended.name, ended.cause, ended.exit_code)
        return ended.state

    def _with_exit_code(self, record: Record) -> Record:
        """Write down what is told only once: the storage may be away for the rest."""
        exit_code = _exit_code(record.pid)
        if exit_code is None:
            return record
        known: dict[str, object] = {"exit_code": exit_code}
        if (
            record.cause is None
            and exit_code == -signal.SIGKILL
            and self._kernel_kills.are_recent()
        ):
            known |= {"cause": Cause.MACHINE_MEMORY, "message": "the machine had no more memory"}
        current = record.model_copy(update=known)
        self._running[record.name] = current
        self._records.write(current)
        return current

    def _has_result(self, record: Record) -> bool:
        result = read_result(self._storage, record.job)
        return result is not None and result.attempt == record.attempt

    def _keep_log(self, record: Record) -> None:
        """Say in the log why the job was ended, and put the log where it is kept."""
        path = self._log_path(record.job)
        if not path.is_file():
            return  # removed with its job
        if record.cause is not Cause.FINISHED:
            try:
                with path.open("a") as file:
                    file.write(
                        f"Attempt {record.attempt} has ended: {record.cause}, {record.message}\n"
                    )
            except OSError as error:  # a full disk, say: the record has it
                logger.warning("The end of %s is not in its log: %s", record.name, error)
        if self._storage.local_path(job_key(record.job, LOG_FILE)) is None:
            self._storage.put(job_key(record.job, LOG_FILE), path)
            path.unlink(missing_ok=True)

    def _cut_log(self, record: Record) -> None:
        """Keep the end of a log that fills the disk; its worker goes on appending to it."""
        path = self._log_path(record.job)
        if not path.is_file() or path.stat().st_size <= LOG_BYTES:
            return
        with path.open("r+b") as file:
            file.seek(-LOG_KEPT_BYTES, os.SEEK_END)
            kept = file.read(LOG_KEPT_BYTES)
            file.truncate(0)
        with path.open("ab") as file:
            file.write(b"... what stood here was cut: the log was too long\n" + kept)
        logger.warning("The log of %s was cut", record.name)

    def _recall_log(self, job_id: str, path: Path) -> None:
        """Get the log of earlier attempts, which the next one goes on with."""
        key = job_key(job_id, LOG_FILE)
        if self._storage.exists(key):
            self._storage.fetch(key, path)


def _verdict(record: Record, *, has_result: bool) -> dict[str, object]:
    """Say why an attempt ended, where that is not known."""
    if record.cause is not None:
        return {}
    is_broken = record.exit_code is None or record.exit_code in FROM_OUTSIDE
    if is_broken and not has_result:
        return {"cause": Cause.LOST, "message": "killed from outside, or ended unseen"}
    return {"cause": Cause.FINISHED}


def _exit_code(pid: int) -> int | None:
    """Return the exit code of a child of ours, and let it go; None for other processes."""
    end = time.monotonic() + REAP_S
    while time.monotonic() < end:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_S)  # NOTE: a zombie can be waited for when its last thread is gone
    return None
