"""The log of a job: what its pods say, kept where it outlives them."""

from collections.abc import Sequence

from candela.contract.job import LOG_FILE, job_key
from candela.errors import NotFoundError
from candela.runners.base import Cause, RunState
from candela.runners.cluster import Namespace, name_of
from candela.runners.reflector import Object
from candela.storage import Storage

TAIL_CHARACTERS = 64 * 2**10


class AttemptLogs:
    """The logs of the jobs of one namespace.

    Each pod's part of a log has a heading with its name, by which it is known to be there.
    """

    def __init__(self, storage: Storage, namespace: Namespace) -> None:
        self._storage = storage
        self._namespace = namespace

    def tail(self, job_id: str, pods: Sequence[Object]) -> str:
        """Return the end of what a job said, in all its attempts."""
        kept = self._kept(job_id)
        return "".join([kept, *self._missing(kept, pods)])[-TAIL_CHARACTERS:]

    def keep(self, job_id: str, pods: Sequence[Object], attempt: int, state: RunState) -> None:
        """Put what the pods of an attempt said into the storage; doing it twice is harmless."""
        kept = self._kept(job_id)
        missing = self._missing(kept, pods)
        if state.cause is not Cause.FINISHED:
            end = f"Attempt {attempt} has ended: {state.cause}, {state.message}\n"
            missing += [end] if end not in kept else []
        if missing:
            self._storage.write(job_key(job_id, LOG_FILE), "".join([kept, *missing]).encode())

    def _kept(self, job_id: str) -> str:
        try:
            return self._storage.read(job_key(job_id, LOG_FILE)).decode(errors="replace")
        except NotFoundError:
            return ""

    def _missing(self, kept: str, pods: Sequence[Object]) -> list[str]:
        """Return the logs of the pods that are not in what is kept, each under its heading."""
        headings = {f"--- {name_of(pod)}\n": name_of(pod) for pod in pods}
        logs = {
            heading: self._namespace.log(name)
            for heading, name in headings.items()
            if heading not in kept
        }
        return [heading + log for heading, log in logs.items() if log is not None]
