"""How many threads this process may use."""

import os

_limit: int | None = None


def use_threads(count: int) -> None:
    """Let all of ``candela.eo`` use at most ``count`` threads in this process."""
    global _limit
    _limit = count


def thread_count() -> int:
    """Return the number of threads to use: the limit set, else the CPUs of this process."""
    available = len(os.sched_getaffinity(0))
    return available if _limit is None else max(1, _limit)
