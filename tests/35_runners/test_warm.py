"""Which warm pods are made and removed, and what they are made of."""

import copy
import datetime as dt
from pathlib import Path

import yaml

from candela.contract.job import JobDocument
from candela.runners.base import Limits
from candela.runners.manifest import Images, job_manifest, load_template, warm_manifest, warm_pod
from candela.runners.verdict import is_overdue
from candela.runners.warm import WarmPods, WarmPodSpec, owner_of, plan

TEMPLATE = load_template(Path(__file__).parents[2] / "k8s/base/job-template.yaml")
EXPECTED = Path(__file__).with_name("warm_pod.yaml")
LIMITS = Limits(cpu=1.5, memory_bytes=4 * 2**30, timeout_s=1800)
NOW = dt.datetime(2026, 1, 2, 12, 0, tzinfo=dt.UTC)
START = NOW - dt.timedelta(minutes=30)


def manifest(limits: Limits = LIMITS, *, tag: str = "1") -> dict:
    return warm_manifest(
        TEMPLATE,
        "ChangeDetect",
        limits,
        image=Images("example.org/", tag).name("python"),
        storage_url="s3://jobs/here",
        gateway_url="http://candela-gateway/warm",
    )


def want(count: int = 1, **options) -> WarmPodSpec:
    return WarmPodSpec("ChangeDetect", LIMITS, count, manifest(**options))


def pod(
    name: str, made_of: WarmPodSpec, *, age_s: float = 10, phase="Running", owner="", going=False
):
    metadata = {
        "name": name,
        "creationTimestamp": (NOW - dt.timedelta(seconds=age_s)).isoformat(),
        "labels": {"candela/revision": made_of.revision},
    }
    if owner:
        metadata["ownerReferences"] = [{"kind": "Job", "name": owner, "controller": True}]
    if going:
        metadata["deletionTimestamp"] = NOW.isoformat()
    return {"metadata": metadata, "status": {"phase": phase}}


def names(specs: list[WarmPodSpec], pods: list[dict]) -> tuple[list[str], list[str]]:
    """Return the names of what is missing, and of what is to go."""
    made = plan(specs, pods, NOW, since=START)
    return [name for _, name in made.missing], [each["metadata"]["name"] for each in made.unwanted]


def test_the_whole_pod_is_as_expected():
    made = warm_pod(manifest(), want().name(0, 0), "a-word", "a-token")
    assert made == yaml.safe_load(EXPECTED.read_text())


def test_a_warm_pod_is_the_pod_of_a_job_but_for_its_task():
    """What secures a pod, and bounds it, is the same."""
    job = JobDocument(id="1", process="ChangeDetect", version="1.0.0")
    made = job_manifest(
        TEMPLATE, job, LIMITS, image="example.org/python:1", storage_url="s3://jobs/here"
    )
    cold, warm = copy.deepcopy(made["spec"]["template"]["spec"]), manifest()["spec"]
    for spec in (cold, warm):
        spec.pop("activeDeadlineSeconds")
        spec["containers"][0].pop("args")
    assert cold == warm


def test_a_job_selects_a_warm_pod_by_its_word_alone():
    job = JobDocument(id="1", process="ChangeDetect", version="1.0.0")
    options = {"image": "a", "storage_url": "s3://b"}
    cold = job_manifest(TEMPLATE, job, LIMITS, **options)
    warm = job_manifest(TEMPLATE, job, LIMITS, warm="a-word", **options)
    spec = warm["spec"]
    assert spec.pop("manualSelector") is True
    assert spec.pop("selector") == {"matchLabels": {"candela/warm": "a-word"}}
    assert spec["template"]["metadata"]["labels"].pop("candela/warm") == "a-word"
    assert warm == cold


def test_a_change_of_image_or_limits_is_another_revision():
    revisions = {
        made["metadata"]["labels"]["candela/revision"]
        for made in (
            manifest(),
            manifest(),
            manifest(tag="2"),
            manifest(Limits(timeout_s=1801)),
            manifest(Limits(memory_bytes=2**20)),
        )
    }
    assert len(revisions) == 4


def test_what_is_missing_is_made():
    wanted = want(2)
    assert names([wanted], []) == ([wanted.name(0, 0), wanted.name(1, 0)], [])
    assert names([wanted], [pod(wanted.name(1, 0), wanted)]) == ([wanted.name(0, 0)], [])


def test_a_pod_that_waits_is_left_alone():
    wanted = want()
    assert names([wanted], [pod(wanted.name(0, 0), wanted)]) == ([], [])
    assert names([wanted], [pod(wanted.name(0, 0), wanted, phase="Pending")]) == ([], [])


def test_all_gateways_call_the_successor_of_a_pod_the_same():
    wanted = want()
    taken = [pod(wanted.name(0, 9), wanted, owner="a"), pod(wanted.name(0, 10), wanted, owner="b")]
    assert names([wanted], taken) == ([wanted.name(0, 11)], [])
    assert names([wanted], [*taken, pod(wanted.name(0, 11), wanted)]) == ([], [])


def test_a_pod_that_is_deleted_gets_a_successor_with_another_name():
    wanted = want()
    assert names([wanted], [pod(wanted.name(0, 0), wanted, going=True)]) == (
        [wanted.name(0, 1)],
        [],
    )


