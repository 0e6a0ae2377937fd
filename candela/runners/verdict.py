"""What a Job and its pods say about an attempt: a pure function of their documents."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from candela.runners.base import Cause, RunState
from candela.runners.manifest import REVISION_LABEL

Document = Mapping[str, Any]  # a Kubernetes object, as JSON has it

ENDED = "candela/ended"  # annotation of a Job that a gateway has ended: the cause
ENDED_MESSAGE = "candela/ended-message"
LOST_S = 60.0  # how long the node of a pod that was deleted may not respond
KILLED = frozenset({137, 143})  # exit codes of SIGKILL and SIGTERM
NOT_STARTED = frozenset(
    {"StartError", "ContainerCannotRun"}
)  # the node could not run the container
UNSEEN = frozenset({"Unknown", "ContainerStatusUnknown"})  # ended while nobody looked: a reboot
NO_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
    }
)
NO_CONTAINER = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)


class StartFailure(NamedTuple):
    """Why a pod has not started yet; it may pass by itself."""

    cause: Cause
    message: str


def run_state(job: Document | None, pods: Sequence[Document], now: dt.datetime) -> RunState:
    """Tell where an attempt stands.

    Parameters
    ----------
    job : mapping, optional
        The Job; None if there is none.
    pods : sequence of mapping
        Its pods.
    now : datetime
        The time, in UTC.

    Returns
    -------
    RunState
        Its message is for people, and has the cluster's own words: why a pod does not start, or
        how it ended.
    """
    pods = sorted(pods, key=_age)
    newest = pods[-1] if pods else None
    if job is None:
        return RunState(Cause.LOST, message="the Job does not exist")
    ended = _annotations(job).get(ENDED)
    if ended is not None:
        if not is_finished(job) or any(not is_over(pod) for pod in pods):
            return RunState(message="ending")
        # No exit code: the pod that has it is about to go, and the answer must not depend on when.
        return RunState(Cause(ended), message=_annotations(job).get(ENDED_MESSAGE, ""))
    if newest is not None:
        verdict = _pod_state(newest, now)
        if verdict.cause is Cause.DISRUPTED and not is_finished(job):
            return RunState(message=f"{verdict.message}; starting again")
        if not verdict.is_running or not is_finished(job):
            return verdict
    if not is_finished(job):
        is_suspended = bool(job["spec"].get("suspend"))
        return RunState(message="Suspended: waiting for quota of the queue" if is_suspended else "")
    return _job_state(job)


def is_finished(job: Document) -> bool:
    """Tell whether the cluster will start no more pods of a Job, and all have ended."""
    return _finish(job) is not None


def is_over(pod: Document) -> bool:
    """Tell whether all containers of a pod have ended."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def is_overdue(job: Document, pods: Sequence[Document], now: dt.datetime) -> bool:
    """Tell whether an attempt in a warm pod has had its time; other pods the cluster ends itself.

    A warm pod is older than its job, whose time counts from the making of the Job that took it.
    """
    warm = (pod for pod in pods if REVISION_LABEL in pod["metadata"].get("labels", ()))
    if all(is_over(pod) for pod in warm):
        return False
    began = dt.datetime.fromisoformat(job["metadata"]["creationTimestamp"])
    limit_s: float = job["spec"]["template"]["spec"]["activeDeadlineSeconds"]
    return (now - began).total_seconds() > limit_s


def start_failure(pods: Sequence[Document]) -> StartFailure | None:
    """Tell why the newest pod does not start, if it does not."""
    if not pods:
        return None
    pod = max(pods, key=_age)
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in NO_IMAGE:
            text = _sentence(f"{reason}: {status.get('image', '')}", message)
            return StartFailure(Cause.IMAGE, text)
        if reason in NO_CONTAINER:
            return StartFailure(Cause.IMAGE, _sentence(reason, message))
    scheduled = _condition(pod, "PodScheduled")
    if scheduled and scheduled["status"] == "False" and scheduled.get("reason") == "Unschedulable":
        text = _sentence("Unschedulable", scheduled.get("message"))
        return StartFailure(Cause.UNSCHEDULABLE, text)
    return None


