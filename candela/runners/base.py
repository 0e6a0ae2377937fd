"""What the dispatcher asks of a runner, be it subprocesses or a cluster."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from candela.contract.job import JobDocument
from candela.spec import RunSpec


@dataclass(frozen=True)
class Limits:
    """What one attempt of a job may use.

    Attributes
    ----------
    cpu : float
        Cores.
    memory_bytes : int
        Of all its processes together.
    timeout_s : float
        From the start of the worker; waiting before that does not count.
    gpu : int
        Graphics processors.
    image : str
        The kind of image of the process (``python``, ``train``), or an image by digest.
    network : bool
        Whether it may connect to public addresses; only a cluster keeps it from that.
    """

    cpu: float = 1
    memory_bytes: int = 2**30
    timeout_s: float = 600
    gpu: int = 0
    image: str = "python"
    network: bool = True

    @classmethod
    def of(cls, run: RunSpec) -> Self:
        """Return what a process.yaml allows."""
        return cls(
            cpu=run.cpu,
            memory_bytes=run.memory_bytes,
            timeout_s=run.timeout,
            gpu=run.gpu,
            image=run.image,
            network=run.network,
        )


class Cause(StrEnum):
    """Why an attempt ended; only ``FINISHED`` has an exit code that says something."""

    FINISHED = "finished"  # by itself: result.json tells how
    OUT_OF_MEMORY = "out_of_memory"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    MACHINE_MEMORY = "machine_memory"  # the kernel ended it: the machine had no more memory
    LOST = "lost"  # killed, or lost with its machine
    # Of a cluster; the message is for the user:
    IMAGE = "image"  # the image cannot be pulled, or the container not be created
    UNSCHEDULABLE = "unschedulable"  # no node has the resources that it asks for
    EVICTED = "evicted"  # it used more disk than it may
    DISRUPTED = "disrupted"  # evicted, preempted, drained or refused by nodes, too often


@dataclass(frozen=True)
class RunState:
    """Where an attempt stands.

    Attributes
    ----------
    cause : Cause, optional
        None while it runs.
    exit_code : int, optional
        Of the worker (see ``candela.worker``), where it is known.
    message : str
        Details for the log and the operator.
    """

    cause: Cause | None = None
    exit_code: int | None = None
    message: str = ""

    @property
    def is_running(self) -> bool:
        """Whether the attempt has not ended yet."""
        return self.cause is None


@dataclass(frozen=True)
class Ended:
    """An attempt that has ended since the last look."""

    reference: str
    job_id: str
    attempt: int
    state: RunState


class Runner(Protocol):
    """Runs jobs. All methods may be repeated without harm and called by several threads."""

    @property
    def name(self) -> str:
        """What tells this backend from others: who has the same name sees the same attempts."""

    def submit(self, job: JobDocument, limits: Limits) -> str:
        """Write the document of an attempt and start it, unless it was started before.

        Returns
        -------
        str
            The backend reference: what ``state`` and ``cancel`` take, also those of another
            gateway that starts later.

        Raises
        ------
        StorageError
            If the document cannot be written.
        """

    def find(self, job_id: str, attempt: int) -> str | None:
        """Return the backend reference of an attempt, or None if it was never started."""

    def state(self, reference: str) -> RunState:
        """Tell where an attempt stands; one that nobody knows is lost."""

    def cancel(self, reference: str) -> RunState:
        """End an attempt; on return all of its processes are gone."""

    def logs(self, job_id: str) -> str:
        """Return the end of what the job said."""

    def poll(self) -> list[Ended]:
        """Return the attempts that ended since the last call; cheap enough for every second."""

    def close(self) -> None:
        """Release threads and connections; running jobs go on."""
