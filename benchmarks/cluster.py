"""How long a request takes in a cluster, beside a bare Job of the same image.

    KUBECONFIG=... python benchmarks/cluster.py --url http://10.99.1.2:30080 [--jobs 10]

CANDELA must be deployed (`kubectl apply -k k8s/overlays/test`). Bare Jobs and requests take turns,
one at a time, so both see the same load of the machine; then as many of each at once. A bare Job
runs `true`. "First line" is when the algorithm begins: inputs are there, all is imported. Clocks of
the cluster and of this machine must agree.
"""

import argparse
import datetime as dt
import json
import statistics
import subprocess
import time
import uuid
from pathlib import Path

import requests
import yaml

from candela.runners.manifest import load_template

NAMESPACE = "candela-test"
IMAGE = "localhost/candela-python:dev"
TEMPLATE = Path("k8s/base/job-template.yaml")
EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs=literal={key}"
)
STEPS = ("accepted", "dispatching", "running", "publishing", "succeeded")


def kubectl(*words, stdin=None):
    done = subprocess.run(
        ["kubectl", "-n", NAMESPACE, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def bare_job(name):
    """Return a Job as ours, but for what it does."""
    job = load_template(TEMPLATE)
    job["metadata"] = {"name": name, "labels": {"bare": "yes"}}
    pod = job["spec"]["template"]
    pod["metadata"] = {"labels": {"bare": "yes"}}
    (worker,) = pod["spec"]["containers"]
    worker |= {"image": IMAGE, "command": ["true"], "args": []}
    worker["resources"] = {"requests": {"cpu": "20m", "memory": "64Mi"}}
    return job


def run_bare(count):
    """Make bare Jobs at once; return the seconds from the first creation to all being complete."""
    names = [f"bare-{uuid.uuid4().hex[:12]}" for _ in range(count)]
    text = yaml.safe_dump_all([bare_job(name) for name in names])
    start = time.time()
    kubectl("create", "-f", "-", stdin=text)
    kubectl(
        "wait", "--for=condition=complete", "--timeout=300s", *(f"job/{name}" for name in names)
    )
    took = time.time() - start
    kubectl("delete", "job", *names, "--wait=false")
    return took


def instant(text):
    return dt.datetime.fromisoformat(text).timestamp()


def submit(url):
    """Ask for an Echo; return when it was sent, and its id."""
    key = uuid.uuid4().hex
    sent = time.time()
    answer = requests.get(url + EXECUTE.format(key=key), timeout=60)
    answer.raise_for_status()
    return sent, answer.text.split("/wps/status/")[1].split('"')[0].split("<")[0]


def finished(url, job_id):
    while True:
        job = requests.get(f"{url}/jobs/{job_id}", timeout=60).json()
        if job["status"] in {"successful", "failed", "dismissed"}:
            assert job["status"] == "successful", job
            return job
        time.sleep(0.05)


def measure(url, sent, job_id):
    """Return when each step of a job came, in seconds after it was sent."""
    job = finished(url, job_id)
    events = requests.get(f"{url}/jobs/{job_id}/events", timeout=60).json()["events"]
    steps = {event["state"]: instant(event["time"]) - sent for event in events}
    log = requests.get(f"{url}/jobs/{job_id}/log", timeout=60).text.splitlines()
    steps["worker"] = line_time(log, ": Attempt 1 of") - sent
    steps["first line"] = line_time(log, "running") - sent
    steps["worker's end"] = line_time(log, "Attempt 1 succeeded") - sent
    steps["all"] = instant(job["finished"]) - sent
    return steps


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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://10.99.1.2:30080")
    parser.add_argument("--jobs", type=int, default=10)
    options = parser.parse_args()
    try:
        requests.get(f"{options.url}/readyz", timeout=5).raise_for_status()
    except requests.RequestException as error:
        print(f"skipped: no CANDELA in a cluster at {options.url} ({error})")
        return
    bare, ours = [], []
    for _ in range(options.jobs):
        bare.append(run_bare(1))
        ours.append(measure(options.url, *submit(options.url)))
    results = {"bare job": summary(bare)}
    for step in ("accepted", "dispatching", "running", "worker", "first line", "all"):
        results[f"ours, until {step}"] = summary([each[step] for each in ours])
    seen = [each["publishing"] - each["worker's end"] for each in ours]
    results["ours, from the worker's last line until seen"] = summary(seen)
    start = time.time()
    jobs = [submit(options.url) for _ in range(options.jobs)]
    for _, job_id in jobs:
        finished(options.url, job_id)
    ours_at_once = time.time() - start
    bare_at_once = run_bare(options.jobs)
    results["jobs per second, at once"] = {
        "bare": round(options.jobs / bare_at_once, 2),
        "ours": round(options.jobs / ours_at_once, 2),
    }
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
