"""docs/operators/install.md on a cluster, from its overlay on: each test goes on from the last one.

The commands are those of the page. Addresses, accounts and the namespace are ours in place of its
examples, and the priority classes stay: other tests run in the cluster at the same time.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import install_page
import pytest
from buckets import CREDENTIALS
from clusters import Cluster, s3_server_for_pods, until
from databases import NO_POSTGRES, Postgres, find_binaries
from deployments import answers, s3_client

from candela import __version__
from candela.client import Client
from candela.client.job import Job

NAMESPACE = "candela-installed"
URL = "http://10.99.1.2:30081"
S3_PORT = 9540
DATABASE_PORT = 9542
MAPS = Path("/var/tmp/candela-installed-maps")
PATIENCE_S = 180
TYPING_S = 3  # between two commands; a job that vanished is tried again after one second
LARGEST_CPU = 2  # cores that a process asks for
PART_OF = "app.kubernetes.io/part-of=candela"
NAME = "app.kubernetes.io/name=candela"
# What the page leaves to the cluster: a volume for the claim, and a way in (here no Ingress is).
SURROUNDINGS = f"""\
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {NAMESPACE}}}
spec:
  capacity: {{storage: 100Gi}}
  accessModes: [ReadWriteMany]
  claimRef: {{namespace: {NAMESPACE}, name: candela-maps}}
  local: {{path: {MAPS}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/os, operator: In, values: [linux]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: way-in}}
spec:
  type: NodePort
  selector: {{app.kubernetes.io/component: gateway}}
  ports: [{{port: 80, targetPort: http, nodePort: 30081}}]
"""
SMALL_MACHINE = """\
  - target: {kind: Deployment, name: candela-gateway}
    patch: |-
      - {op: replace, path: /spec/replicas, value: 1}
      - {op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 50m}
