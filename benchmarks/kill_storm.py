"""Jobs under a storm of SIGKILL: none may be lost, run twice, get stuck or leave litter.

    python benchmarks/kill_storm.py [--jobs 200] [--seed 0] [--database postgresql+psycopg://...]
                                    [--gateways 2]

Jobs of several kinds are submitted by clients that try again, under idempotency keys, while
gateways, their serving processes (with the dispatcher) and workers are killed and started again.
Some jobs are meant to fail, some are dismissed on the way. What is killed when is drawn from the
seed before the storm, so a run that fails is repeated by its seed, as far as a race can be.
"""

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psutil
import requests

from candela.demo.gateway import LocalGateway
from candela.errors import UnavailableError
from candela.jobs.model import Job, State
from candela.jobs.store import JobStore
from candela.runners.processes import MARK
from candela.storage import open_storage

EXECUTE = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
ASYNC = "&storeExecuteResponse=true&status=true"
PATIENCE_S = 180.0
LEAST_KILLS = 3
SUBMITTERS = 4
FILES = {"job.json", "log.txt", "result.json", "outputs"}


class Strike(NamedTuple):
    """One blow."""

    after_s: float
    target: str  # gateway, server or worker
    which: float  # 0 to 1: of those there are
    down_s: float  # before a gateway is started again


def strikes(seed: int) -> Iterator[Strike]:
    """Draw the blows of a storm."""
    drawn = random.Random(seed)
    while True:
        target = drawn.choices(("gateway", "server", "worker"), (1, 1, 2))[0]
        yield Strike(drawn.uniform(0.2, 2.0), target, drawn.random(), drawn.uniform(0, 0.5))


class Kind(NamedTuple):
    """What a job of the storm does, and how it must end."""

    inputs: str
    end: State
    is_dismissed: bool = False


def kind_of(number: int) -> Kind:
    """Return the kind of a job: two in ten write a file, one is refused, one is dismissed."""
    is_dismissed = number % 10 == 9
    pause_s = 2 if is_dismissed else number * 7 % 10 / 10
    inputs = f"literal=job{number};pause={pause_s};numbers={number}"
    if number % 10 in {3, 6}:
        return Kind(f"{inputs};complex={quote(f'<job>{number}</job>')}", State.SUCCEEDED)
    if number % 10 == 8:
        return Kind(f"{inputs};complex=@xlink:href=file:///none.xml", State.FAILED)
    return Kind(inputs, State.DISMISSED if is_dismissed else State.SUCCEEDED, is_dismissed)


@dataclass
class Report:
    """What a storm did."""

    jobs: int
    seed: int
    gateways: int = 1
    kills: dict[str, int] = field(default_factory=lambda: {"gateway": 0, "server": 0, "worker": 0})
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


