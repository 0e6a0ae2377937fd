"""Whose turn it is, how many come first, and how long that may take: rules without a database."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Candidate(NamedTuple):
    """A waiting job that may start; candidates are given in order for each owner and process."""

    id: str
    owner: str
    process: str
    urgency: tuple[float, ...]  # the smallest comes first: of higher priority, then older


class Share(NamedTuple):
    """What one owner has of one process, as one job in the queue sees it."""

    owner: str
    process: str
    waiting: int
    before: int  # of the waiting ones, those that would come first if all had one owner
    running: int


@dataclass(frozen=True)
class Bounds:
    """How many jobs may run at the same time.

    Attributes
    ----------
    slots : int
        Of all.
    of_owner : int, optional
        Of each owner.
    of_process : mapping of str to int
        Of those processes that are limited.
    """

    slots: int
    of_owner: int | None = None
    of_process: Mapping[str, int] = field(default_factory=dict)

    def allow(self, owner_running: int, process: str, process_running: int) -> bool:
        """Tell whether one more job may run."""
        return (self.of_owner is None or owner_running < self.of_owner) and (
            process_running < self.of_process.get(process, process_running + 1)
        )


def choose(
    candidates: Iterable[Candidate], running: Iterable[Share], free: int, bounds: Bounds
) -> list[str]:
    """Return the ids of the jobs to start next, in order.

    Owners take turns: who has the fewest jobs running comes first. Of one owner's jobs the one of
    higher priority comes first, then the older one. What a limit holds up does not hold up others.
    """
    owners: Counter[str] = Counter()
    processes: Counter[str] = Counter()
    for share in running:
        owners[share.owner] += share.running
        processes[share.process] += share.running
    queue = [(owners[job.owner], job.urgency, job) for job in candidates]
    heapq.heapify(queue)
    chosen: list[str] = []
    while queue and len(chosen) < free:
        turn, urgency, job = heapq.heappop(queue)
        if turn != owners[job.owner]:  # this owner got a job since: others come first now
            heapq.heappush(queue, (owners[job.owner], urgency, job))
        elif bounds.allow(turn, job.process, processes[job.process]):
            chosen.append(job.id)
            owners[job.owner] += 1
            processes[job.process] += 1
    return chosen


def ahead(owner: str, shares: Sequence[Share]) -> dict[tuple[str, str], float]:
    """Return how many jobs come before a waiting one, by owner and process.

    The k-th waiting job of an owner with r running ones has the turn r + k; equal turns go by
    priority and age. Of other owners' jobs only the number is known, not which: it is shared out
    among their processes.

    Parameters
    ----------
    owner : str
        Of the job that asks.
    shares : sequence of Share
        As that job sees them.
    """
    by_owner: dict[str, list[Share]] = {}
    for share in shares:
        by_owner.setdefault(share.owner, []).append(share)
    own = by_owner.get(owner, [])
    turn = sum(share.before + share.running for share in own) + 1
    found: dict[tuple[str, str], float] = {
        (owner, share.process): share.before for share in own if share.before
    }
    for other, theirs in by_owner.items():
        waiting = sum(share.waiting for share in theirs)
        rank = turn - sum(share.running for share in theirs)  # of the job of the same turn
        if other == owner or rank < 1 or not waiting:
            continue
        is_tie_lost = sum(share.before for share in theirs) >= rank
        first = min(waiting, rank - 1) + is_tie_lost
        for share in theirs:
            if first and share.waiting:
                found[other, share.process] = first * share.waiting / waiting
    return found


def wait_s(
    owner: str, process: str, shares: Sequence[Share], times: Mapping[str, float], bounds: Bounds
) -> float | None:
    """Estimate how long a waiting job waits for its start, in seconds.

    The work ahead (all of what comes first, half of what runs) is shared by the places that there
    are; the tightest limit counts.

    Parameters
    ----------
    owner, process : str
        Of the job.
    shares : sequence of Share
        As the job sees them.
    times : mapping of str to float
        How long a job of a process usually runs, in seconds.
    bounds : Bounds
        How many may run.

    Returns
    -------
    float or None
        None where it is not known how long a job ahead takes.
    """
    work: dict[tuple[str, str], float] = dict(ahead(owner, shares))
    for share in shares:
        key = (share.owner, share.process)
        work[key] = work.get(key, 0.0) + share.running / 2
    if any(count and name not in times for (_, name), count in work.items()):
        return None
    seconds = {key: count * times[key[1]] for key, count in work.items() if count}
    slots = max(bounds.slots, sum(share.running for share in shares))
    waits = [sum(seconds.values()) / slots]
    if bounds.of_owner:
        waits.append(sum(s for (who, _), s in seconds.items() if who == owner) / bounds.of_owner)
    if limit := bounds.of_process.get(process):
        waits.append(sum(s for (_, what), s in seconds.items() if what == process) / limit)
    return max(waits)


def about(seconds: float) -> str:
    """Say how long something takes, as roughly as it is known."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"about {10 * round(seconds / 10)} s"
    if seconds < 55 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600, 1):g} h"