"""
APPLY, TRIAL = re.split("(?=^candela )", install_page.block("apply -k"), flags=re.MULTILINE)


@dataclass(frozen=True)
class Site:
    """A folder in which commands of the page are run.

    Attributes
    ----------
    values : dict of str to str
        Examples of the page, and what stands in their place here.
    """

    cluster: Cluster
    folder: Path
    values: dict[str, str]

    @property
    def overlay(self) -> Path:
        return self.folder / "my-overlay/kustomization.yaml"

    def run(self, script: str) -> str:
        """Run commands of the page; return what they print."""
        for example, value in self.values.items():
            script = script.replace(example, value)
        programs = (Path(self.cluster.kubectl).parent, Path(sys.executable).parent)
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        done = subprocess.run(
            ["timeout", str(PATIENCE_S), "bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig), "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def names(self, kinds: str, *words: str) -> set[str]:
        """Return the objects of the namespace, each as ``kind/name``."""
        return set(self.cluster.run("-n", NAMESPACE, "get", kinds, "-o", "name", *words).split())


def remove(cluster: Cluster, *words: str) -> None:
    for kind in ("namespace", "persistentvolume"):
        cluster.run("delete", kind, NAMESPACE, "--ignore-not-found", "--timeout=120s", *words)


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Provide what the page takes for granted: repository, database, bucket, certificate."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(NO_POSTGRES)
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        database = Postgres(binaries, host=cluster.host, port=DATABASE_PORT)
        database.start()
        stack.callback(database.stop)
        s3_url = stack.enter_context(s3_server_for_pods(cluster.host, S3_PORT))
        for name in ("my-bucket", "sentinel"):
            s3_client(s3_url).create_bucket(
                Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
        MAPS.mkdir(exist_ok=True)
        MAPS.chmod(0o777)
        stack.callback(shutil.rmtree, MAPS)
        remove(cluster)  # what a run has left that was killed
        stack.callback(remove, cluster, "--wait=false")
        values = {
            "namespace: candela\n": f"namespace: {NAMESPACE}\n",
            "namespace candela\n": f"namespace {NAMESPACE}\n",
            "-n candela ": f"-n {NAMESPACE} ",
            install_page.REPOSITORY: install_page.make_repository(folder / "candela.git"),
            "https://candela.example.org": URL,
            "registry.example.org/candela-": "localhost/candela-",
            f"={__version__}": "=dev",
            f"newTag: {__version__}": "newTag: dev",
            "postgresql+psycopg://candela:...@database/candela": database.url,
            "https://s3.example.org": s3_url,
            "_ID=...": f"_ID={CREDENTIALS['AWS_ACCESS_KEY_ID']}",
            "_KEY=...": f"_KEY={CREDENTIALS['AWS_SECRET_ACCESS_KEY']}",
        }
        assert [example for example in values if example not in install_page.PAGE] == []
        made = Site(cluster, folder, values)
        made.run(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=candela.example.org "
            "-keyout tls.key -out tls.crt 2>&1"
        )
        yield made


@pytest.fixture(scope="module")
def said(site: Site) -> str:
    """Install; return what the commands that try it have said."""
    site.run(install_page.block("cat >my-overlay/"))
    with site.overlay.open("a") as overlay:
        overlay.write(SMALL_MACHINE)
    site.run(install_page.block("components/mapserver"))
    site.run(install_page.block("create namespace"))
    site.cluster.apply(SURROUNDINGS, "-n", NAMESPACE)
    return install(site) + site.run(TRIAL)


def install(site: Site) -> str:
    """Apply the overlay, and wait until the way in leads to a gateway."""
    try:
        said = site.run(APPLY)
    except AssertionError as error:
        words = ("logs", "deployment/candela-gateway", "--tail=50")
        raise AssertionError(f"{error}\n{site.cluster.run('-n', NAMESPACE, *words)}") from error
    until(lambda: answers(URL), why="the gateway does not answer")
    return said


@pytest.fixture(scope="module")
def waiting(said: str) -> Iterator[Job]:
    """Start a job of two cores, all of which production asks for."""
    with Client(URL) as client:
        yield client.execute("Jpeg2Tiff", product="s3://sentinel/missing.zip")


def test_an_overlay_on_a_remote_base_runs_a_job(said: str) -> None:
    assert 'deployment "candela-gateway" successfully rolled out' in said
    assert "of Echo: succeeded" in said
    assert "hello" in said


def cores(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def test_a_job_that_asks_for_more_cores_than_the_node_has_says_so(site: Site, waiting: Job) -> None:
    nodes = site.cluster.json("get", "nodes")["items"]
    if any(cores(node["status"]["allocatable"]["cpu"]) > LARGEST_CPU for node in nodes):
        pytest.skip(f"a node has more than {LARGEST_CPU} cores, and no process asks for more")
    until(lambda: "Insufficient cpu" in waiting.refresh().message, seconds=30)
    words = r"Unschedulable: 0/\d+ nodes are available: \d+ Insufficient cpu"
    assert re.match(words, waiting.message)
    assert not waiting.status.is_final


def test_removing_leaves_namespace_secrets_and_volumes_alone(site: Site, waiting: Job) -> None:
    words = ("api-resources", "--namespaced", "--verbs=list,delete", "-o", "name")
    kinds = ",".join(site.cluster.run(*words).split())
    secrets = {f"secret/candela-{name}" for name in ("gateway", "proxy", "s3", "tls")}
    claims = {"persistentvolumeclaim/candela-maps"}
    assert site.names("secrets") == secrets
    removal = install_page.block("deployments,statefulsets")
    site.run(removal.replace("\nkubectl", f"\nsleep {TYPING_S}\nkubectl"))
    until(lambda: not site.names(kinds, "-l", NAME), why="something of it is left")
    assert site.names(kinds, "-l", PART_OF) == claims
    assert site.names("secrets,persistentvolumeclaims,services,jobs") == {
        *secrets, *claims, "service/way-in",
    }  # fmt: skip
    volume = site.cluster.json("get", "persistentvolume", NAMESPACE)
    assert volume["status"]["phase"] == "Bound"
    namespace = site.cluster.json("get", "namespace", NAMESPACE)
    assert namespace["status"]["phase"] == "Active"


def test_priority_classes_are_left_to_a_command_of_their_own(site: Site, said: str) -> None:
    (command,) = install_page.block("delete priorityclasses").splitlines()
    assert "-n candela" not in command
    classes = site.cluster.run("get", "priorityclasses", "-o", "name").split()
    assert {"candela-gateway", "candela-job"} <= {each.partition("/")[2] for each in classes}


def test_applying_again_brings_all_back(site: Site, waiting: Job) -> None:
    assert "`kubectl apply -k my-overlay` restores the service" in install_page.PAGE
    tag = "      - CANDELA_IMAGE_TAG=dev\n"
    share = "      - CANDELA_CPU_SHARE=0.1\n"  # the page's advice to the job that waits
    site.overlay.write_text(site.overlay.read_text().replace(tag, tag + share))
    install(site)
    with Client(URL) as client:
        jobs = {job.process: job for job in client.jobs()}
        assert jobs["Jpeg2Tiff"].id == waiting.id
        assert jobs["Echo"].outputs["literalOutput"].value == "hello"
        until(lambda: jobs["Jpeg2Tiff"].refresh().status.is_final)
        assert "missing.zip" in jobs["Jpeg2Tiff"].message  # it had room, and looked
