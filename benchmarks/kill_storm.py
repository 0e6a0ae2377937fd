"""Jobs under a storm of SIGKILL: none may be lost, run twice, get stuck or leave litter.

    python benchmarks/kill_storm.py [--jobs 200] [--seed 0] [--database postgresql+psycopg://...]
                                    [--gateways 2]
    KUBECONFIG=... python benchmarks/kill_storm.py --cluster [--jobs 100] [--seed 0]

Jobs of several kinds are submitted by clients that try again, under idempotency keys, while
gateways, their serving processes (with the dispatcher) and workers are killed and started again.
Some jobs are meant to fail, some are dismissed on the way. What is killed when is drawn from the
seed before the storm, so a run that fails is repeated by its seed, as far as a race can be.

In a cluster, which must run on this machine with our images in it, two gateways are deployed with a
PostgreSQL and a bucket of this machine. Struck are processes and pods of gateways and workers, the
database and the connections to it, the way to the bucket, and the cluster's own programs.
"""

import argparse
import json
import logging
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import requests
from _storm_places import LEAST_STRIKES, Here, Place, strikes

from candela.contract.job import job_file
from candela.errors import UnavailableError
from candela.jobs.model import JobOutcome, State
from candela.jobs.store import JobStore

logger = logging.getLogger(__name__)

EXECUTE = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
ASYNC = "&storeExecuteResponse=true&status=true"
PATIENCE_S = 180.0
SUBMITTERS = 4
FILES = {"log.txt", "result.json", "outputs"}  # and a document of each attempt


class Kind(NamedTuple):
    """What a job of the storm does, and how it must end."""

    inputs: str
    end: State
    is_dismissed: bool = False


