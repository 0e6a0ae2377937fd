"""What a job used."""

import resource
import sys
import time

from candela.contract.job import Usage

RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of ru_maxrss


class Meter:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._started = time.time()
        self._start = time.monotonic()
        self._cpu_s = _cpu_s()

    def read(self, *, input_bytes: int, output_bytes: int) -> Usage:
        """Return what was used so far, by this process and its ended children."""
        return Usage(
            started=round(self._started, 3),
            wall_s=round(time.monotonic() - self._start, 3),
            cpu_s=round(_cpu_s() - self._cpu_s, 3),
            max_rss_bytes=RSS_UNIT * max(usage.ru_maxrss for usage in _usages()),
            input_bytes=input_bytes,
            output_bytes=output_bytes,
        )


def _usages() -> tuple[resource.struct_rusage, resource.struct_rusage]:
    return resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)


def _cpu_s() -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in _usages())
