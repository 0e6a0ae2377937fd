"""Poll a job until it has ended, with growing pauses, through short outages of the server."""

import time
from collections.abc import Callable

from candela.client.errors import ServerUnreachableError, WaitTimeoutError
from candela.client.status import JobInfo

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
GROWTH = 1.4
PATIENCE_S = 60.0  # the longest outage that is waited through


def follow(
    poll: Callable[[], JobInfo],
    on_status: Callable[[JobInfo], None],
    *,
    timeout_s: float | None = None,
    patience_s: float = PATIENCE_S,
) -> JobInfo:
    """Poll a job until it has ended.

    Parameters
    ----------
    poll : callable
        Asks the server for the status.
    on_status : callable
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
            info = poll()
        except ServerUnreachableError:
            if time.monotonic() - last_answer > patience_s:
                raise
        else:
            last_answer = time.monotonic()
            on_status(info)
            if info.status.is_final:
                return info
        left_s = float("inf") if timeout_s is None else begin + timeout_s - time.monotonic()
        if left_s <= 0:
            raise WaitTimeoutError(f"the job has not ended within {timeout_s:g} s; it goes on")
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * GROWTH, LONGEST_PAUSE_S)
