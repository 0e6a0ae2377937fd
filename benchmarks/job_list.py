"""How fast jobs are listed and looked up among many, and what 5 000 queued jobs cost.

    python benchmarks/job_list.py [--finished 100000] [--queued 5000]

The jobs are written into the database directly; then a gateway whose dispatcher is not started
answers over HTTP on this machine.
"""

import argparse
import json
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
import sqlalchemy as sa
from gateway import ask, connect, served_folder

from candela.jobs.database import open_engine
from candela.jobs.model import Job, State, new_id, now
from candela.jobs.request import ExecuteRequest
from candela.jobs.rows import columns_of
from candela.jobs.store import JobStore
from candela.jobs.tables import JOBS

REQUESTS = 200
BATCH = 5000


def fill(url: str, *, finished: int, queued: int) -> list[str]:
    """Write jobs; return the ids of the queued ones."""
    JobStore(url).close()
    engine = open_engine(url)
    time_ = now()
    request = ExecuteRequest(inputs={"literal": ["hello"]})
    done = Job(
        "", "Echo", "1.0.0", time_, time_, request=request, state=State.SUCCEEDED,
        message="succeeded", percent=100.0, started=time_, finished=time_,
    )  # fmt: skip
    waiting = Job("", "Echo", "1.0.0", time_, time_, request=request)
    jobs = [replace(done, id=new_id()) for _ in range(finished)]
    ids = [new_id() for _ in range(queued)]
    jobs += [replace(waiting, id=job_id) for job_id in ids]
    for first in range(0, len(jobs), BATCH):
        with engine.begin() as connection:
            connection.execute(
                sa.insert(JOBS), [columns_of(job) for job in jobs[first : first + BATCH]]
            )
    engine.dispose()
    return ids


def measure(url: str, paths: list[str]) -> dict[str, float]:
    """Ask for each address in turn; return latencies."""
    connection = connect(url)
    times = []
    for path in paths:
        start = time.perf_counter()
        ask(connection, path)
        times.append(1000 * (time.perf_counter() - start))
    times.sort()
    return {
        "p50_ms": round(times[len(times) // 2], 2),
        "p95_ms": round(times[int(0.95 * (len(times) - 1))], 2),
    }


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process and its children."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return round(sum(each.memory_info().rss for each in family) / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--queued", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'candela.db'}"
        ids = fill(database, finished=options.finished, queued=options.queued)
        random.seed(0)
        with served_folder("candela", folder) as (url, pid):
            before = memory_mib(pid)
            results = {
                "finished": options.finished,
                "queued": options.queued,
                "newest 100 jobs": measure(url, ["/jobs?limit=100"] * REQUESTS),
                "100 queued jobs": measure(url, ["/jobs?limit=100&status=accepted"] * REQUESTS),
                "status of a queued job": measure(
                    url, [f"/wps/status/{random.choice(ids)}" for _ in range(REQUESTS)]
                ),
                "memory_mib": {"before": before, "after": memory_mib(pid)},
            }
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
