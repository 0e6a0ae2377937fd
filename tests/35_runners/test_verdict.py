"""What documents of a cluster say about an attempt."""

import datetime as dt

import pytest

from candela.runners.base import Cause, RunState
from candela.runners.verdict import run_state, start_failure

NOW = dt.datetime(2026, 1, 2, 12, 0, tzinfo=dt.UTC)
EARLY, LATE = "2026-01-02T11:00:00Z", "2026-01-02T11:59:50Z"


def job(*conditions, annotations=None, suspend=False):
    return {
        "metadata": {"name": "a", "annotations": annotations or {}},
        "spec": {"suspend": suspend},
        "status": {"conditions": [{"status": "True", **each} for each in conditions]},
    }


def pod(phase="Running", *, created=EARLY, deleted=None, conditions=(), state=None, **status):
    metadata = {"name": f"a-{created}", "creationTimestamp": created}
    if deleted:
        metadata["deletionTimestamp"] = deleted
    containers = [] if state is None else [{"image": "kind:1", "state": state}]
    return {
        "metadata": metadata,
        "spec": {"nodeName": "node7"},
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": containers,
            **status,
        },
    }


def ended(exit_code, reason="Error"):
    return {"terminated": {"exitCode": exit_code, "reason": reason}}


DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}
FAILED = {"type": "Failed", "reason": "PodFailurePolicy", "message": "why"}


@pytest.mark.parametrize(
    ("found", "cause", "exit_code"),
    [
        (pod("Succeeded", state=ended(0, "Completed")), Cause.FINISHED, 0),
        (pod("Failed", state=ended(3)), Cause.FINISHED, 3),
        (pod("Failed", state=ended(139)), Cause.FINISHED, 139),
        (pod("Failed", state=ended(137, "OOMKilled")), Cause.OUT_OF_MEMORY, 137),
        (pod("Failed", state=ended(1, "OOMKilled")), Cause.OUT_OF_MEMORY, 1),
        (pod("Failed", state=ended(143), reason="DeadlineExceeded"), Cause.DEADLINE, 143),
        (pod("Failed", reason="DeadlineExceeded"), Cause.DEADLINE, None),
        (pod("Failed", state=ended(137), reason="Evicted"), Cause.EVICTED, 137),
        (pod("Failed", state=ended(143)), Cause.LOST, 143),
        (pod("Failed", state=ended(137)), Cause.LOST, 137),
        (pod("Failed", state=ended(255, "Unknown")), Cause.LOST, 255),
        (pod("Failed", state=ended(128, "StartError")), Cause.LOST, 128),
        (pod("Failed", state=ended(137, "ContainerStatusUnknown")), Cause.LOST, 137),
    ],
)
def test_an_end_has_its_cause(found, cause, exit_code):
    for document in (job(), job(FAILED)):
        state = run_state(document, [found], NOW)
        assert (state.cause, state.exit_code) == (cause, exit_code)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (pod("Failed", state=ended(137, "OOMKilled")), "OOMKilled: "),
        (pod("Failed", state=ended(143), reason="DeadlineExceeded", message="x"), "Deadline"),
        (pod("Failed", reason="Evicted", message="Usage exceeds 20Mi"), "Evicted: Usage exceeds"),
        (pod("Failed", reason="OutOfcpu", message="no cpu"), "OutOfcpu: no cpu"),
        (pod("Failed", state=ended(128, "StartError")), "StartError on node node7"),
        (pod("Failed", state=ended(143)), "killed from outside (exit code 143)"),
    ],
)
def test_an_end_is_told_by_the_reason_that_the_cluster_gives(found, message):
    assert run_state(job(FAILED), [found], NOW).message.startswith(message)


def test_the_end_of_the_container_is_enough():
    assert run_state(job(), [pod("Running", state=ended(0))], NOW) == RunState(Cause.FINISHED, 0)


def test_a_disrupted_pod_is_started_again_by_the_cluster_until_it_gives_up():
    found = pod("Failed", conditions=[DISRUPTED], state=ended(143))
    state = run_state(job(), [found], NOW)
    text = "EvictionByEvictionAPI on node node7: Eviction API: evicting"
    assert state == RunState(message=f"{text}; starting again")
    state = run_state(job({"type": "Failed", "reason": "BackoffLimitExceeded"}), [found], NOW)
    assert (state.cause, state.message) == (Cause.DISRUPTED, text)


def test_a_pod_that_a_machine_refused_is_tried_again():
    found = pod("Failed", reason="OutOfcpu", message="Node didn't have enough resource")
    assert run_state(job(), [found], NOW).is_running
    assert run_state(job(FAILED), [found], NOW).cause is Cause.DISRUPTED


def test_the_newest_pod_counts():
    pods = [
        pod("Succeeded", created=LATE, state=ended(0)),
        pod("Failed", conditions=[DISRUPTED], state=ended(143)),
    ]
    assert run_state(job(), pods, NOW) == RunState(Cause.FINISHED, 0)


def test_what_a_pod_waits_for_is_told():
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    found = pod("Pending", state=waiting)
    state = run_state(job(), [found], NOW)
    assert state.is_running
    assert state.message == "ImagePullBackOff: kind:1: no such image"
    assert start_failure([found]).cause is Cause.IMAGE

    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    found = pod("Pending", conditions=[{**unscheduled, "message": "0/1 nodes are available"}])
    text = "Unschedulable: 0/1 nodes are available"
    assert run_state(job(), [found], NOW).message == text
    assert start_failure([found]).cause is Cause.UNSCHEDULABLE


def test_a_container_that_is_being_made_has_not_failed_to_start():
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    assert start_failure([pod("Pending", state=waiting)]) is None
    assert run_state(job(), [pod("Pending", state=waiting)], NOW) == RunState()


def test_a_job_without_a_pod_waits():
    assert run_state(job(), [], NOW) == RunState()
    assert run_state(job(suspend=True), [], NOW).message.startswith("Suspended: ")


def test_a_job_whose_pods_are_gone_tells_itself():
    assert run_state(job({"type": "Complete"}), [], NOW) == RunState(Cause.FINISHED, 0)
    assert run_state(job(FAILED), [], NOW).cause is Cause.LOST
    late = {"type": "Failed", "reason": "DeadlineExceeded"}
    assert run_state(job(late), [], NOW).cause is Cause.DEADLINE


def test_no_job_is_a_lost_one():
    assert run_state(None, [], NOW).cause is Cause.LOST
    assert run_state(None, [pod()], NOW).cause is Cause.LOST


def test_what_a_gateway_ended_has_that_cause_when_all_pods_are_gone():
    annotations = {"candela/ended": "cancelled", "candela/ended-message": "cancelled"}
    ending = job(annotations=annotations)
    assert run_state(ending, [pod()], NOW).is_running
    late = {"type": "Failed", "reason": "DeadlineExceeded"}
    ending = job(late, annotations=annotations)
    assert run_state(ending, [pod()], NOW).is_running
    state = run_state(ending, [pod("Failed", state=ended(143))], NOW)
    assert state == RunState(Cause.CANCELLED, None, "cancelled")
    assert run_state(ending, [], NOW) == RunState(Cause.CANCELLED, None, "cancelled")


@pytest.mark.parametrize(("deleted", "is_running"), [(EARLY, False), (LATE, True), (None, True)])
def test_a_machine_that_stays_silent_is_lost(deleted, is_running):
    found = pod("Running", deleted=deleted, conditions=[DISRUPTED], state={"running": {}})
    assert run_state(job(), [found], NOW).is_running is is_running
