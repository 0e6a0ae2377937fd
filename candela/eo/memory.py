"""Memory that is used again and again.

The system clears every page that it gives to a process, and takes large arrays back as soon as they
are freed: where blocks of an image are computed one after the other, that costs a good part of the
time.
"""

import math
import threading

import numpy as np
from numpy.typing import NDArray


class Memory:
    """Arrays of one user: each is overwritten when an array of its name is asked for again."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.float32]] = {}

    def array(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return an array of float32 with any content."""
        size = math.prod(shape)
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = np.empty(size, np.float32)
        return self._arrays[name][:size].reshape(shape)


class ThreadMemory(threading.local):
    """Memories of the thread that asks; freed when it ends.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        self.memories = tuple(Memory() for _ in range(count))
