"""Sends news of jobs to subscribers, in threads of its own; no request waits for it.

Each callback is sent at least once, and by one gateway unless that dies in between. It is given up
after so many attempts and so much time, or when the server refuses it for good.
"""

import http.client
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from candela.backoff import Backoff
from candela.contract.addresses import AddressGuard
from candela.contract.names import without_secrets
from candela.errors import (
    CandelaError,
    NotFoundError,
    ReferenceUnavailableError,
    StorageError,
    UnavailableError,
)
from candela.jobs.callbacks import Callback, CallbackQueue
from candela.jobs.model import Job, now
from candela.jobs.store import JobStore

logger = logging.getLogger(__name__)

ROUND_S = 1.0
AWAY_ROUND_S = 5.0  # while the database is away
ORPHANS_S = 600.0
THREADS = 8
THREADS_OF_HOST = 2  # so that a slow server holds up no other
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
BACKOFF = Backoff(5.0, 3600.0, factor=3.0)
BODY_TYPE = "application/json"


@dataclass(frozen=True)
class Delivery:
    """How often and how long a callback is tried.

    Attributes
    ----------
    attempts : int
        How often, in all.
    backoff : Backoff
        The pauses between attempts.
    life_s : float
        After the first attempt; then a callback that was not delivered is given up.
    connect_s, total_s : float
        How long a connection, and a whole attempt, may take.
    lease_s : float
        After which a callback of a gateway that died is sent again.
    """

    attempts: int = 10
    backoff: Backoff = BACKOFF
    life_s: float = 86_400.0
    connect_s: float = 5.0
    total_s: float = 15.0
    lease_s: float = 180.0


class TransientError(Exception):
    """Trying again may help."""


