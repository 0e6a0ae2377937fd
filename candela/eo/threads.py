"""How many threads this process may use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_limit: int | None = None


def use_threads(count: int) -> None:
    """Let all of ``candela.eo`` use at most ``count`` threads in this process."""
    global _limit
    _limit = count


def thread_count() -> int:
    """Return the number of threads to use: the limit set, else the CPUs of this process."""
    available = len(os.sched_getaffinity(0))
    return available if _limit is None else max(1, _limit)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let products and solutions of matrices take one thread, where many are computed at once.

    Otherwise each takes all threads, and they wait for each other.
    """
    with threadpool_limits(1, user_api="blas"):
        yield
