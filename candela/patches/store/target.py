"""Where the models made in this process go, and for whom: told by the worker, not by the user."""

from typing import NamedTuple

NOBODY = "anonymous"  # the owner of what was made, and who asks, where no proxy says who it is


class Target(NamedTuple):
    """A database and the user for whom a job runs.

    Attributes
    ----------
    url : str
        An SQLAlchemy URL, which may hold a password; empty if the operator keeps no database.
    owner : str
        Who asked for the job; empty if nobody knows.
    """

    url: str = ""
    owner: str = ""

    def __repr__(self) -> str:
        """Keep passwords out of logs."""
        return f"Target(url={'...' if self.url else ''!r}, owner={self.owner!r})"


_target = Target()


def use_target(target: Target) -> None:
    """Let models that are made in this process go to a database, for a user."""
    global _target
    _target = target


def current_target() -> Target:
    """Return what the worker said last."""
    return _target
