"""CANDELA in a cluster, with the database and the buckets that it needs on this machine."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import requests
import yaml
from buckets import CREDENTIALS
from clusters import ROOT, Cluster, s3_server_for_pods, until
from databases import NO_POSTGRES, Postgres, find_binaries
from gates import Gate

S3_PORT = 9500  # as in k8s/overlays/test
DATABASE_PORT = 9532
NAMESPACE = "candela-test"
OVERLAY = ROOT / "k8s/overlays/test"
URL = "http://10.99.1.2:30080"
BUCKETS = ("candela", "products")
MAPS = Path("/var/tmp/candela-maps")
TEMPLATE = "job-template.yaml"


@dataclass(frozen=True)
class Deployment:
    """CANDELA in a cluster.

    Attributes
    ----------
    postgres, s3_gate : optional
        The database and the way to the buckets, where they are ours to break.
    """

    cluster: Cluster
    url: str = URL
    postgres: Postgres | None = None
    s3_gate: Gate | None = None

    @property
    def s3_url(self) -> str:
        return f"http://{self.cluster.host}:{S3_PORT}"

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.cluster.run("-n", NAMESPACE, *words, stdin=stdin)

    def objects(self, kind: str, selector: str = "") -> list[dict]:
        words = ("-l", selector) if selector else ()
        return self.cluster.json("-n", NAMESPACE, "get", kind, *words)["items"]

    def gateways(self) -> list[dict]:
        """Return the pods of gateways, those too that end."""
        return self.objects("pods", "app.kubernetes.io/component=gateway")

    def pods_of(self, job_id: str) -> list[dict]:
        return self.objects("pods", f"candela/job={job_id}")

    def keys(self, prefix: str) -> list[str]:
        found = s3_client(self.s3_url).list_objects_v2(
            Bucket="candela", Prefix=f"jobs/jobs/{prefix}"
        )
        return [each["Key"].removeprefix("jobs/jobs/") for each in found.get("Contents", ())]

    def wait_for_gateways(self) -> None:
        """Wait until all gateways are ready; fail with what they said."""
        try:
            self.kubectl("rollout", "status", "deployment/candela-gateway", "--timeout=180s")
        except AssertionError as error:
            said = self.kubectl("logs", "deployment/candela-gateway", "--tail=50")
            raise AssertionError(f"{error}\n{said}") from error
        until(lambda: answers(self.url), why="the gateway does not answer")


@contextmanager
def deployed(
    cluster: Cluster,
    *,
    settings: Mapping[str, str] | None = None,
    template: Mapping[str, str] | None = None,
    is_gated: bool = True,
) -> Iterator[Deployment]:
    """Run CANDELA as ``kubectl apply -k k8s/overlays/test`` makes it.

    Nothing of it is left but priority classes, which others in the cluster may use.

    Parameters
    ----------
    settings : mapping of str to str, optional
        Settings of the gateway in addition to those of the overlay, or in their place.
    template : mapping of str to str, optional
        Words of the job template, and what stands in their place.
    is_gated : bool, optional
        Whether pods reach the buckets through a gate, which can be shut, and takes some time.
    """
    binaries = find_binaries()
    assert binaries is not None, NO_POSTGRES
    with ExitStack() as stack:
        server = Postgres(binaries, host=cluster.host, port=DATABASE_PORT)
        server.start()
        stack.callback(server.stop)
        gate = None
        if is_gated:
            url = stack.enter_context(s3_server_for_pods("127.0.0.1", S3_PORT + 1))
            gate = Gate(S3_PORT + 1, host=cluster.host, listens_at=S3_PORT)
            stack.callback(gate.shut)
        else:
            url = stack.enter_context(s3_server_for_pods(cluster.host, S3_PORT))
        for name in BUCKETS:
            s3_client(url).create_bucket(
                Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
        made = Deployment(cluster, postgres=server, s3_gate=gate)
        stack.enter_context(_applied(cluster, manifests(cluster, settings or {}, template or {})))
        made.wait_for_gateways()
        yield made


def manifests(cluster: Cluster, settings: Mapping[str, str], template: Mapping[str, str]) -> str:
    """Return what the overlay makes, with some settings and words of the job template changed."""
    documents = list(yaml.safe_load_all(cluster.run("kustomize", str(OVERLAY))))
    for document in documents:
        if document["kind"] == "ConfigMap" and TEMPLATE not in document["data"]:
            document["data"] |= settings
        elif document["kind"] == "ConfigMap":
            for words, others in template.items():
                assert words in document["data"][TEMPLATE], words
                document["data"][TEMPLATE] = document["data"][TEMPLATE].replace(words, others)
    return yaml.safe_dump_all(documents)


@contextmanager
def _applied(cluster: Cluster, text: str) -> Iterator[None]:
    shutil.rmtree(MAPS, ignore_errors=True)
    MAPS.mkdir()
    MAPS.chmod(0o777)
    try:
        cluster.run("apply", "-f", "-", stdin=text)
        yield
    finally:
        ours = [each for each in yaml.safe_load_all(text) if each["kind"] != "PriorityClass"]
        text = yaml.safe_dump_all(ours)
        cluster.run("delete", "-f", "-", "--ignore-not-found", "--timeout=120s", stdin=text)
        shutil.rmtree(MAPS, ignore_errors=True)


def answers(url: str) -> bool:
    """Tell whether a gateway is ready for requests at an address."""
    try:
        return requests.get(f"{url}/readyz", timeout=5).ok
    except requests.RequestException:
        return False


def s3_client(url: str):
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
    )