class Storm:
    """One run."""

    def __init__(
        self, folder: Path, *, jobs: int, seed: int, database: str = "", gateways: int = 1
    ) -> None:
        self.folder = folder
        self.database = database or f"sqlite:///{folder / 'candela.db'}"
        storage = folder / "storage"
        shared = {"CANDELA_STORAGE": storage.as_uri(), "CANDELA_SECRET": "storm"}
        self.gateways = [
            LocalGateway(folder / f"gateway{number}", database=self.database, environment=shared)
            for number in range(gateways)
        ]
        self.storage = open_storage(storage.as_uri())
        self.report = Report(jobs, seed, gateways)
        self._submitted: dict[int, str] = {}  # job id by number
        self._over = threading.Event()

    def run(self) -> Report:
        """Blow until every job has been submitted, then let all come to an end."""
        start = time.monotonic()
        for gateway in self.gateways:
            gateway.start()
        submitters = [
            threading.Thread(
                target=self._submit_all, args=(range(first, self.report.jobs, SUBMITTERS),)
            )
            for first in range(SUBMITTERS)
        ]
        watcher = threading.Thread(target=self._watch)
        for thread in (*submitters, watcher):
            thread.start()
        try:
            for strike in strikes(self.report.seed):
                is_submitting = any(thread.is_alive() for thread in submitters)
                if not is_submitting and not self._kills_are_owed():
                    break
                time.sleep(strike.after_s)
                self._blow(strike)
            self._wait_for_all()
        finally:
            self._over.set()
            watcher.join()
            self._judge()
            for gateway in self.gateways:
                gateway.stop()
        self._find_litter()
        self.report.seconds = round(time.monotonic() - start, 1)
        return self.report

    def _kills_are_owed(self) -> bool:
        """Tell whether a short storm was too tame; workers there may be none of any more."""
        return min(self.report.kills["gateway"], self.report.kills["server"]) < LEAST_KILLS

    def _blow(self, strike: Strike) -> None:
        if strike.target == "worker":
            workers = [process for found in self._workers().values() for process in found]
            if not workers:
                return
            try:
                workers[int(strike.which * len(workers))].kill()
            except psutil.NoSuchProcess:
                return
        else:
            gateway = self.gateways[int(strike.which * len(self.gateways))]
            if strike.target == "server":
                gateway.kill_server()
            else:
                gateway.kill()
                time.sleep(strike.down_s)
                gateway.start()
        self.report.kills[strike.target] += 1

    def _workers(self) -> dict[str, list[psutil.Process]]:
        """Return the leading worker processes of this storm by their job."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            try:
                attempt = process.environ().get(MARK, "")
                is_worker = "candela.worker" in process.cmdline()
            except (psutil.Error, OSError):
                continue
            if is_worker and attempt.startswith(str(self.folder)):
                job_id = Path(attempt).name.rpartition("-")[0]
                found.setdefault(job_id, []).append(process)
        return found

    def _submit_all(self, numbers: range) -> None:
        for number in numbers:
            kind = kind_of(number)
            url = f"{EXECUTE}&DataInputs={kind.inputs}{ASYNC}"
            answer = self._ask("GET", number, url, {"Idempotency-Key": f"job{number}"})
            job_id = answer.partition("/wps/status/")[2][:36]
            if job_id:
                self._submitted[number] = job_id
            if job_id and kind.is_dismissed:
                time.sleep(number % 7 / 2)
                self._ask("DELETE", number, f"/jobs/{job_id}", {})

    def _ask(self, method: str, number: int, path: str, headers: dict[str, str]) -> str:
        """Ask one gateway after the other until one answers; return nothing if none does."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            number += 1
            gateway = self.gateways[number % len(self.gateways)]
            try:
                answer = requests.request(method, gateway.url + path, headers=headers, timeout=20)
            except requests.RequestException:
                time.sleep(0.1)
                continue
            if answer.status_code == 200 or (method == "DELETE" and answer.status_code == 404):
                return answer.text
            time.sleep(0.1)
        return ""

    def _watch(self) -> None:
        """Look for two living workers of one job."""
        while not self._over.wait(0.1):
            for job_id, processes in self._workers().items():
                if len(processes) > 1:
                    self.report.twice.append(f"{job_id}: {[each.pid for each in processes]}")

    def _wait_for_all(self) -> None:
        """Wait until every job has ended, its worker too, and what was dismissed is gone."""
        store = JobStore(self.database)
        deadline = time.monotonic() + PATIENCE_S + self.report.jobs
        while time.monotonic() < deadline:
            try:
                unfinished = store.count(states=[state for state in State if not state.is_final])
            except UnavailableError:  # SQLite, in the middle of a kill
                unfinished = -1
            dismissed = [job for number, job in self._submitted.items() if kind_of(number)[2]]
            left = [job for job in dismissed if self.storage.list(f"jobs/{job}")]
            if not unfinished and not left and not self._at_work():
                break
            time.sleep(0.2)
        store.close()

    def _at_work(self) -> list[Path]:
        """Return the work folders and records of attempts that have not come to their end."""
        folders = [gateway.data / "work" for gateway in self.gateways]
        return [path for each in folders for path in each.iterdir() if path.name.count("-") > 3]

    def _judge(self) -> None:
        store = JobStore(self.database)
        jobs = {job.id: job for job in store.jobs(limit=10 * self.report.jobs)}
        self.report.states = dict(Counter(str(job.state) for job in jobs.values()))
        self.report.attempts = dict(sorted(Counter(str(j.attempt) for j in jobs.values()).items()))
        for number in range(self.report.jobs):
            job_id, kind = self._submitted.get(number, ""), kind_of(number)
            job = jobs.pop(job_id, None)
            if job is None:
                if not (job_id and kind.is_dismissed):  # one that had ended is removed
                    self.report.lost.append(f"job{number}")
            elif not job.state.is_final:
                self.report.stuck.append(f"{job.id}: {job.state} {job.message}")
            elif job.state is not kind.end:
                self.report.wrong.append(f"{job.id}: {job.state} {job.message}")
            else:
                self._judge_end(number, job, [event.state for event in store.events(job.id)])
        self.report.twice += [f"{job_id}: nobody's" for job_id in jobs]
        store.close()

    def _judge_end(self, number: int, job: Job, states: list[State]) -> None:
        if sum(state.is_final for state in states) != 1:
            self.report.twice.append(f"{job.id}: {states}")
        if job.state is State.FAILED and "file:///none.xml" not in job.message:
            self.report.wrong.append(f"{job.id}: failed for {job.message}")
        if job.state is State.SUCCEEDED:
            if job.result is None or job.result.attempt != job.attempt:
                self.report.twice.append(f"{job.id}: the result is of another attempt")
            elif job.result.outputs["literalOutput"].value != f"job{number}":
                self.report.wrong.append(f"{job.id}: another job's result")
            elif states.count(State.PUBLISHING) != 1:
                self.report.twice.append(f"{job.id}: {states}")

    def _find_litter(self) -> None:
        for job_id, processes in self._workers().items():
            self.report.litter += [f"process {each.pid} of {job_id}" for each in processes]
        self.report.litter += [str(path.relative_to(self.folder)) for path in self._at_work()]
        self.storage.sweep(time.time(), ())  # what the reconciler does after an hour
        store = JobStore(self.database)
        rows = {job.id: job for job in store.jobs(limit=10 * self.report.jobs)}
        store.close()
        kept: dict[str, set[str]] = {}
        for key in self.storage.list("jobs"):
            _, job_id, name = key.split("/")[:3]
            kept.setdefault(job_id, set()).add(name)
        for job_id, names in kept.items():
            job = rows.get(job_id)
            if job is None or job.state is State.DISMISSED or names - FILES:
                self.report.litter.append(f"{job_id}: {sorted(names)}")
        unfinished = (self.folder / "storage" / ".scratch").iterdir()
        self.report.litter += [f"unfinished {path.name}" for path in unfinished]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", default="", help="SQLAlchemy URL (default: SQLite)")
    parser.add_argument("--gateways", type=int, default=1, help="on one store")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(
            Path(folder),
            jobs=options.jobs,
            seed=options.seed,
            database=options.database,
            gateways=options.gateways,
        )
        report = storm.run()
        print(json.dumps(asdict(report), indent=2))
    raise SystemExit(0 if report.is_clean else 1)


if __name__ == "__main__":
    main()