def test_what_failed_without_a_job_stays_for_a_minute_and_is_not_repeated_before():
    wanted = want()
    failed = pod(wanted.name(0, 0), wanted, phase="Failed", age_s=50)
    assert names([wanted], [failed]) == ([], [])
    failed = pod(wanted.name(0, 0), wanted, phase="Failed", age_s=70)
    assert names([wanted], [failed]) == ([], [wanted.name(0, 0)])


def test_an_old_pod_is_replaced():
    wanted = want()
    old = pod(wanted.name(0, 0), wanted, age_s=7 * 3600)
    assert names([wanted], [old]) == ([], [wanted.name(0, 0)])


def test_idle_pods_of_another_revision_go_at_once_if_they_are_older_than_this_gateway():
    wanted, before = want(), want(tag="0")
    old = pod(before.name(0, 0), before, age_s=3600)
    assert names([wanted], [old]) == ([wanted.name(0, 0)], [before.name(0, 0)])


def test_idle_pods_of_another_revision_that_a_gateway_still_makes_go_after_a_minute():
    wanted, other = want(), want(tag="0")
    mine = pod(wanted.name(0, 0), wanted)
    assert names([wanted], [mine, pod(other.name(0, 0), other, age_s=50)]) == ([], [])
    late = pod(other.name(0, 0), other, age_s=70)
    assert names([wanted], [mine, late]) == ([], [other.name(0, 0)])


def test_what_is_not_wanted_any_more_goes_but_not_with_its_job():
    wanted = want(2)
    pods = [pod(wanted.name(slot, 0), wanted, age_s=3600) for slot in (0, 1)]
    assert names([want(1)], pods) == ([], [wanted.name(1, 0)])
    assert names([], pods)[1] == [wanted.name(0, 0), wanted.name(1, 0)]
    running = pod(wanted.name(1, 0), wanted, age_s=3600, owner="a")
    assert names([], [running]) == ([], [])


class Pods:
    """What a gateway knows of the pods of nobody."""

    def __init__(self, *pods: dict):
        self.pods = pods

    def group(self, name: str) -> list[dict]:
        return list(self.pods) if name == "" else []


def idle(word: str, made_of: WarmPodSpec, *, age_s: float = 10, is_ready: bool = True) -> dict:
    made = pod(f"pod-{word}", made_of, age_s=age_s)
    made["metadata"]["labels"] |= {"candela/warm": word, "candela/process": made_of.process}
    made["status"]["conditions"] = [{"type": "Ready", "status": str(is_ready)}]
    return made


def warm_pods(*pods: dict) -> WarmPods:
    return WarmPods(Pods(*pods), None, "here", [want()], str)


def test_a_pod_that_asks_this_gateway_is_chosen_before_others():
    pods = warm_pods(idle("old", want(), age_s=90), idle("b", want()), idle("c", want(), age_s=30))
    pods.note_asking("pod-b")
    chosen = [pods.choose("ChangeDetect", LIMITS) for _ in range(4)]
    assert chosen == ["b", "old", "c", ""]


def test_only_idle_pods_of_the_same_revision_and_limits_are_chosen():
    other = want(tag="0")
    pods = warm_pods(idle("a", other), idle("b", want(), is_ready=False))
    assert pods.choose("ChangeDetect", LIMITS) == ""
    pods = warm_pods(idle("a", want()))
    assert pods.choose("Echo", LIMITS) == ""
    assert pods.choose("ChangeDetect", Limits()) == ""
    assert pods.choose("ChangeDetect", LIMITS) == "a"


def test_pods_that_wait_are_counted():
    pods = warm_pods(idle("a", want()), idle("b", want(), is_ready=False), idle("c", want(tag="0")))
    assert pods.counts() == {("ChangeDetect", "idle"): 1, ("ChangeDetect", "starting"): 1}
    assert warm_pods().counts() == {("ChangeDetect", "idle"): 0, ("ChangeDetect", "starting"): 0}


def test_names_of_pods_are_valid():
    made = WarmPodSpec("A_long.Process" * 9, LIMITS, 1, manifest()).name(11, 123456)
    assert len(made) <= 63
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_only_an_owner_that_controls_a_pod_is_its_job():
    wanted = want()
    assert owner_of(pod("a", wanted)) == ""
    assert owner_of(pod("a", wanted, owner="x")) == "x"


def test_the_time_of_a_job_in_a_warm_pod_is_its_own():
    wanted = want()
    job = {
        "metadata": {"creationTimestamp": (NOW - dt.timedelta(seconds=100)).isoformat()},
        "spec": {"template": {"spec": {"activeDeadlineSeconds": 90}}},
    }
    warm = pod("a", wanted, age_s=3600)
    cold = pod("a", wanted)
    del cold["metadata"]["labels"]
    assert is_overdue(job, [warm], NOW)
    assert not is_overdue(job, [warm], NOW - dt.timedelta(seconds=20))
    assert not is_overdue(job, [pod("a", wanted, phase="Failed")], NOW)
    assert not is_overdue(job, [cold], NOW)
    assert not is_overdue(job, [], NOW)