def kind_of(number: int, pace: float = 1.0) -> Kind:
    """Return the kind of a job: two in ten write a file, one is refused, one is dismissed."""
    is_dismissed = number % 10 == 9
    pause_s = pace * (2 if is_dismissed else number * 7 % 10 / 10)
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
    kills: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)  # of further attempts
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
    """One run, at one place."""

    def __init__(self, place: Place, *, jobs: int, seed: int) -> None:
        self.place = place
        self.report = Report(jobs, seed, dict.fromkeys(place.targets, 0))
        self._key = uuid.uuid4().hex
        self._known: set[str] = set()  # jobs from before
        self._submitted: dict[int, str] = {}  # job id by number
        self._over = threading.Event()

    def run(self) -> Report:
        """Blow until every job was submitted and half have ended; then let all come to an end."""
        start = time.monotonic()
        self.place.start()
        with closing(JobStore(self.place.database)) as self._store:
            self._blow()
            self.place.stop()
            self._find_litter()
        self.report.seconds = round(time.monotonic() - start, 1)
        return self.report

    def _blow(self) -> None:
        self._known = set(self._jobs())
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
            for strike in strikes(self.report.seed, self.place.targets, self.place.pace):
                is_submitting = any(thread.is_alive() for thread in submitters)
                if not is_submitting and not self._strikes_are_owed() and self._half_have_ended():
                    break
                time.sleep(strike.after_s)
                hits = self.place.strike(strike)
                self.report.kills[strike.target] += hits
                logger.info("%s %s", "Struck" if hits else "Missed", strike)
            logger.info("The storm is over: %s", self.report.kills)
            self._wait_for_all()
        finally:
            self._over.set()
            watcher.join()
        self._judge()

    def _strikes_are_owed(self) -> bool:
        """Tell whether a short storm was too tame."""
        kills = self.report.kills
        owed = [kills[target] for target in self.place.owed]
        return any(count < LEAST_STRIKES for count in (sum(kills.values()), *owed))

    def _half_have_ended(self) -> bool:
        try:
            ended = [job for job in self._jobs().values() if job.state.is_final]
        except UnavailableError:
            return False
        return 2 * len(ended) >= self.report.jobs

    def _submit_all(self, numbers: range) -> None:
        for number in numbers:
            kind = kind_of(number, self.place.pace)
            url = f"{EXECUTE}&DataInputs={kind.inputs}{ASYNC}"
            key = f"{self._key}-{number}"
            answer = self._ask("GET", number, url, {"Idempotency-Key": key})
            job_id = answer.partition("/wps/status/")[2][:36]
            if job_id:
                self._submitted[number] = job_id
            if job_id and kind.is_dismissed:
                time.sleep(self.place.pace * (number % 7 / 2))
                self._ask("DELETE", number, f"/jobs/{job_id}", {})

    def _ask(self, method: str, number: int, path: str, headers: dict[str, str]) -> str:
        """Ask one gateway after the other until one answers; return nothing if none does."""
        deadline = time.monotonic() + PATIENCE_S
        urls = self.place.urls()
        while time.monotonic() < deadline:
            number += 1
            url = urls[number % len(urls)] + path
            try:
                answer = requests.request(method, url, headers=headers, timeout=20)
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
            for job_id, pids in self.place.workers().items():
                if len(pids) > 1:
                    self.report.twice.append(f"{job_id}: {pids}")

    def _wait_for_all(self) -> None:
        """Wait until every job has ended, its worker too, and what was dismissed is gone."""
        deadline = time.monotonic() + PATIENCE_S + self.place.pace * self.report.jobs
        while time.monotonic() < deadline:
            try:
                unfinished = [job for job in self._jobs().values() if not job.state.is_final]
            except UnavailableError:  # SQLite, in the middle of a kill
                continue
            dismissed = [job for number, job in self._submitted.items() if kind_of(number)[2]]
            left = [job for job in dismissed if self.place.storage.list(f"jobs/{job}")]
            at_work = self.place.at_work()
            if not unfinished and not left and not at_work:
                break
            logger.debug("%s unfinished, left %s, at work %s", len(unfinished), left, at_work)
            time.sleep(0.2)

    def _jobs(self) -> dict[str, JobOutcome]:
        """Return all jobs of the storm by their id."""
        found = self._store.outcomes(limit=len(self._known) + 10 * self.report.jobs)
        return {job.id: job for job in found if job.id not in self._known}

    def _judge(self) -> None:
        jobs = self._jobs()
        self.report.states = dict(Counter(str(job.state) for job in jobs.values()))
        self.report.attempts = dict(sorted(Counter(str(j.attempt) for j in jobs.values()).items()))
        for number in range(self.report.jobs):
            job_id, kind = self._submitted.get(number, ""), kind_of(number)
            job = jobs.pop(job_id, None)
            if job is None:
                self.report.lost.append(f"job{number}")
            elif not job.state.is_final:
                self.report.stuck.append(f"{job.id}: {job.state} {job.message}")
            elif job.state is not kind.end:
                self.report.wrong.append(f"{job.id}: {job.state} {job.message}")
            else:
                self._judge_end(number, job)
        self.report.twice += [f"{job_id}: nobody's" for job_id in jobs]

    def _judge_end(self, number: int, job: JobOutcome) -> None:
        events = self._store.events(job.id)
        states = [event.state for event in events]
        again = [e.message.partition(";")[0] for e in events if e.state is State.ACCEPTED][1:]
        self.report.reasons = dict(Counter(self.report.reasons) + Counter(again))
        ends = [state for state in states if state.is_final]
        if ends != [job.state] and ends != [State.SUCCEEDED, State.DISMISSED]:  # after its end
            self.report.twice.append(f"{job.id}: {states}")
        stored = self.place.stored(job)
        if not stored <= {job.attempt}:
            self.report.twice.append(f"{job.id}: results of attempts {sorted(stored)}")
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
        for job_id, pids in self.place.workers().items():
            self.report.litter += [f"process {pid} of {job_id}" for pid in pids]
        self.report.litter += [*self.place.at_work(), *self.place.left_over()]
        rows = self._jobs()
        kept: dict[str, set[str]] = {}
        for key in self.place.storage.list("jobs"):
            _, job_id, name = key.split("/")[:3]
            if job_id not in self._known:
                kept.setdefault(job_id, set()).add(name)
        for job_id, names in kept.items():
            job = rows.get(job_id)
            documents = {job_file(number + 1) for number in range(job.attempt if job else 0)}
            if job is None or job.state is State.DISMISSED or names - FILES - documents:
                self.report.litter.append(f"{job_id}: {sorted(names)}")
        for _ in range(2):  # the first is what the reconciler does after an hour
            unfinished = self.place.storage.sweep(time.time(), lambda _: False)
        self.report.litter += [f"unfinished {name}" for name in unfinished]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", default="", help="SQLAlchemy URL (default: SQLite)")
    parser.add_argument("--gateways", type=int, default=1, help="on one store")
    parser.add_argument("--cluster", action="store_true", help="in the cluster of KUBECONFIG")
    parser.add_argument("--verbose", action="store_true", help="tell of each blow")
    options = parser.parse_args()
    if options.verbose:
        logging.basicConfig(format="%(asctime)s %(message)s")
        logger.setLevel(logging.DEBUG)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # nothing is left
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if options.cluster:
            sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
            from _storm_cluster import deployed_place

            place: Place = stack.enter_context(deployed_place())
        else:
            place = Here(Path(folder), database=options.database, gateways=options.gateways)
        jobs = options.jobs or (100 if options.cluster else 200)
        report = Storm(place, jobs=jobs, seed=options.seed).run()
        print(json.dumps(asdict(report), indent=2))
    raise SystemExit(0 if report.is_clean else 1)


if __name__ == "__main__":
    main()
