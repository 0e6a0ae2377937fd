"""Warm pods: started, imported, and idle until a Job takes one of them.

A warm pod belongs to nobody. An attempt's Job that selects it by its word becomes its owner: that
is the cluster's own way with pods that a Job finds instead of making them, and a compare-and-set,
for a pod has one owner at most. From then on it is the Job's pod like any other. A Job that comes
too late makes a pod of its own. See docs/decisions/0006-warm-pods.md.
"""

import datetime as dt
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

from kubernetes import client
from kubernetes.client import ApiException

from candela.runners.base import Limits
from candela.runners.manifest import (
    ATTEMPT_LABEL,
    JOB_LABEL,
    NAME_LENGTH,
    PROCESS_LABEL,
    REVISION_LABEL,
    WARM_LABEL,
    WARM_LIFE_S,
    Manifest,
    warm_pod,
)
from candela.runners.reflector import Object, Reflector
from candela.runners.verdict import is_over

logger = logging.getLogger(__name__)

NOBODY = ""  # the group of pods that have no owner
TIMEOUT_S = (5.0, 30.0)  # to connect, to be answered
SETTLE_S = 60.0  # so old is what failed, or is of another revision, before it is removed
RESERVED_S = 10.0  # how long a pod that was given to a Job is not given to another
ASKED_S = 20.0  # how long a pod that has asked is taken to ask still
HARMLESS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})  # somebody was faster

_NAME = re.compile(r"-(\d+)-(\d+)$")  # slot and generation


@dataclass(frozen=True)
class WarmPodSpec:
    """Warm pods of one process.

    Attributes
    ----------
    process : str
        Its identifier.
    limits : Limits
        What its jobs may use.
    count : int
        How many pods are to wait.
    manifest : dict
        What they are made of.
    """

    process: str
    limits: Limits
    count: int
    manifest: Manifest

    @property
    def revision(self) -> str:
        """What tells these pods from others."""
        return str(self.manifest["metadata"]["labels"][REVISION_LABEL])

    def name(self, slot: int, generation: int) -> str:
        """Return the name of a pod: all gateways call the successor of one by the same name."""
        end = f"-{self.revision}-{slot}-{generation}"
        process = re.sub(r"[^a-z0-9-]", "-", self.process.lower())
        return f"warm-{process}"[: NAME_LENGTH - len(end)].strip("-") + end


@dataclass(frozen=True)
class WarmSettings:
    """What an operator wants to be warm.

    Attributes
    ----------
    processes : mapping
        How many pods of each process are to wait, and what its jobs may use.
    gateway_url : str
        Where they ask for their job.
    token_of : callable
        Returns the token with which a pod of a name asks.
    """

    processes: Mapping[str, tuple[int, Limits]]
    gateway_url: str = ""
    token_of: Callable[[str], str] = str


NOT_WARM = WarmSettings({})


class Plan(NamedTuple):
    """What is to be done about warm pods."""

    missing: list[tuple[WarmPodSpec, str]]  # with the name
    unwanted: list[Object]


def plan(
    specs: Sequence[WarmPodSpec], pods: Sequence[Object], now: dt.datetime, *, since: dt.datetime
) -> Plan:
    """Tell which warm pods are missing, and which are to go.

    Each wanted pod has a slot. The pod after one that was taken has the next generation of its
    slot, so gateways that see the same make the same, and only the first of them makes it.

    Parameters
    ----------
    specs : sequence of WarmPodSpec
        What there should be.
    pods : sequence of mapping
        All warm pods, also those that a Job has taken.
    now, since : datetime
        The time, and when this gateway started: what idles of another revision and is older goes
        at once, the rest after a while, for a gateway of that revision may be about to end.
    """
    newest: dict[tuple[str, int], Object] = {}
    for pod in sorted(pods, key=_place):
        newest[pod["metadata"]["labels"][REVISION_LABEL], _place(pod)[0]] = pod
    missing, wanted = [], set()
    for spec in specs:
        for slot in range(spec.count):
            last = newest.get((spec.revision, slot))
            if last is None:
                missing.append((spec, spec.name(slot, 0)))
            elif owner_of(last) or _is_going(last):
                missing.append((spec, spec.name(slot, _place(last)[1] + 1)))
            else:
                wanted.add(last["metadata"]["name"])
    unwanted = []
    for pod in pods:
        age_s = (now - _created(pod)).total_seconds()
        if owner_of(pod) or _is_going(pod):
            continue
        if pod["metadata"]["name"] in wanted and not is_over(pod):
            is_unwanted = age_s > WARM_LIFE_S
        else:  # what failed stays a while, so that nothing fails in a hurry
            is_unwanted = age_s > SETTLE_S or (_created(pod) < since and not is_over(pod))
        if is_unwanted:
            unwanted.append(pod)
    return Plan(missing, unwanted)


