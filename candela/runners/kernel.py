"""Whether the kernel's out-of-memory killer was at work."""

import time
from pathlib import Path

COUNTERS = Path("/proc/vmstat")  # Linux counts its kills there, those of memory groups too
RECENT_S = 5.0  # from a kill to the moment that a runner learns of it


class KernelKills:
    """Tells whether the kernel has ended a process lately, for want of memory.

    It says only that it ended one, not which: a worker that somebody else killed within the same
    seconds is taken for one of the kernel's.

    Parameters
    ----------
    counters : Path, optional
        The file with the count ``oom_kill``; without one, nothing is known.
    """

    def __init__(self, counters: Path = COUNTERS) -> None:
        self._counters = counters
        self._count = self._read()
        self._grown_at = time.monotonic() - RECENT_S

    def are_recent(self) -> bool:
        """Look, and tell whether there was a kill within the last seconds."""
        count = self._read()
        if count > self._count:
            self._count, self._grown_at = count, time.monotonic()
        return time.monotonic() < self._grown_at + RECENT_S

    def _read(self) -> int:
        try:
            lines = self._counters.read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
