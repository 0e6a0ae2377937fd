"""The manifests as the API server of a cluster reads them."""

import subprocess

import pytest
from clusters import ROOT, Cluster
from deployments import NAMESPACE


def kustomize(cluster: Cluster, overlay: str) -> str:
    return cluster.run("kustomize", str(ROOT / "k8s/overlays" / overlay))


@pytest.mark.parametrize("overlay", ["test", "production"])
def test_a_cluster_takes_all_of_an_overlay(cluster, overlay):
    cluster.run("apply", "-f", str(ROOT / f"k8s/overlays/{overlay}/namespace.yaml"))
    given = kustomize(cluster, overlay)
    said = cluster.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=given)
    assert "(server dry run)" in said
    assert said.count("\n") == given.count("\nkind: ") + given.startswith("kind: ")


def test_the_job_template_is_a_job_that_a_cluster_takes(cluster):
    path = ROOT / "k8s/base/job-template.yaml"
    words = ("apply", "--dry-run=server", "--validate=strict", "-f", str(path), "-n", "default")
    assert "(server dry run)" in cluster.run(*words)


@pytest.mark.parametrize(
    ("account", "may", "may_not"),
    [
        (
            "candela-gateway",
            [
                "create jobs",
                "patch jobs",
                "delete jobs",
                "watch jobs",
                "watch pods",
                "get pods/log",
            ],
            [
                *("create pods", "delete pods", "create pods/exec", "deletecollection jobs"),
                *("get secrets", "list configmaps", "create jobs -n default", "list nodes"),
            ],
        ),
        ("candela-worker", [], ["get pods", "list jobs", "create jobs", "get secrets"]),
    ],
)
def test_an_account_may_not_do_more_than_it_needs(cluster, deployment, account, may, may_not):
    assert [words for words in may if not can(cluster, account, words)] == []
    assert [words for words in may_not if can(cluster, account, words)] == []


def can(cluster: Cluster, account: str, words: str) -> bool:
    """Tell whether an account may do something, in our namespace unless it is said."""
    where = [] if "-n" in words else ["-n", NAMESPACE]
    user = f"system:serviceaccount:{NAMESPACE}:{account}"
    command = [cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", "auth", "can-i"]
    done = subprocess.run(
        [*command, *words.split(), *where, "--as", user], capture_output=True, text=True
    )
    return done.stdout.strip() == "yes"
