"""A cluster of this machine as a place for storms.

Containers and the cluster's own programs are processes of this machine, so SIGKILL reaches them.
The S3 server keeps its objects in memory: it is not killed, but the way to it is cut or shut.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil
from _storm_places import Strike, kill_worker
from buckets import CREDENTIALS
from clusters import given_cluster
from deployments import Deployment, deployed, s3_client
from nodes import containers, kill, program

from candela.contract.job import RESULT_FILE, ResultDocument, job_key
from candela.jobs.model import JobOutcome
from candela.storage import open_storage

BUCKET = "candela"
WORKERS = "app.kubernetes.io/component=worker"
TTL_S = 60
PROGRAMS = {
    "API server": "kube-apiserver",
    "kubelet": "kubelet",
    "containerd": "containerd",
    "controller manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "etcd": "etcd",
}


class InCluster:
    """Two gateways in a cluster, with a database and a bucket that can be cut off."""

    owed: frozenset[str] = frozenset()  # no one of them: whatever is struck
    pace = 5.0
    targets: Mapping[str, int] = {
        "gateway process": 2,
        "gateway pod": 1,
        "worker process": 3,
        "worker pod": 2,
        "database connections": 2,
        "database": 1,
        "bucket connections": 2,
        "bucket": 1,
        **dict.fromkeys(PROGRAMS, 1),
    }

    def __init__(self, deployment: Deployment, *, ttl_s: int = 0) -> None:
        assert deployment.postgres is not None
        assert deployment.s3_gate is not None
        self._deployment = deployment
        self._ttl_s = ttl_s
        self._postgres = deployment.postgres
        self._gate = deployment.s3_gate
        self._s3 = s3_client(deployment.s3_url)
        self.database = self._postgres.url
        self.storage = open_storage(f"s3://{BUCKET}/jobs", endpoint=deployment.s3_url)
        self._blows: dict[str, Callable[[Strike], bool]] = {
            "gateway process": lambda strike: kill(containers("candela.cli"), strike.which),
            "gateway pod": lambda strike: self._delete_pod("gateway", strike.which),
            "worker process": lambda strike: kill_worker(self.workers(), strike.which),
            "worker pod": lambda strike: self._delete_pod("worker", strike.which),
            "database connections": lambda _: self._postgres.cut() > 0,
            "database": self._stop_database,
            "bucket connections": lambda _: self._gate.cut() > 0,
            "bucket": self._shut_bucket,
        }

    def start(self) -> None:
        """Let the bucket remember whatever is stored, also if it is replaced or removed."""
        self._remember("Enabled")

    def stop(self) -> None:
        self._deployment.wait_for_gateways()

    def urls(self) -> list[str]:
        return [self._deployment.url]  # of the Service, which takes one or the other

    def strike(self, strike: Strike) -> bool:
        if name := PROGRAMS.get(strike.target):
            return kill(program(self._deployment.cluster, name), 0)
        return self._blows[strike.target](strike)

    def workers(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for process in containers("candela.worker"):
            try:
                words = process.cmdline()
            except psutil.NoSuchProcess:
                continue
            if "--job" in words:
                found.setdefault(words[words.index("--job") + 1], []).append(process.pid)
        return found

    def at_work(self) -> list[str]:
        try:
            pods = self._deployment.objects("pods", WORKERS)
            jobs = self._deployment.objects("jobs", WORKERS)
        except AssertionError as error:
            return [str(error)]  # the API server is down: nobody knows
        running = [pod for pod in pods if pod["status"]["phase"] not in {"Succeeded", "Failed"}]
        unfinished = [job for job in jobs if not job["status"].get("conditions")]
        return [name_of(each) for each in (*running, *unfinished)]

    def stored(self, job: JobOutcome) -> set[int]:
        """Return the attempts whose results the bucket has ever taken."""
        key = f"jobs/{job_key(job.id, RESULT_FILE)}"
        versions = self._s3.list_object_versions(Bucket=BUCKET, Prefix=key).get("Versions", ())
        found = set()
        for version in versions:
            answer = self._s3.get_object(Bucket=BUCKET, Key=key, VersionId=version["VersionId"])
            result = ResultDocument.model_validate_json(answer["Body"].read())
            found.add(result.attempt)
        return found

    def left_over(self) -> list[str]:
        """Return the Jobs and pods that the cluster has not forgotten in time."""
        self._remember("Suspended")
        if not self._ttl_s:  # it is too long to wait for
            return []
        end = time.monotonic() + 2 * self._ttl_s
        while True:
            left = [
                f"{kind} {name_of(each)}"
                for kind in ("jobs", "pods")
                for each in self._deployment.objects(kind, WORKERS)
            ]
            if not left or time.monotonic() > end:
                return left
            time.sleep(1)

    def _remember(self, status: str) -> None:
        self._s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": status})

    def _delete_pod(self, component: str, which: float) -> bool:
        """Delete a pod that runs, without waiting for what it does."""
        try:
            pods = self._deployment.objects("pods", f"app.kubernetes.io/component={component}")
            running = [pod for pod in pods if pod["status"]["phase"] == "Running"]
            if not running:
                return False
            chosen = name_of(running[int(which * len(running))])
            self._deployment.kubectl(
                "delete", "pod", chosen, "--grace-period=0", "--force", "--wait=false"
            )
        except AssertionError:  # the API server is down
            return False
        return True

    def _stop_database(self, strike: Strike) -> bool:
        self._postgres.stop()
        time.sleep(strike.down_s)
        self._postgres.start()
        return True

    def _shut_bucket(self, strike: Strike) -> bool:
        self._gate.shut()
        time.sleep(strike.down_s)
        self._gate.open()
        return True


@contextmanager
def deployed_place() -> Iterator[InCluster]:
    """Deploy CANDELA in the cluster of KUBECONFIG for one storm."""
    cluster = given_cluster()
    if cluster is None:
        raise SystemExit("skipped: neither KUBECONFIG nor kubectl")
    os.environ |= CREDENTIALS
    template = {"ttlSecondsAfterFinished: 3600": f"ttlSecondsAfterFinished: {TTL_S}"}
    with deployed(cluster, template=template) as deployment:
        yield InCluster(deployment, ttl_s=TTL_S)


def name_of(each: Mapping) -> str:
    return each["metadata"]["name"]
