"""Memory of a process that lives long: free memory goes back to the machine.

The C library keeps what is freed, for each of its arenas. Where it is another than glibc, nothing
is done.
"""

import ctypes
from contextlib import suppress

MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE_BLOCK_BYTES = 2**18

_LIBRARY = ctypes.CDLL(None)


def keep_no_large_blocks() -> None:
    """Have large blocks given back as soon as they are free, in this process.

    glibc raises the size from which it does so, up to 32 MiB, each time a larger one is freed.
    """
    with suppress(AttributeError):
        _LIBRARY.mallopt(MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def give_back() -> None:
    """Give back what many small blocks took, such as the tree of a large document."""
    with suppress(AttributeError):
        _LIBRARY.malloc_trim(0)
