"""The manifests as the API server of a cluster reads them."""

import subprocess

import pytest
from clusters import ROOT, Cluster


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


def test_the_gateway_may_not_do_more_than_it_needs(cluster, deployment):
    def may(verb: str, what: str, *words: str) -> bool:
        account = "system:serviceaccount:candela-test:candela-gateway"
        command = [cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", "auth", "can-i", verb]
        done = subprocess.run(
            [*command, what, "--as", account, *words], capture_output=True, text=True
        )
        return done.stdout.strip() == "yes"

    here = ("-n", "candela-test")
    assert may("create", "jobs", *here)
    assert may("get", "pods/log", *here)
    assert not may("create", "pods", *here)
    assert not may("get", "secrets", *here)
    assert not may("create", "jobs", "-n", "default")
    assert not may("list", "nodes")
