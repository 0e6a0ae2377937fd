"""Exponential backoff: pauses between tries that grow up to a bound."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from logging import Logger
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Backoff:
    """Pauses of ``first_s``, ``factor`` x ``first_s`` and so on, of at most ``longest_s``."""

    first_s: float
    longest_s: float
    factor: float = 2.0

    def pause_s(self, failures: int) -> float:
        """Return the pause after the n-th failure in a row; there is none before the first."""
        if failures < 1:
            return 0.0
        try:
            pause_s = self.first_s * self.factor ** (failures - 1)
        except OverflowError:
            return self.longest_s
        return min(self.longest_s, pause_s)


def retry(
    action: Callable[[], Result],
    error: type[Exception],
    backoff: Backoff,
    *,
    tries: int,
    logger: Logger,
    subject: str = "",
) -> Result:
    """Return what an action returns, at the last of several tries at the latest.

    Parameters
    ----------
    action : callable
        What is tried; it must be harmless to do it twice.
    error : type
        After which another try may help. Others, and that of the last try, are raised.
    backoff : Backoff
        The pauses between tries.
    tries : int
        How many there are in all.
    logger : Logger
        Of who asks for it: what a job's user may see of a log depends on that.
    subject : str, optional
        What the log says before the error.
    """
    for failures in range(1, tries):
        try:
            return action()
        except error as reason:
            pause_s = backoff.pause_s(failures)
            prefix = f"{subject}: " if subject else ""
            logger.warning("%s%s; next try in %g s", prefix, reason, pause_s)
            time.sleep(pause_s)
    return action()
