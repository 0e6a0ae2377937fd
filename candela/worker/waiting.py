"""Wait for a job: what a worker does that was started before there was one.

It asks the gateway, which answers as soon as there is a job, and else every few seconds. The
gateway may be away for a while; a worker that nobody answers for long, or that is not wanted, ends.
"""

import logging
import time

import requests

from candela.backoff import Backoff
from candela.contract.job import Assignment

logger = logging.getLogger(__name__)

TIMEOUT_S = (2.0, 30.0)  # to connect, to be answered
PATIENCE_S = 600.0  # for a gateway that does not answer
BACKOFF = Backoff(0.2, 5.0)
NOT_YET = requests.codes.no_content
NOT_WANTED = frozenset({requests.codes.forbidden, requests.codes.not_found})


def await_job(url: str, token: str, *, patience_s: float = PATIENCE_S) -> Assignment | None:
    """Ask until there is a job; return which.

    Parameters
    ----------
    url : str
        Where to ask.
    token : str
        Shows who asks.
    patience_s : float, optional
        How long to go on when nobody answers.

    Returns
    -------
    Assignment or None
        None if there will be none: this worker is not wanted, or there is no gateway.
    """
    heard = time.monotonic()
    failures = 0
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        while time.monotonic() < heard + patience_s:
            try:
                answer = session.get(url, timeout=TIMEOUT_S, allow_redirects=False)
                if answer.status_code == requests.codes.ok:
                    told = answer.json()
                    return Assignment(str(told["job"]), int(told.get("attempt", 1)))
            except (requests.RequestException, KeyError, TypeError, ValueError) as error:
                logger.debug("No answer from the gateway: %s", error)
            else:
                if answer.status_code in NOT_WANTED:
                    logger.info("The gateway released this worker (HTTP %s)", answer.status_code)
                    return None
                if answer.status_code == NOT_YET:
                    heard, failures = time.monotonic(), 0
                    time.sleep(float(answer.headers.get("Retry-After", 0)))
                    continue
            failures += 1
            time.sleep(BACKOFF.pause_s(failures))
    logger.warning("No gateway has answered for %.0f s", patience_s)
    return None
