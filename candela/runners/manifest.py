"""The Kubernetes Job of an attempt, and pods that wait for one: a template and pure functions."""

import copy
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from candela.contract.job import JobDocument
from candela.errors import CandelaError, StorageError
from candela.runners.base import Limits

Manifest = dict[str, Any]  # a Kubernetes object, as JSON has it

NAME_LENGTH = 63  # of a Job whose pods carry its name as a label
JOB_LABEL = "candela/job"
ATTEMPT_LABEL = "candela/attempt"
PROCESS_LABEL = "candela/process"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
NETWORK_LABEL = "candela/network"  # of a pod that a network policy lets out
WARM_LABEL = "candela/warm"  # of a warm pod: a word that no other has
REVISION_LABEL = "candela/revision"  # of a warm pod: what it was made of
PODS = "app.kubernetes.io/name=candela,app.kubernetes.io/component=worker"  # selects workers
JOBS = f"{PODS},{JOB_LABEL}"
WARM_LIFE_S = 6 * 3600  # a warm pod takes no job when it is older
WORKER = "worker"  # the container of the template that is filled in
WORK_FOLDER = "/work"
WORKDIR = ("--workdir", WORK_FOLDER)
GPU = "nvidia.com/gpu"

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


class Images(NamedTuple):
    """Which image a kind has: ``<prefix><kind>:<tag>``; an image by digest is what it is."""

    prefix: str = "localhost/candela-"
    tag: str = "dev"

    def name(self, kind: str) -> str:
        """Return the name of a kind of image."""
        return kind if "@" in kind else f"{self.prefix}{kind}:{self.tag}"


class TemplateError(CandelaError):
    """A job template is not what the runner can fill in."""


def load_template(path: Path) -> Manifest:
    """Read a job template.

    Raises
    ------
    TemplateError
        If it is no Job with a container ``worker``.
    """
    try:
        template = yaml.safe_load(path.read_text(encoding="utf-8"))
        _worker(template)
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise TemplateError(f"{path} is no Job with a container {WORKER!r}: {error!r}") from error
    return dict(template)


def job_name(process: str, job_id: str, attempt: int) -> str:
    """Return the name of an attempt's Job: the same for the same attempt, whoever asks.

    Raises
    ------
    StorageError
        If no name can be made of the id.
    """
    end = f"-{job_id}-{attempt}"
    start = re.sub(r"[^a-z0-9-]", "-", process.lower())[: NAME_LENGTH - len(end)].strip("-")
    name = f"{start}{end}"
    if not _NAME.fullmatch(job_id) or not _NAME.fullmatch(name) or len(name) > NAME_LENGTH:
        raise StorageError(f"{job_id!r} is no valid job id")
    return name


def job_manifest(
    template: Mapping[str, Any],
    job: JobDocument,
    limits: Limits,
    *,
    image: str,
    storage_url: str,
    queue: str = "",
    cpu_share: float = 1.0,
    warm: str = "",
) -> Manifest:
    """Fill a template in for one attempt.

    Memory is requested as it is limited, so a machine is never promised twice; of cores a process
    may use more than it asks for, when nobody else wants them. The time limit is that of the pod:
    it begins when a machine has taken the pod, so waiting for one does not count.

    Parameters
    ----------
    template : mapping
        A Job.
    job : JobDocument
        What to run.
    limits : Limits
        What the attempt may use.
    image : str
        The name of the image.
    storage_url : str
        Where job.json is.
    queue : str, optional
        The queue of Kueue in which the Job waits.
    cpu_share : float, optional
        How much of its cores a process is promised, 0 to 1.
    warm : str, optional
        The word of a warm pod: the Job takes it if it is still there and nobody's; else the cluster
        makes a pod, as always.

    Returns
    -------
    dict
        The Job; the template is as it was.
    """
    manifest: Manifest = copy.deepcopy(dict(template))
    labels = {
        JOB_LABEL: job.id,
        ATTEMPT_LABEL: str(job.attempt),
        PROCESS_LABEL: job.process,
    }
    if queue:
        manifest["metadata"]["labels"] = {
            **manifest["metadata"].get("labels", {}),
            QUEUE_LABEL: queue,
        }
    manifest["metadata"]["name"] = job_name(job.process, job.id, job.attempt)
    pod = manifest["spec"]["template"]
    for metadata in (manifest["metadata"], pod.setdefault("metadata", {})):
        metadata["labels"] = {**metadata.get("labels", {}), **labels}
    if warm:
        manifest["spec"]["manualSelector"] = True
        manifest["spec"]["selector"] = {"matchLabels": {WARM_LABEL: warm}}
        pod["metadata"]["labels"][WARM_LABEL] = warm
    if limits.network:
        pod["metadata"]["labels"][NETWORK_LABEL] = "public"
    pod["spec"]["activeDeadlineSeconds"] = math.ceil(limits.timeout_s)
    _fill_worker(
        _worker(manifest),
        (
            *("--storage", storage_url),
            *("--job", job.id, "--attempt", str(job.attempt)),
            *WORKDIR,
        ),
        limits,
        image=image,
        cpu_share=cpu_share,
    )
    return manifest


