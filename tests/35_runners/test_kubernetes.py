"""What only a cluster does."""

import dataclasses
import uuid

import pytest
from clusters import NETWORKS
from trials import LIMITS, ended, trial, until

from candela.contract.job import job_key
from candela.errors import RunnerError
from candela.runners.base import Cause
from candela.runners.manifest import Images
from candela.runners.startup import StartTimeouts

pytestmark = [pytest.mark.cluster, pytest.mark.allow_hosts(NETWORKS)]


@pytest.fixture
def job_id():
    return str(uuid.uuid4())


def test_an_image_that_cannot_be_pulled_is_told_and_ends_the_job(in_cluster, job_id):
    runner = in_cluster.make(images=Images(tag="nowhere"))
    reference = runner.submit(trial("finish", job_id=job_id), LIMITS)
    until(lambda: "localhost/candela-python:nowhere" in runner.state(reference).message)
    state = ended(runner, reference)
    assert state.cause is Cause.IMAGE
    assert "localhost/candela-python:nowhere" in state.message
    assert "has ended: image" in runner.logs(job_id)


def test_an_unschedulable_job_waits_and_says_so(in_cluster, job_id):
    runner = in_cluster.make(timeouts=StartTimeouts(unschedulable_s=3600))
    limits = dataclasses.replace(LIMITS, cpu=1000)
    reference = runner.submit(trial("finish", job_id=job_id), limits)
    until(lambda: "Unschedulable: " in runner.state(reference).message)
    assert "Insufficient cpu" in runner.state(reference).message
    assert runner.state(reference).is_running
    assert runner.cancel(reference).cause is Cause.CANCELLED


def test_an_unschedulable_job_ends_after_the_timeout(in_cluster, job_id):
    runner = in_cluster.make()
    limits = dataclasses.replace(LIMITS, gpu=1)
    state = ended(runner, runner.submit(trial("finish", job_id=job_id), limits))
    assert state.cause is Cause.UNSCHEDULABLE
    assert "Insufficient nvidia.com/gpu" in state.message


def test_a_job_that_fills_the_disk_is_evicted(in_cluster, job_id):
    template = in_cluster.template()
    template["spec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = "20Mi"
    runner = in_cluster.make(template=template)
    # NOTE: the kubelet looks at the size of volumes once a minute.
    limits = dataclasses.replace(LIMITS, timeout_s=280)
    reference = runner.submit(trial("fill the disk", job_id=job_id), limits)
    state = ended(runner, reference, seconds=240)
    assert state.cause is Cause.EVICTED
    assert "20Mi" in state.message


def test_a_pod_that_is_deleted_is_lost(in_cluster, job_id):
    runner = in_cluster.make()
    reference = runner.submit(trial("pause", job_id=job_id), LIMITS)
    until(lambda: "trying pause" in runner.logs(job_id))
    selector = f"candela/job={job_id}"
    in_cluster.cluster.run("delete", "pod", "-n", in_cluster.namespace, "-l", selector)
    assert ended(runner, reference).cause is Cause.LOST
    assert "has ended: lost" in runner.logs(job_id)


def test_a_job_that_waits_in_a_queue_is_cancelled(in_cluster, job_id):
    template = in_cluster.template()
    template["spec"]["suspend"] = True
    runner = in_cluster.make(template=template)
    reference = runner.submit(trial("finish", job_id=job_id), LIMITS)
    until(lambda: "Suspended" in runner.state(reference).message)
    assert not runner.cancel(reference).is_running
    assert in_cluster.processes(job_id, 1) == 0


def test_a_job_that_the_cluster_refuses_is_told(in_cluster, job_id):
    template = in_cluster.template()
    template["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    runner = in_cluster.make(template=template)
    with pytest.raises(RunnerError, match="restartPolicy"):
        runner.submit(trial("finish", job_id=job_id), LIMITS)
    assert not in_cluster.storage.exists(job_key(job_id, "result.json"))


def test_a_gateway_that_starts_leaves_the_outputs_of_a_later_attempt_alone(in_cluster, job_id):
    first = in_cluster.make()
    lost = first.submit(trial("die", job_id=job_id), LIMITS)
    assert ended(first, lost).cause is Cause.LOST
    at_work = first.submit(trial("pause", job_id=job_id, attempt=2), LIMITS)
    part = job_key(job_id, "outputs", "part.tif")
    in_cluster.storage.write(part, b"part")
    second = in_cluster.make()
    until(lambda: lost in {end.reference for end in second.poll()})
    assert in_cluster.storage.exists(part)
    second.cancel(at_work)
    until(lambda: at_work in {end.reference for end in second.poll()})
    assert not in_cluster.storage.exists(part)
