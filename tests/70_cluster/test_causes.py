"""What a user sees of a job that goes wrong in a cluster, and what is left of it."""

import json

import pytest
from clusters import until
from deployments import NAMESPACE, Deployment

from candela.client import JobFailedError

PAUSE_S = 120


def ended(deployment: Deployment, job) -> str:
    """Wait for a job that fails; return what its user is told."""
    with pytest.raises(JobFailedError) as caught:
        job.wait(timeout_s=120, progress=False)
    return str(caught.value)


@pytest.fixture
def execute(deployment, client):
    """Run an Echo that sleeps."""

    def execute(**inputs):
        return client.execute("Echo", **{"literal": "a", "pause": PAUSE_S, **inputs})

    return execute


def pod_started(deployment: Deployment, job) -> bool:
    return any(pod["status"]["phase"] == "Running" for pod in deployment.pods_of(job.id))


def nothing_is_left(deployment: Deployment, job) -> bool:
    phases = {pod["status"]["phase"] for pod in deployment.pods_of(job.id)}
    return phases <= {"Succeeded", "Failed"} and deployment.keys(job.id) == []


def test_the_log_is_there_while_the_job_runs(deployment, execute):
    job = execute()
    until(lambda: "Attempt 1 of Echo" in job.log())
    assert job.refresh().status == "running"
    job.dismiss()


def test_a_running_job_is_dismissed(deployment, execute, client):
    job = execute()
    until(lambda: pod_started(deployment, job))
    job.dismiss()
    until(lambda: nothing_is_left(deployment, job), seconds=30)


def test_a_job_is_dismissed_before_its_pod_has_started(deployment, execute):
    job = execute()
    until(lambda: deployment.objects("jobs", f"candela/job={job.id}"))
    job.dismiss()
    until(lambda: nothing_is_left(deployment, job), seconds=30)


def test_a_job_whose_pod_is_deleted_is_tried_again(deployment, execute):
    job = execute(pause=15)
    until(lambda: pod_started(deployment, job))
    deployment.kubectl("delete", "pod", "-l", f"candela/job={job.id}", "--wait=false")
    job.wait(timeout_s=120, progress=False)
    assert job.succeeded
    attempts = {
        each["metadata"]["labels"]["candela/attempt"]
        for each in deployment.objects("jobs", f"candela/job={job.id}")
    }
    assert attempts == {"1", "2"}


def test_an_evicted_pod_is_replaced_by_the_cluster(deployment, execute):
    job = execute(pause=20)
    until(lambda: pod_started(deployment, job))
    (pod,) = deployment.pods_of(job.id)
    name = pod["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    deployment.cluster.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    job.wait(timeout_s=120, progress=False)
    assert job.succeeded
    selector = f"candela/job={job.id}"
    until(lambda: deployment.objects("jobs", selector)[0]["status"].get("succeeded") == 1)
    (made,) = deployment.objects("jobs", selector)
    assert made["status"]["failed"] == 1


def test_a_refused_input_is_told(deployment, client):
    job = client.execute("Echo", literal="a", complex="http://169.254.169.254/latest")
    assert "169.254.169.254" in ended(deployment, job)
