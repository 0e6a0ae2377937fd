"""How fast a page of jobs is found by each combination of filters, on both databases.

    python benchmarks/job_queries.py [--jobs 100000] [--url postgresql+psycopg://...]

The jobs are of 50 owners and 10 processes, four fifths of them have succeeded, two thirds have a
footprint. Every combination of the filters is asked, by an operator and by an owner, for the
first page and for one further on; a filter is either of what is common or of what is rare. Without
a URL, PostgreSQL is started here if it is installed.
"""

import argparse
import datetime as dt
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from candela.contract.job import OutputFile, ResultDocument
from candela.jobs.footprints import Footprint
from candela.jobs.listing import JobQuery, Position, TimeInterval
from candela.jobs.model import Job, State, new_id
from candela.jobs.request import ExecuteRequest
from candela.jobs.rows import columns_of
from candela.jobs.store import JobStore
from candela.jobs.tables import JOBS

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from databases import find_binaries, postgres_server

BATCH = 5000
OWNERS, PROCESSES = 50, 10
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STATES = {
    State.SUCCEEDED: 80, State.FAILED: 10, State.DISMISSED: 5, State.ACCEPTED: 4, State.RUNNING: 1,
}  # fmt: skip


def made(number: int, seeded: random.Random) -> Job:
    """Return a job, a minute younger than the one before, with a request and a result as usual."""
    time_ = START + dt.timedelta(minutes=number)
    (state,) = seeded.choices(list(STATES), list(STATES.values()))
    west, south = seeded.uniform(-180, 179), seeded.uniform(-80, 79)
    output = OutputFile(file="a.tif", media_type="image/tiff", size=1, sha256="0" * 64)
    job = Job(
        new_id(), f"Process{seeded.randrange(PROCESSES)}", "1.0.0", time_, time_,
        request=ExecuteRequest(inputs={"literal": ["x" * 500]}), state=state,
        owner=f"owner{seeded.randrange(OWNERS)}", message="a message of usual length",
    )  # fmt: skip
    if seeded.random() < 2 / 3:
        job = replace(job, footprint=Footprint(west, south, west + 1, south + 1))
    if state is State.RUNNING:
        return replace(job, started=time_)
    if state is State.SUCCEEDED:
        outputs = dict.fromkeys("abc", output)
        job = replace(job, result=ResultDocument(job=job.id, status="succeeded", outputs=outputs))
    if state is not State.ACCEPTED:
        run_s = seeded.expovariate(1 / 300)
        finished = time_ + dt.timedelta(seconds=run_s)
        job = replace(job, started=time_, finished=finished, run_s=run_s)
    return job


def fill(store: JobStore, jobs: int) -> None:
    """Write jobs."""
    seeded = random.Random(0)
    for first in range(0, jobs, BATCH):
        rows = [columns_of(made(n, seeded)) for n in range(first, min(jobs, first + BATCH))]
        with store.database.write() as connection:
            connection.execute(sa.insert(JOBS), rows)


def queries(jobs: int) -> Iterator[JobQuery]:
    """Yield all combinations of filters, of what is common and of what is rare."""
    middle = START + dt.timedelta(minutes=jobs // 2)
    offered: list[list[dict[str, object]]] = [
        [{}, {"processes": ["Process1"]}, {"processes": ["Process1", "Process2", "none"]}],
        [{}, {"states": [State.SUCCEEDED, State.FAILED]}, {"states": [State.RUNNING]}],
        [{}, {"created": TimeInterval(middle)}, {"created": TimeInterval(None, middle)}],
        [{}, {"min_duration_s": 10.0, "max_duration_s": 600.0}, {"min_duration_s": 3000.0}],
        [{}, {"bbox": (-10, 35, 30, 70)}, {"bbox": (10.0, 45.0, 10.1, 45.1)}],
        [{}, {"token": Position(middle, "x").token()}],
    ]
    for chosen in itertools.product(*offered):
        filters = {name: value for each in chosen for name, value in each.items()}
        yield JobQuery(limit=100, **filters)  # type: ignore[arg-type]


def measure(store: JobStore, jobs: int) -> dict[str, object]:
    """Ask for all pages; return latencies (ms)."""
    found: dict[str, object] = {}
    for name, scope in (("operator", None), ("owner", "owner7")):
        times, worst = [], (0.0, "")
        for query in queries(jobs):
            start = time.perf_counter()
            page = store.page(query, owner=scope)
            took = 1000 * (time.perf_counter() - start)
            times.append(took)
            worst = max(worst, (took, f"{len(page.jobs)} jobs of {query}"))
        times.sort()
        found[name] = {
            "pages": len(times),
            "p50_ms": round(times[len(times) // 2], 1),
            "p95_ms": round(times[int(0.95 * (len(times) - 1))], 1),
            "worst_ms": round(worst[0], 1),
            "worst": worst[1],
        }
    return found


def measured(url: str, jobs: int) -> dict[str, object]:
    """Fill a database and measure it."""
    with closing(JobStore(url)) as store:
        fill(store, jobs)
        found = {"before vacuum": measure(store, jobs)} if url.startswith("postgresql") else {}
        if found:
            engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:  # as autovacuum does a minute later
                connection.execute(sa.text("VACUUM ANALYZE job"))
            engine.dispose()
        return {**found, "settled": measure(store, jobs)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--url", help="of an empty PostgreSQL database")
    options = parser.parse_args()
    results: dict[str, object] = {"jobs": options.jobs, "load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'candela.db'}"
        results["sqlite"] = measured(url, options.jobs)
    binaries = None if options.url else find_binaries()
    if options.url:
        results["postgresql"] = measured(options.url, options.jobs)
    elif binaries:
        with postgres_server(binaries) as url:
            results["postgresql"] = measured(url, options.jobs)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
