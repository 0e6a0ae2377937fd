"""What the benchmarks of requests by a grammar share: a gateway, the cases, and the report."""

import argparse
import gc
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil
from flask.testing import FlaskClient

from candela.gateway.app import Gateway
from candela.settings import Settings

GROWTH_MIB = 100


class Cases(Protocol):
    """Requests of one grammar, and what came of them."""

    counts: Counter[str]
    faults: list[str]
    slowest_s: float

    def step(self) -> None:
        """Send one request."""


def memory_mib() -> float:
    """Return the memory of this process, without what is only kept for later."""
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


def run_cases(description: str, make: Callable[[FlaskClient, int], Cases]) -> int:
    """Run the requests that the command line asks for, print what came of them, and judge it."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="candela-grammar-") as folder:
        gateway = Gateway.assemble(Settings(data=Path(folder), grace_s=0, sync_timeout_s=0.001))
        run = make(gateway.application().test_client(), given.seed)
        for case in range(given.cases):
            if case == given.cases // 10:
                before = memory_mib()
            run.step()
        growth = memory_mib() - before
        gateway.stop()
    for name, count in sorted(run.counts.items()):
        print(f"{count:8d}  {name}")
    print(
        f"{given.cases} requests in {time.perf_counter() - start:.0f} s, the slowest took "
        f"{run.slowest_s:.2f} s; memory grew by {growth:.0f} MiB; {len(run.faults)} faults"
    )
    for fault in run.faults[:10]:
        print(ascii(fault))
    return 1 if run.faults or growth > GROWTH_MIB else 0