class CallbackSender:
    """Sends what is due.

    Parameters
    ----------
    store : JobStore
        The jobs.
    guard : AddressGuard
        Which addresses may be connected to.
    body : callable
        Returns the JSON text of what is told of a job, as it is now.
    delivery : Delivery, optional
        How often and how long.
    """

    def __init__(
        self,
        store: JobStore,
        guard: AddressGuard,
        body: Callable[[Job], bytes],
        *,
        delivery: Delivery | None = None,
    ) -> None:
        self._store = store
        self._guard = guard
        self._body = body
        self._delivery = delivery or Delivery()
        self._queue = CallbackQueue(store.database, lease_s=self._delivery.lease_s)
        self._sending: Counter[str] = Counter()  # by host
        self._lock = threading.Lock()
        self._tls = ssl.create_default_context()
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="callback")
        self._thread = threading.Thread(target=self._work, name="callbacks", daemon=True)

    def start(self) -> None:
        """Begin to work, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is being sent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._threads.shutdown(wait=True)

    def _work(self) -> None:
        orphans_are_due = 0.0
        while not self._stopping.is_set():
            pause_s = ROUND_S
            try:
                self.round()
                if time.monotonic() >= orphans_are_due:
                    self._queue.forget_orphans()
                    orphans_are_due = time.monotonic() + ORPHANS_S
            except UnavailableError as error:
                logger.warning("Callbacks are paused: %s", error)
                pause_s = AWAY_ROUND_S
            except Exception:
                logger.exception("A look for callbacks failed; retrying")
                pause_s = AWAY_ROUND_S
            self._stopping.wait(pause_s)

    def round(self) -> int:
        """Begin to send what is due, as far as there are threads; return how many."""
        begun = 0
        for callback in self._queue.due(10 * THREADS):
            host = urlsplit(callback.url).netloc
            if not self._reserve(host):
                continue
            try:
                taken = self._queue.take(callback)
            except CandelaError:
                self._release(host)
                raise
            if taken is None:
                self._release(host)
                continue
            self._threads.submit(self._send, taken, host)
            begun += 1
        return begun

    def _reserve(self, host: str) -> bool:
        with self._lock:
            if self._sending.total() >= THREADS or self._sending[host] >= THREADS_OF_HOST:
                return False
            self._sending[host] += 1
            return True

    def _release(self, host: str) -> None:
        with self._lock:
            self._sending[host] -= 1
            self._sending += Counter()  # without zeros

    def _send(self, callback: Callback, host: str) -> None:
        try:
            self._attempt(callback)
        except UnavailableError as error:  # it is due again when its lease is over
            logger.warning("The callback of job %s waits: %s", callback.job, error)
        except Exception:
            logger.exception("The callback of job %s failed; retrying", callback.job)
        finally:
            self._release(host)

    def _attempt(self, callback: Callback) -> None:
        shown = without_secrets(callback.url)
        try:
            post(callback.url, self._body(self._store.get(callback.job)), self._guard,
                 tls=self._tls, delivery=self._delivery)  # fmt: skip
        except NotFoundError:
            self._queue.finish(callback)
        except ReferenceUnavailableError as error:
            self._give_up(callback, error.message)
        except (TransientError, StorageError) as error:
            reason = "the storage does not answer" if isinstance(error, StorageError) else error
            self._retry(callback, f"{shown}: {reason}")
        else:
            self._queue.finish(callback)
            logger.info("Told %s of job %s: %s", shown, callback.job, callback.event)

    def _retry(self, callback: Callback, reason: str) -> None:
        attempts = callback.attempts
        pause_s = self._delivery.backoff.pause_s(attempts)
        age_s = (now() - callback.since).total_seconds()
        if attempts >= self._delivery.attempts or age_s + pause_s > self._delivery.life_s:
            self._give_up(callback, f"{reason} (at the last of {attempts} attempts)")
            return
        logger.warning(
            "Job %s, %s: %s; next attempt in %g s", callback.job, callback.event, reason, pause_s
        )
        self._queue.postpone(callback, pause_s)

    def _give_up(self, callback: Callback, reason: str) -> None:
        logger.warning("Job %s, %s was not told: %s", callback.job, callback.event, reason)
        self._queue.finish(callback, failure=reason)


def post(
    url: str, body: bytes, guard: AddressGuard, *, tls: ssl.SSLContext, delivery: Delivery
) -> None:
    """Send a document; redirects are not followed, and the answer's body is not read.

    Raises
    ------
    ReferenceUnavailableError
        If it may not be sent there, or the server refuses it for good.
    TransientError
        If it cannot be sent now.
    """
    guard.check(url)
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    headers = {"Host": parts.netloc, "Content-Type": BODY_TYPE, "User-Agent": "CANDELA"}
    try:
        found = guard.connect(
            parts.hostname or "", parts.port or (443 if is_secure else 80), delivery.connect_s
        )
        with _Limited(found, delivery.total_s) as limited:
            if is_secure:
                limited.secure(tls, parts.hostname or "")
            connection = http.client.HTTPConnection(parts.hostname or "")
            connection.sock = limited.socket
            connection.request("POST", target, body, {**headers, "Connection": "close"})
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise TransientError(_reason(error)) from error
    if status in TRANSIENT:
        raise TransientError(f"the server answered {status}")
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        what = "redirects are not followed" if 300 <= status < 400 else "refused"
        raise ReferenceUnavailableError(
            f"{without_secrets(url)}: the server answered {status}, {what}"
        )


class _Limited:
    """A connection that is cut after a time, also where the server sends a byte now and then."""

    def __init__(self, connection: socket.socket, total_s: float) -> None:
        self.socket = connection
        self._timer = threading.Timer(total_s, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> "_Limited":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.socket.close()

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from now on."""
        secured = context.wrap_socket(
            self.socket, server_hostname=host, do_handshake_on_connect=False
        )
        self.socket = secured
        secured.do_handshake()

    def _cut(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            logger.debug("A connection was closed already")


def _reason(error: Exception) -> str:
    """Say what happened, without addresses inside."""
    if isinstance(error, TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the server's certificate is not trusted"
    if isinstance(error, http.client.HTTPException | ConnectionError):
        return "the server broke off"
    return "no connection to the server"