def _pod_state(pod: Document, now: dt.datetime) -> RunState:
    status = pod.get("status", {})
    terminated = _terminated(pod)
    disruption = _condition(pod, "DisruptionTarget")
    if terminated is None and status.get("phase") not in {"Failed", "Succeeded"}:
        if disruption and _is_lost(pod, now):
            return RunState(Cause.LOST, message=f"node {_node(pod)} does not respond")
        failure = start_failure([pod])
        return RunState(message=failure.message if failure else "")
    exit_code = _exit_code(pod)
    reason = status.get("reason", "")
    message = status.get("message", "")
    if exit_code == 0:
        return RunState(Cause.FINISHED, 0)
    if reason == "DeadlineExceeded":
        return RunState(Cause.DEADLINE, exit_code, _sentence(reason, message))
    if terminated is not None and terminated.get("reason") == "OOMKilled":
        return RunState(
            Cause.OUT_OF_MEMORY, exit_code, "OOMKilled: the container reached its memory limit"
        )
    if disruption and disruption["status"] == "True":
        reason = disruption.get("reason") or "DisruptionTarget"
        text = _sentence(f"{reason} on node {_node(pod)}", disruption.get("message"))
        return RunState(Cause.DISRUPTED, exit_code, text)
    if reason == "Evicted":
        return RunState(Cause.EVICTED, exit_code, _sentence(reason, message))
    if exit_code is None:  # the node refused it
        return RunState(Cause.DISRUPTED, None, _sentence(reason, message))
    if terminated is not None and terminated.get("reason") in UNSEEN:
        return RunState(Cause.LOST, exit_code, f"node {_node(pod)} was restarted")
    if terminated is not None and terminated.get("reason") in NOT_STARTED:
        text = _sentence(f"{terminated['reason']} on node {_node(pod)}", terminated.get("message"))
        return RunState(Cause.LOST, exit_code, text)
    if exit_code in KILLED:
        return RunState(Cause.LOST, exit_code, f"killed from outside (exit code {exit_code})")
    return RunState(Cause.FINISHED, exit_code)


def _job_state(job: Document) -> RunState:
    """Tell how a Job ended whose pods are no more."""
    finish = _finish(job) or {}
    if finish.get("type") == "Complete":
        return RunState(Cause.FINISHED, 0)
    if finish.get("reason") == "DeadlineExceeded":
        return RunState(
            Cause.DEADLINE, message=_sentence("DeadlineExceeded", finish.get("message"))
        )
    return RunState(Cause.LOST, message=_sentence(finish.get("reason", ""), finish.get("message")))


def _finish(job: Document) -> Document | None:
    for kind in ("Complete", "Failed"):
        condition = _condition(job, kind)
        if condition and condition["status"] == "True":
            return condition
    return None


def _is_lost(pod: Document, now: dt.datetime) -> bool:
    deleted = pod["metadata"].get("deletionTimestamp")
    if not deleted:
        return False
    return (now - dt.datetime.fromisoformat(deleted)).total_seconds() > LOST_S


def _exit_code(pod: Document) -> int | None:
    terminated = _terminated(pod)
    return None if terminated is None else int(terminated["exitCode"])


def _terminated(pod: Document) -> Document | None:
    for status in _containers(pod):
        terminated: Document | None = status.get("state", {}).get("terminated")
        if terminated is not None:
            return terminated
    return None


def _containers(pod: Document) -> Iterator[Document]:
    yield from pod.get("status", {}).get("containerStatuses") or ()


def _condition(document: Document, kind: str) -> Document | None:
    conditions: Sequence[Document] = document.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), None)


def _annotations(document: Document) -> Mapping[str, str]:
    annotations: Mapping[str, str] = document["metadata"].get("annotations") or {}
    return annotations


def _sentence(reason: str, message: str | None) -> str:
    """Return a reason as the cluster names it, by which operators search, and its message."""
    return ": ".join(filter(None, (reason, message)))


def _node(pod: Document) -> str:
    return str(pod.get("spec", {}).get("nodeName", ""))


def _age(pod: Document) -> tuple[str, str]:
    return pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]
