"""How long a request takes in a cluster, beside a bare Job and a bare pod of the same image.

    KUBECONFIG=... python benchmarks/cluster.py --url http://10.99.1.2:30080 [--jobs 20] [--quick]

CANDELA must be deployed (`kubectl apply -k k8s/overlays/test`); the benchmark changes its settings
`CANDELA_WARM` and `CANDELA_RUNNING_JOBS` for a while, and gives the gateway the rights for warm
pods (`k8s/components/warm`). Bare Jobs, bare pods and requests take turns, one at a time, so all
see the same load of the machine: first with requests that get a new pod, then with requests that
get a warm one. At last many at once.

A bare Job or pod runs `true`; "bare worker" imports what a worker does, and ends. "First line" is
when the algorithm begins: inputs are there, all is imported. "Gateway" is what a request costs
without its pod: from sending it until its Job is made, and from its stored result until it is
published. Clocks of the cluster and of this machine must agree.
"""

import argparse
import datetime as dt
import json
import os
import statistics
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from kubernetes import client, watch

from candela.runners.kubernetes import connect
from candela.runners.manifest import load_template

COMPONENT = Path("k8s/components/warm/rbac.yaml")
TEMPLATE = Path("k8s/base/job-template.yaml")
EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs=literal={key}"
)
STEPS = ("accepted", "dispatching", "running", "worker", "first line", "stored", "published")
NOTHING = ["true"]
WORKER = ["python3", "-c", "import candela.worker.__main__, candela.storage.bucket"]
SETTLED_S = 5.0  # from a request to the next one: what one leaves is not to burden the next


class Bare:
    """Jobs and pods as ours, but for what they do."""

    def __init__(self, namespace, image):
        api = connect()
        self.batch, self.core = client.BatchV1Api(api), client.CoreV1Api(api)
        self.namespace, self.image = namespace, image

    def manifest(self, name, command):
        job = load_template(TEMPLATE)
        job["metadata"] = {"name": name, "labels": {"bare": name.split("-")[1]}}
        pod = job["spec"]["template"]
        pod["metadata"] = {"labels": job["metadata"]["labels"]}
        (worker,) = pod["spec"]["containers"]
        worker |= {"image": self.image, "command": command, "args": []}
        worker["resources"] = {"requests": {"cpu": "20m", "memory": "64Mi"}}
        return job

    def run_jobs(self, count=1, command=NOTHING):
        """Make Jobs at once; return the seconds until all are complete."""
        group = uuid.uuid4().hex[:12]
        start = time.time()
        for number in range(count):
            self.batch.create_namespaced_job(
                self.namespace, self.manifest(f"bare-{group}-{number}", command)
            )
        self._wait(self.batch.list_namespaced_job, group, count, lambda job: job.status.succeeded)
        took = time.time() - start
        self.batch.delete_collection_namespaced_job(
            self.namespace, label_selector=f"bare={group}", propagation_policy="Background"
        )
        return took

    def run_pod(self):
        """Make a pod; return the seconds until it has succeeded."""
        group = uuid.uuid4().hex[:12]
        job = self.manifest(f"bare-{group}", NOTHING)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": job["metadata"],
            "spec": job["spec"]["template"]["spec"],
        }
        start = time.time()
        self.core.create_namespaced_pod(self.namespace, pod)
        is_done = lambda each: each.status.phase == "Succeeded"  # noqa: E731
        self._wait(self.core.list_namespaced_pod, group, 1, is_done)
        took = time.time() - start
        self.core.delete_namespaced_pod(job["metadata"]["name"], self.namespace)
        return took

    def _wait(self, listed, group, count, is_done):
        done = set()
        events = watch.Watch()
        for event in events.stream(
            listed, self.namespace, label_selector=f"bare={group}", timeout_seconds=600
        ):
            if is_done(event["object"]):
                done.add(event["object"].metadata.name)
            if len(done) == count:
                events.stop()
                return
        raise AssertionError(f"{count - len(done)} of {count} have not ended")


