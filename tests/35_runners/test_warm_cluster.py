"""Warm pods of a cluster: each takes one job, as a pod that was made for it would."""

import dataclasses
import threading
import time
import uuid

import pytest
from clusters import NETWORKS
from trials import LIMITS, ended, trial, until

from candela.contract.job import job_key
from candela.runners.base import Cause, RunState
from candela.runners.manifest import REVISION_LABEL

pytestmark = [pytest.mark.cluster, pytest.mark.allow_hosts(NETWORKS)]


@pytest.fixture
def job_id():
    return str(uuid.uuid4())


def pods_of(warm, reference: str) -> list[dict]:
    """Return the pods that a Job owns."""
    place = warm.place
    pods = place.cluster.json("get", "pods", "-n", place.namespace)["items"]
    return [
        pod
        for pod in pods
        if any(owner["name"] == reference for owner in pod["metadata"].get("ownerReferences", ()))
    ]


def waiting(warm) -> list[dict]:
    """Return the metadata of the pods that no Job owns, also of those that are about to go."""
    place = warm.place
    pods = place.cluster.json("get", "pods", "-n", place.namespace, "-l", REVISION_LABEL)["items"]
    return [pod["metadata"] for pod in pods if not pod["metadata"].get("ownerReferences")]


def the_idle_pod(warm) -> str:
    """Return the name of the one pod that waits; those of other runners may be about to go."""
    pods = waiting(warm)
    revision = max(pods, key=lambda pod: pod["creationTimestamp"])["labels"][REVISION_LABEL]
    (name,) = (
        pod["name"]
        for pod in pods
        if pod["labels"][REVISION_LABEL] == revision and "deletionTimestamp" not in pod
    )
    return name


def is_warm(pod: dict) -> bool:
    return pod["metadata"]["name"].startswith("warm-")


def test_a_warm_pod_takes_one_job_and_ends(warm, job_id):
    runner = warm.make()
    reference = runner.submit(trial("finish", job_id=job_id), LIMITS)
    assert ended(runner, reference) == RunState(Cause.FINISHED, 0)
    (pod,) = pods_of(warm, reference)
    assert is_warm(pod)
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "trying finish" in runner.logs(job_id)
    until(lambda: runner.warm_pods()["Trial", "idle"] == 1)
    assert the_idle_pod(warm) == pod["metadata"]["name"].removesuffix("-0") + "-1"


def test_people_find_a_warm_pod_by_its_job(warm, job_id):
    runner = warm.make()
    reference = runner.submit(trial("pause", job_id=job_id), LIMITS)
    until(lambda: warm.place.processes(job_id, 1) == 1)
    runner.cancel(reference)
    assert warm.place.processes(job_id, 1) == 0


def test_of_two_gateways_that_want_one_pod_one_gets_it_and_both_jobs_run(warm):
    runners = [warm.make(), warm.make()]
    idle = the_idle_pod(warm)
    ids = [str(uuid.uuid4()) for _ in runners]
    references = ["", ""]
    together = threading.Barrier(2)

    def submit(number: int) -> None:
        together.wait()
        references[number] = runners[number].submit(trial("finish", job_id=ids[number]), LIMITS)

    threads = [threading.Thread(target=submit, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for reference in references:
        assert ended(runners[0], reference) == RunState(Cause.FINISHED, 0)
    pods = [pods_of(warm, reference) for reference in references]
    assert [len(each) for each in pods] == [1, 1]
    assert [pod["metadata"]["name"] for (pod,) in pods].count(idle) == 1


def test_the_same_attempt_takes_one_pod_however_often_it_is_submitted(warm, job_id):
    runners = [warm.make(count=2), warm.make(count=2)]
    job = trial("pause", job_id=job_id)
    (reference,) = {runner.submit(job, LIMITS) for runner in runners for _ in range(2)}
    until(lambda: "trying pause" in runners[0].logs(job_id))
    assert [is_warm(pod) for pod in pods_of(warm, reference)] == [True]
    runners[1].cancel(reference)


def test_a_job_in_a_warm_pod_is_cancelled(warm, job_id):
    runner = warm.make()
    reference = runner.submit(trial("ignore SIGTERM", job_id=job_id), LIMITS)
    until(lambda: "trying ignore SIGTERM" in runner.logs(job_id))
    assert runner.cancel(reference).cause is Cause.CANCELLED
    assert warm.place.processes(job_id, 1) == 0
    assert "has ended: cancelled" in runner.logs(job_id)


def test_the_time_of_a_job_in_a_warm_pod_counts_from_its_own_start(warm, job_id):
    limits = dataclasses.replace(LIMITS, timeout_s=6)
    runner = warm.make(limits)
    time.sleep(limits.timeout_s)  # the pod itself is older than the job may become
    began = time.monotonic()
    reference = runner.submit(trial("pause", job_id=job_id), limits)
    assert ended(runner, reference).cause is Cause.DEADLINE
    assert time.monotonic() - began > limits.timeout_s - 1
    assert [is_warm(pod) for pod in pods_of(warm, reference)] in ([True], [])
    assert not warm.place.storage.exists(job_key(job_id, "result.json"))


def test_a_job_in_a_warm_pod_that_eats_memory_is_ended(warm, job_id):
    limits = dataclasses.replace(LIMITS, memory_bytes=250 * 2**20)
    runner = warm.make(limits)
    reference = runner.submit(trial("eat memory", job_id=job_id), limits)
    assert ended(runner, reference).cause is Cause.OUT_OF_MEMORY
    assert [is_warm(pod) for pod in pods_of(warm, reference)] == [True]


def test_a_warm_pod_that_is_killed_with_its_job_is_lost(warm, job_id):
    runner = warm.make()
    reference = runner.submit(trial("pause", job_id=job_id), LIMITS)
    until(lambda: "trying pause" in runner.logs(job_id))
    (pod,) = pods_of(warm, reference)
    name = pod["metadata"]["name"]
    warm.place.cluster.run("delete", "pod", "-n", warm.place.namespace, name, "--wait=false")
    assert ended(runner, reference).cause is Cause.LOST


def test_an_idle_pod_that_is_deleted_is_replaced(warm):
    runner = warm.make()
    name = the_idle_pod(warm)
    warm.place.cluster.run("delete", "pod", "-n", warm.place.namespace, name)
    until(lambda: name not in {pod["name"] for pod in waiting(warm)})
    until(lambda: runner.warm_pods()["Trial", "idle"] == 1)


def test_idle_pods_of_what_was_before_are_replaced_and_jobs_are_not_disturbed(warm, job_id):
    before = warm.make(count=2)
    reference = before.submit(trial("pause", job_id=job_id), LIMITS)
    until(lambda: "trying pause" in before.logs(job_id))
    before.close()
    limits = dataclasses.replace(LIMITS, timeout_s=77)
    time.sleep(1)  # creation times of the cluster are whole seconds
    after = warm.make(limits)
    until(lambda: len(waiting(warm)) == 1)
    assert after.state(reference).is_running
    assert after.submit(trial("pause", job_id=job_id), LIMITS) == reference
    after.cancel(reference)


def test_without_warm_pods_those_that_are_left_are_removed(warm):
    warm.make(count=2).close()
    time.sleep(1)
    warm.place.make()
    until(lambda: waiting(warm) == [])