def warm_manifest(
    template: Mapping[str, Any],
    process: str,
    limits: Limits,
    *,
    image: str,
    storage_url: str,
    gateway_url: str,
    cpu_share: float = 1.0,
) -> Manifest:
    """Return a pod that has started all but the job itself, and waits for one.

    It is the pod of the template, and may use what an attempt may. Its time is not that of a job:
    it has a life to wait and, at the end of it, a job's time; the runner sees to the latter.

    Parameters
    ----------
    template, limits, image, storage_url, cpu_share
        As in ``job_manifest``.
    process : str
        Whose modules it imports.
    gateway_url : str
        Where it asks for its job.

    Returns
    -------
    dict
        A pod that ``warm_pod`` gives a name to; its label ``candela/revision`` tells it apart.
    """
    filled = copy.deepcopy(dict(template))
    given = filled["spec"]["template"]
    given["spec"]["activeDeadlineSeconds"] = 2 * WARM_LIFE_S + math.ceil(limits.timeout_s)
    _fill_worker(
        _worker(filled),
        ("--storage", storage_url, "--await", gateway_url, "--process", process, *WORKDIR),
        limits,
        image=image,
        cpu_share=cpu_share,
    )
    metadata = given.get("metadata", {})
    labels = {**metadata.get("labels", {}), PROCESS_LABEL: process}
    if limits.network:
        labels[NETWORK_LABEL] = "public"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "labels": labels},
        "spec": given["spec"],
    }
    text = json.dumps([pod, limits.timeout_s], sort_keys=True)
    labels[REVISION_LABEL] = hashlib.sha256(text.encode()).hexdigest()[:10]
    return pod


def warm_pod(manifest: Mapping[str, Any], name: str, word: str, token: str) -> Manifest:
    """Return a warm pod with a name, its own word, and a token to ask for its job."""
    pod: Manifest = copy.deepcopy(dict(manifest))
    pod["metadata"]["name"] = name
    pod["metadata"]["labels"][WARM_LABEL] = word
    worker = next(each for each in pod["spec"]["containers"] if each["name"] == WORKER)
    worker["env"] += [
        {"name": "CANDELA_WARM_POD", "value": name},
        {"name": "CANDELA_WARM_TOKEN", "value": token},
    ]
    return pod


def _fill_worker(
    worker: Manifest, arguments: Sequence[str], limits: Limits, *, image: str, cpu_share: float
) -> None:
    worker["image"] = image
    worker["args"] = [*worker.get("args", ()), *arguments]
    given = {variable["name"] for variable in worker.get("env", ())}
    variables = _variables(limits)
    worker["env"] = [
        *worker.get("env", ()),
        *({"name": name, "value": value} for name, value in variables if name not in given),
    ]
    worker["resources"] = _resources(worker.get("resources", {}), limits, cpu_share)


def _variables(limits: Limits) -> list[tuple[str, str]]:
    threads = str(max(1, math.ceil(limits.cpu)))
    return [
        ("HOME", WORK_FOLDER),
        ("TMPDIR", f"{WORK_FOLDER}/tmp"),
        ("OMP_NUM_THREADS", threads),
        ("OPENBLAS_NUM_THREADS", threads),
        ("GDAL_NUM_THREADS", threads),
    ]


def _resources(given: Mapping[str, Any], limits: Limits, cpu_share: float) -> Manifest:
    memory = f"{math.ceil(limits.memory_bytes / 2**20)}Mi"
    requests = {"cpu": f"{math.ceil(1000 * cpu_share * limits.cpu)}m", "memory": memory}
    ceilings = {"memory": memory}
    if limits.gpu:
        ceilings[GPU] = str(limits.gpu)
    return {
        **given,
        "requests": {**given.get("requests", {}), **requests},
        "limits": {**given.get("limits", {}), **ceilings},
    }


def _worker(manifest: Mapping[str, Any]) -> Manifest:
    containers = manifest["spec"]["template"]["spec"]["containers"]
    found: Manifest = next(each for each in containers if each["name"] == WORKER)
    return found