class Ours:
    """Requests to a CANDELA in the cluster."""

    def __init__(self, url, namespace, core):
        self.url, self.namespace, self.core = url, namespace, core

    def set(self, **settings):
        """Change settings of the gateways, and wait until all have them."""
        given = [f"{name}={value}" if value else f"{name}-" for name, value in settings.items()]
        self.kubectl("set", "env", "deployment/candela-gateway", *given)
        self.kubectl("rollout", "status", "deployment/candela-gateway", "--timeout=300s")

    def kubectl(self, *words):
        subprocess.run(
            ["kubectl", "-n", self.namespace, *words], check=True, stdout=subprocess.DEVNULL
        )

    def wait_for_warm_pods(self, count):
        deadline = time.monotonic() + 120
        while self._idle() < count:
            assert time.monotonic() < deadline, "no pod waits for jobs"
            time.sleep(0.2)

    def _idle(self):
        pods = self.core.list_namespaced_pod(self.namespace, label_selector="candela/revision")
        return sum(
            not pod.metadata.owner_references
            and any(each.type == "Ready" and each.status == "True" for each in conditions(pod))
            for pod in pods.items
        )

    def submit(self):
        """Ask for an Echo; return when it was sent, and its id."""
        sent = time.time()
        answer = requests.get(self.url + EXECUTE.format(key=uuid.uuid4().hex), timeout=60)
        answer.raise_for_status()
        return sent, answer.text.split("/wps/status/")[1].split('"')[0].split("<")[0]

    def measure(self):
        """Run an Echo; return when each step came, in seconds after it was sent."""
        sent, job_id = self.submit()
        self.finished(job_id)
        events = self._get(f"/jobs/{job_id}/events").json()["events"]
        steps = {event["state"]: instant(event["time"]) - sent for event in events}
        log = self._get(f"/jobs/{job_id}/log").text.splitlines()
        steps["worker"] = line_time(log, ": Attempt 1 of") - sent
        steps["first line"] = line_time(log, "running") - sent
        steps["stored"] = line_time(log, "Attempt 1 succeeded") - sent
        steps["published"] = steps["succeeded"]
        return steps

    def finished(self, job_id, every_s=0.05):
        while True:
            job = self._get(f"/jobs/{job_id}").json()
            if job["status"] in {"successful", "failed", "dismissed"}:
                assert job["status"] == "successful", job
                return
            time.sleep(every_s)

    def run_at_once(self, count):
        """Submit at once; return the seconds until all have been published."""
        start = time.time()
        with ThreadPoolExecutor(16) as threads:
            jobs = list(threads.map(lambda _: self.submit(), range(count)))
        for _, job_id in jobs:
            self.finished(job_id, every_s=0.5)  # to be asked is work, too
        return time.time() - start

    def _get(self, path):
        answer = requests.get(self.url + path, timeout=60)
        answer.raise_for_status()
        return answer


def conditions(pod):
    return pod.status.conditions or ()


def instant(text):
    return dt.datetime.fromisoformat(text).timestamp()


def line_time(log, text):
    line = next(line for line in log if text in line)
    stamp = dt.datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")
    return stamp.replace(tzinfo=dt.UTC).timestamp()


def summary(values):
    ordered = sorted(values)
    return {
        "p50_s": round(statistics.median(ordered), 3),
        "p95_s": round(ordered[max(0, round(0.95 * len(ordered)) - 1)], 3),
    }


def told(name, measured):
    """Return the figures of requests, by step."""
    figures = {f"{name}: {step}": summary([each[step] for each in measured]) for step in STEPS}
    gateway = [
        each["running"] + each["published"] - max(each["stored"], each["running"])
        for each in measured
    ]
    seen = [each["publishing"] - each["stored"] for each in measured]
    figures[f"{name}: gateway, without the pod"] = summary(gateway)
    figures[f"{name}: end of the worker seen after"] = summary(seen)
    return figures


def show(figures):
    for name, value in figures.items():
        print(f"{name}: {json.dumps(value)}", flush=True)


def one_by_one(bare, ours, jobs, *, warm):
    """Let bare Jobs, bare pods and requests take turns; return the seconds of each."""
    bare_jobs, bare_pods, requested = [], [], []
    for _ in range(jobs):
        bare_jobs.append(bare.run_jobs())
        bare_pods.append(bare.run_pod())
        if warm:
            ours.wait_for_warm_pods(1)
        time.sleep(SETTLED_S)
        requested.append(ours.measure())
    return bare_jobs, bare_pods, requested


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://10.99.1.2:30080")
    parser.add_argument("--namespace", default="candela-test")
    parser.add_argument("--image", default="localhost/candela-python:dev")
    parser.add_argument("--jobs", type=int, default=20, help="of each kind, one at a time")
    parser.add_argument("--at-once", type=int, default=60, help="of each kind, at the same time")
    parser.add_argument("--quick", action="store_true", help="3 of each kind, and 6 at once")
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.at_once = 3, 6
    try:
        requests.get(f"{options.url}/readyz", timeout=5).raise_for_status()
    except requests.RequestException as error:
        print(f"skipped: no CANDELA in a cluster at {options.url} ({error})")
        return
    bare = Bare(options.namespace, options.image)
    ours = Ours(options.url, options.namespace, bare.core)
    show({"load before": round(os.getloadavg()[0], 1)})
    ours.kubectl("apply", "-f", str(COMPONENT))
    try:
        ours.set(CANDELA_RUNNING_JOBS=options.at_once, CANDELA_WARM="{}")
        jobs, pods, cold = one_by_one(bare, ours, options.jobs, warm=False)
        show({"bare job": summary(jobs), "bare pod": summary(pods)} | told("cold", cold))
        seconds = {
            "bare job": bare.run_jobs(options.at_once),
            "bare worker": bare.run_jobs(options.at_once, WORKER),
            "ours, cold": ours.run_at_once(options.at_once),
        }
        rates = {name: round(options.at_once / took, 2) for name, took in seconds.items()}
        show({f"jobs per second, {options.at_once} at once": rates})
        ours.set(CANDELA_WARM='{"Echo": 1}')
        jobs, pods, warm = one_by_one(bare, ours, options.jobs, warm=True)
        show({"bare job": summary(jobs), "bare pod": summary(pods)} | told("warm", warm))
    finally:
        ours.set(CANDELA_WARM="", CANDELA_RUNNING_JOBS="")
    show({"load after": round(os.getloadavg()[0], 1)})


if __name__ == "__main__":
    main()
