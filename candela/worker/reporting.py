"""Report progress: to the log and, best effort, to the gateway."""

import logging
import math
import threading
import time

import requests

from candela.contract.job import ProgressTarget

logger = logging.getLogger(__name__)

INTERVAL_S = 0.5  # between two reports
SHORT_S = 0.2  # a job that takes no longer reports its end alone
TIMEOUT_S = (2.0, 5.0)  # to connect, to be answered
LAST_WAIT_S = 3.0  # how long the end of a job waits for the last report


class Reporter:
    """A ``Progress`` that never makes the work wait and never fails.

    A thread reports the latest state at most twice a second; what came in between is skipped, the
    last state never, unless something is reported after it.

    Parameters
    ----------
    target : ProgressTarget, optional
        The gateway; without one progress is only logged.
    """

    def __init__(self, target: ProgressTarget | None) -> None:
        self._target = target
        self._latest: tuple[float, str] | None = None
        self._changed = threading.Condition()
        self._is_closed = False
        self._last = ""
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def __call__(self, percent: float, message: str) -> None:
        """Take note of how far the work is."""
        percent = min(100.0, max(0.0, percent)) if math.isfinite(percent) else 0.0
        with self._changed:
            self._latest = (round(percent, 1), message)
            self._changed.notify()

    def close(self, last: str = "") -> None:
        """Report the last state, if there is time, and stop.

        Parameters
        ----------
        last : str, optional
            What is reported after it, to the gateway alone.
        """
        with self._changed:
            self._last = last
            self._is_closed = True
            self._changed.notify()
        self._thread.join(LAST_WAIT_S)

    def _run(self) -> None:
        pause_s = SHORT_S
        with requests.Session() as session:
            while (state := self._next()) is not None:
                logger.info("%.1f %%: %s", *state)
                self._wait(pause_s)
                if not (self._is_closed and self._last):
                    self._post(session, *state)
                self._wait(INTERVAL_S)
                pause_s = 0.0
            if self._last:
                self._post(session, 100.0, self._last)

    def _wait(self, timeout_s: float) -> None:
        """Let time pass, but for that after the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, timeout_s)

    def _next(self) -> tuple[float, str] | None:
        """Wait for a new state; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._latest is not None or self._is_closed)
            state, self._latest = self._latest, None
            return state

    def _post(self, session: requests.Session, percent: float, message: str) -> None:
        if self._target is None:
            return
        started = time.monotonic()
        try:
            session.post(
                self._target.url,
                json={"percent": percent, "message": message},
                headers={"Authorization": f"Bearer {self._target.token}"},
                timeout=TIMEOUT_S,
                allow_redirects=False,
            ).close()
        except requests.RequestException as error:
            waited = time.monotonic() - started
            logger.debug("Progress was not reported after %.1f s: %s", waited, error)
