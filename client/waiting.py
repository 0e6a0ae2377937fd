"""Wait for a job: gentle on the server, patient with the network."""

import time
from collections.abc import Callable

from candela.client.errors import ServerUnreachableError, WaitTimeoutError
from candela.client.status import JobInfo

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
GROWTH = 1.4
PATIENCE_S = 60.0  # how long a server may be away before a waiter gives up


def follow(
    look: Callable[[], JobInfo],
    tell: Callable[[JobInfo], None],
    *,
    timeout_s: float | None = None,
    patience_s: float = PATIENCE_S,
) -> JobInfo:
    """Look at a job until it has ended.

    Parameters
    ----------
    look : callable
        Asks the server.
    tell : callable
        Is called with each answer.
    timeout_s : float, optional
        How long to wait; by default for ever.
    patience_s : float
        How long the server may be away; a gateway that is restarted is back in seconds, and its
        jobs go on.

    Raises
    ------
    WaitTimeoutError
        If the job has not ended in time.
    ServerUnreachableError
        If the server stays away.
    """
    begin = time.monotonic()
    last_answer, pause_s = begin, FIRST_PAUSE_S
    while True:
        try:
            info = look()
        except ServerUnreachableError:
            if time.monotonic() - last_answer > patience_s:
                raise
        else:
            last_answer = time.monotonic()
            tell(info)
            if info.status.is_final:
                return info
        left_s = float("inf") if timeout_s is None else begin + timeout_s - time.monotonic()
        if left_s <= 0:
            raise WaitTimeoutError(f"the job has not ended within {timeout_s:g} s; it goes on")
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * GROWTH, LONGEST_PAUSE_S)