class WarmPods:
    """The warm pods of a namespace, as one gateway sees them.

    Parameters
    ----------
    pods : Reflector
        Follows all pods of workers; those of nobody are in the group ``NOBODY``.
    core : CoreV1Api
        Makes and removes pods.
    namespace : str
        Where they are.
    specs : sequence of WarmPodSpec
        What there should be.
    token_of : callable
        Returns the token with which a pod of a name asks for its job.
    """

    def __init__(
        self,
        pods: Reflector,
        core: client.CoreV1Api,
        namespace: str,
        specs: Sequence[WarmPodSpec],
        token_of: Callable[[str], str],
    ) -> None:
        self._pods = pods
        self._core = core
        self._namespace = namespace
        self._specs = {spec.process: spec for spec in specs}
        self._token_of = token_of
        self._since = dt.datetime.now(dt.UTC)
        self._changing = threading.Lock()
        self._reserved: dict[str, float] = {}  # until when (monotonic), by word
        self._asked: dict[str, float] = {}  # when (monotonic) it did last, by name
        self._complaint = ""

    def choose(self, process: str, limits: Limits) -> str:
        """Return the word of an idle pod for an attempt; nothing if there is none.

        Those come first that ask this gateway for their job: they have imported all, and other
        gateways are asked by others. Else it is the oldest, which may still be at it.
        """
        spec = self._specs.get(process)
        if spec is None or spec.limits != limits:
            return ""
        with self._changing:
            return self._choose(spec, time.monotonic())

    def note_asking(self, name: str) -> None:
        """Take note that a pod asks this gateway for its job."""
        with self._changing:
            self._asked[name] = time.monotonic()

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the pods of nobody, by process and whether they are idle or starting."""
        counts = {(process, state): 0 for process in self._specs for state in ("idle", "starting")}
        revisions = {spec.revision for spec in self._specs.values()}
        for pod in self._pods.group(NOBODY):
            labels = pod["metadata"]["labels"]
            if labels.get(REVISION_LABEL) in revisions and not is_over(pod) and not _is_going(pod):
                counts[labels[PROCESS_LABEL], "idle" if _is_idle(pod) else "starting"] += 1
        return counts

    def keep(self) -> None:
        """Make what is missing, and remove what is not wanted; repeated every few seconds."""
        pods = [pod for pod in self._pods.all() if is_warm(pod)]
        made = plan(list(self._specs.values()), pods, dt.datetime.now(dt.UTC), since=self._since)
        try:
            for spec, name in made.missing:
                self._make(spec, name)
            for pod in made.unwanted:
                self._remove(pod)
        except ApiException as error:
            if str(error.body) != self._complaint:  # once is enough
                logger.warning("The cluster refuses warm pods: %s %s", error.status, error.body)
            self._complaint = str(error.body)

    def label(self, pod: Object, job: Object) -> None:
        """Give a pod that a Job has taken the labels that people look for."""
        if not is_warm(pod) or JOB_LABEL in pod["metadata"]["labels"]:
            return
        labels = {name: job["metadata"]["labels"][name] for name in (JOB_LABEL, ATTEMPT_LABEL)}
        with _unless_harmless():
            self._core.patch_namespaced_pod(
                pod["metadata"]["name"],
                self._namespace,
                {"metadata": {"labels": labels}},
                _preload_content=False,
                _request_timeout=TIMEOUT_S,
            )

    def _choose(self, spec: WarmPodSpec, now: float) -> str:
        self._reserved = {word: end for word, end in self._reserved.items() if end > now}
        self._asked = {name: last for name, last in self._asked.items() if last > now - ASKED_S}
        free = [
            pod["metadata"]
            for pod in self._pods.group(NOBODY)
            if _is_idle(pod)
            and pod["metadata"]["labels"].get(REVISION_LABEL) == spec.revision
            and pod["metadata"]["labels"][WARM_LABEL] not in self._reserved
        ]
        if not free:
            return ""
        free.sort(key=lambda each: (each["name"] not in self._asked, each["creationTimestamp"]))
        word = str(free[0]["labels"][WARM_LABEL])
        self._reserved[word] = now + RESERVED_S
        return word

    def _make(self, spec: WarmPodSpec, name: str) -> None:
        pod = warm_pod(spec.manifest, name, uuid.uuid4().hex, self._token_of(name))
        with _unless_harmless():
            self._core.create_namespaced_pod(
                self._namespace, pod, _preload_content=False, _request_timeout=TIMEOUT_S
            )
            logger.info("Made the warm pod %s", name)

    def _remove(self, pod: Object) -> None:
        metadata = pod["metadata"]
        with _unless_harmless():
            self._core.delete_namespaced_pod(
                metadata["name"],
                self._namespace,
                body={  # as it was seen: nobody has taken it since
                    "preconditions": {
                        "uid": metadata["uid"],
                        "resourceVersion": metadata["resourceVersion"],
                    }
                },
                _preload_content=False,
                _request_timeout=TIMEOUT_S,
            )
            logger.info("Removed the warm pod %s", metadata["name"])


@contextmanager
def _unless_harmless() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        if error.status not in HARMLESS:
            raise


def owner_of(pod: Mapping[str, Any]) -> str:
    """Return the name of the Job that a pod belongs to; ``NOBODY`` if it has none."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner["name"]) for owner in owners if owner.get("controller")), NOBODY)


def is_warm(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod waits for a job, or did so once."""
    return REVISION_LABEL in pod["metadata"]["labels"]


def _is_idle(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return is_warm(pod) and is_ready and not _is_going(pod)


def _is_going(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _created(pod: Object) -> dt.datetime:
    return dt.datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def _place(pod: Object) -> tuple[int, int]:
    """Return slot and generation of a pod."""
    found = _NAME.search(pod["metadata"]["name"])
    return (int(found[1]), int(found[2])) if found else (-1, -1)
