"""What 1000 waiting jobs cost two gateways in a cluster.

    KUBECONFIG=... python benchmarks/cluster_queue.py [--jobs 1000] [--in-cluster] [--seconds 120]

CANDELA is deployed for it, in a cluster that must run on this machine with our images in it. Jobs
wait in the gateways' own queue, or with --in-cluster as Jobs of the cluster, suspended as Kueue
suspends them, which both gateways follow. Memory is what the serving process of each gateway has
resident: before, while jobs are submitted, and while they wait and are asked for.
"""

import argparse
import json
import signal
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs=literal=job{}"
)
CLIENTS = 8
SUSPENDED = {"completions: 1\n": "completions: 1\n  suspend: true\n"}


def resident(deployment):
    """Return the memory of the process that answers of each gateway, in MiB."""
    from nodes import containers

    found = {}
    for pod in deployment.gateways():
        processes = containers("candela.cli", pod=pod["metadata"]["uid"])
        parents = {process.ppid() for process in processes}  # they only look after them
        for process in processes:
            if process.pid not in parents:
                found[pod["metadata"]["name"]] = process.memory_info().rss / 2**20
    return found


def submit(url, number):
    """Submit a job; return how long that took, and its id."""
    begun = time.monotonic()
    answer = requests.get(url + EXECUTE.format(number), timeout=120)
    answer.raise_for_status()
    took = time.monotonic() - begun
    return took, answer.text.partition("/wps/status/")[2][:36]


METRICS = "/api/v1/namespaces/candela-test/services/candela-gateway-internal:80/proxy/metrics"


def watch(deployment, seconds, job_ids):
    """Ask for jobs and metrics for a while; return the memory of each gateway meanwhile."""
    samples = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in ("/jobs", f"/jobs/{job_ids[int(time.time()) % len(job_ids)]}"):
            requests.get(deployment.url + path, timeout=60).raise_for_status()
        deployment.cluster.run("get", "--raw", METRICS)
        for pod, mebibytes in resident(deployment).items():
            samples.setdefault(pod, []).append(mebibytes)
        time.sleep(1)
    return samples


def course(samples):
    """Say how memory went: its median in the first and the last tenth, and its peak."""
    tenth = max(1, len(samples) // 10)
    return {
        "at first": round(statistics.median(samples[:tenth]), 1),
        "at last": round(statistics.median(samples[-tenth:]), 1),
        "peak": round(max(samples), 1),
    }


def measure(deployment, options):
    url = deployment.url
    before = resident(deployment)
    with ThreadPoolExecutor(CLIENTS) as clients:
        begun = time.monotonic()
        answers = list(clients.map(lambda number: submit(url, number), range(options.jobs)))
        took = time.monotonic() - begun
    job_ids = [job_id for _, job_id in answers]
    if options.in_cluster:
        selector = "app.kubernetes.io/component=worker"
        while len(deployment.objects("jobs", selector)) < options.jobs:
            time.sleep(2)
    after = resident(deployment)
    samples = watch(deployment, options.seconds, job_ids)
    return {
        "jobs": len(set(job_ids)),
        "submitted per second": round(options.jobs / took, 1),
        "MiB before": [round(value, 1) for value in before.values()],
        "MiB when all wait": [round(value, 1) for value in after.values()],
        f"MiB in {options.seconds} s of waiting": [course(each) for each in samples.values()],
        "restarts": [
            status["restartCount"]
            for pod in deployment.gateways()
            for status in pod["status"]["containerStatuses"]
        ],
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--in-cluster", action="store_true", help="as suspended Jobs")
    parser.add_argument("--seconds", type=int, default=120)
    options = parser.parse_args()
    from clusters import given_cluster
    from deployments import deployed

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # nothing is left
    cluster = given_cluster()
    if cluster is None:
        print("skipped: neither KUBECONFIG nor kubectl")
        return
    settings = {"CANDELA_RUNNING_JOBS": str(options.jobs if options.in_cluster else 1)}
    with deployed(cluster, settings=settings, template=SUSPENDED, is_gated=False) as deployment:
        print(json.dumps(measure(deployment, options), indent=2))


if __name__ == "__main__":
    main()
