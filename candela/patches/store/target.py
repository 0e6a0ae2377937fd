"""The destination of a patch model: a process that needs ``patches`` gets it from the worker."""

from dataclasses import dataclass, field

NOBODY = "anonymous"  # the owner of what was made, and who asks, where no proxy says who it is


@dataclass(frozen=True)
class PatchTarget:
    """The operator's patch database, and the user for whom a job runs.

    Attributes
    ----------
    url : str
        SQLAlchemy URL, which may hold a password; empty if the operator keeps no patch database.
    owner : str
        The user who asked for the job; empty if unknown.
    """

    url: str = field(default="", repr=False)
    owner: str = ""
