"""Memory of a process that lives long."""

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Return free memory to the machine: what a large document was parsed into stays otherwise.

    The C library keeps what many small pieces took, for each thread: see malloc_trim(3).
    Where there is no such function, nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
