"""Jobs under a storm of SIGKILL: none may be lost, run twice, get stuck or leave litter.

    python benchmarks/kill_storm.py [--jobs 200] [--seed 0] [--database postgresql+psycopg://...]

Many short jobs are submitted by clients that try again, under idempotency keys, while the gateway
(with its dispatcher) and workers are killed at random moments and the gateway is started again.
A run that fails is repeated by its seed, as far as a race can be.
"""

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import requests

from candela.demo.gateway import LocalGateway
from candela.jobs.model import State
from candela.jobs.store import JobStore

EXECUTE = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
ASYNC = "&storeExecuteResponse=true&status=true"
MARK = "CANDELA_ATTEMPT"  # in the environment of a worker and its children
PATIENCE_S = 120.0
SUBMITTERS = 4


@dataclass
class Report:
    """What a storm did."""

    jobs: int
    seed: int
    gateway_kills: int = 0
    worker_kills: int = 0
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    litter: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.twice or self.wrong or self.stuck or self.litter)


def workers() -> dict[str, list[psutil.Process]]:
    """Return the leading worker processes of this machine by their attempt."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            attempt = process.environ().get(MARK)
            is_worker = attempt and "candela.worker" in process.cmdline()
        except (psutil.Error, OSError):
            continue
        if is_worker:
            found.setdefault(str(attempt), []).append(process)
    return found


class Storm:
    """One run."""

    def __init__(self, folder: Path, *, jobs: int, seed: int, database: str = "") -> None:
        self.folder = folder
        self.gateway = LocalGateway(folder, database=database)
        self.database = database or f"sqlite:///{folder / 'candela.db'}"
        self.report = Report(jobs, seed)
        self._random = random.Random(seed)
        self._submitted: dict[int, str] = {}  # job id by number
        self._over = threading.Event()

    def run(self) -> Report:
        """Blow until every job has been submitted, then let all come to an end."""
        start = time.monotonic()
        self.gateway.start()
        submitters = [
            threading.Thread(
                target=self._submit, args=(range(first, self.report.jobs, SUBMITTERS),)
            )
            for first in range(SUBMITTERS)
        ]
        watcher = threading.Thread(target=self._watch)
        for thread in (*submitters, watcher):
            thread.start()
        try:
            while any(thread.is_alive() for thread in submitters) or self._kills_are_owed():
                time.sleep(self._random.uniform(0.2, 2.0))
                self._strike()
            self._wait_for_all()
        finally:
            self._over.set()
            watcher.join()
            self._judge()
            self.gateway.stop()
        self._find_litter()
        self.report.seconds = round(time.monotonic() - start, 1)
        return self.report

    def _kills_are_owed(self) -> bool:
        return self.report.gateway_kills < 3

    def _strike(self) -> None:
        running = [process for found in workers().values() for process in found]
        mine = [process for process in running if str(self.folder) in " ".join(cmdline(process))]
        if mine and self._random.random() < 0.5:
            try:
                self._random.choice(mine).kill()
            except psutil.NoSuchProcess:
                return
            self.report.worker_kills += 1
        else:
            self.gateway.kill()
            self.report.gateway_kills += 1
            time.sleep(self._random.uniform(0, 0.5))
            self.gateway.start()

    def _submit(self, numbers: range) -> None:
        for number in numbers:
            pause = (number * 7 % 10) / 10
            inputs = f"&DataInputs=literal=job{number};pause={pause};numbers={number}"
            headers = {"Idempotency-Key": f"job{number}"}
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                try:
                    url = f"{self.gateway.url}{EXECUTE}{inputs}{ASYNC}"
                    answer = requests.get(url, headers=headers, timeout=20)
                except requests.RequestException:
                    time.sleep(0.1)
                    continue
                if answer.status_code == 200:
                    job_id = answer.text.partition("/wps/status/")[2][:36]
                    self._submitted[number] = job_id
                    break
                time.sleep(0.1)

    def _watch(self) -> None:
        """Look for two living workers of one job."""
        while not self._over.wait(0.1):
            for attempt, processes in workers().items():
                if len(processes) > 1:
                    pids = [each.pid for each in processes]
                    self.report.twice.append(f"{attempt}: {pids}")

    def _wait_for_all(self) -> None:
        store = JobStore(self.database)
        deadline = time.monotonic() + PATIENCE_S + self.report.jobs
        while time.monotonic() < deadline:
            if store.count(states=[state for state in State if not state.is_final]) == 0:
                break
            time.sleep(0.2)
        store.close()

    def _judge(self) -> None:
        store = JobStore(self.database)
        jobs = {job.id: job for job in store.jobs(limit=10 * self.report.jobs)}
        self.report.states = dict(Counter(str(job.state) for job in jobs.values()))
        self.report.attempts = dict(Counter(str(job.attempt) for job in jobs.values()))
        for number in range(self.report.jobs):
            job = jobs.get(self._submitted.get(number, ""))
            if job is None:
                self.report.lost.append(f"job{number}")
            elif not job.state.is_final:
                self.report.stuck.append(f"{job.id}: {job.state} {job.message}")
            elif job.state is not State.SUCCEEDED:
                self.report.wrong.append(f"{job.id}: {job.state} {job.message}")
            elif job.result.outputs["literalOutput"].value != f"job{number}":
                self.report.wrong.append(f"{job.id}: another job's result")
            else:
                states = [event.state for event in store.events(job.id)]
                if states.count(State.PUBLISHING) != 1 or states.count(State.SUCCEEDED) != 1:
                    self.report.twice.append(f"{job.id}: {states}")
        if len(jobs) != self.report.jobs:
            self.report.twice.append(f"{len(jobs)} jobs for {self.report.jobs} requests")
        store.close()

    def _find_litter(self) -> None:
        for attempt, processes in workers().items():
            if str(self.folder) in attempt:
                self.report.litter += [f"process {each.pid} of {attempt}" for each in processes]
        work = self.folder / "work"
        self.report.litter += [
            str(path.relative_to(self.folder))
            for path in work.iterdir()
            if path.is_dir() and path.name.count("-") == 5
        ]
        storage = self.folder / "storage" / "jobs"
        for job_id in self._submitted.values():
            names = {path.name for path in (storage / job_id).iterdir()}
            if unknown := names - {"job.json", "log.txt", "result.json", "outputs"}:
                self.report.litter.append(f"{job_id}: {sorted(unknown)}")


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", default="", help="SQLAlchemy URL (default: SQLite)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(Path(folder), jobs=options.jobs, seed=options.seed, database=options.database)
        report = storm.run()
        print(json.dumps(asdict(report), indent=2))
    raise SystemExit(0 if report.is_clean else 1)


if __name__ == "__main__":
    main()
