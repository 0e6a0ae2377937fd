"""Run each job in a pod of its own, as a Job of a Kubernetes cluster.

The cluster remembers everything: names are those of attempts, so any number of gateways may submit
the same, follow it, end it, or start anew and find what is there. A Job that was ended stays for
its ``ttlSecondsAfterFinished``, so that a submit which comes late starts nothing.
"""

import datetime as dt
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from kubernetes import client, config
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from candela.contract.documents import is_superseded
from candela.contract.job import (
    LOG_FILE,
    OUTPUTS_FOLDER,
    RESULT_FILE,
    Assignment,
    JobDocument,
    job_file,
    job_key,
)
from candela.errors import NotFoundError, RunnerError, StorageError
from candela.runners.base import Cause, Ended, Limits, RunState
from candela.runners.manifest import (
    ATTEMPT_LABEL,
    JOB_LABEL,
    JOBS,
    PODS,
    Images,
    Manifest,
    job_manifest,
    job_name,
    warm_manifest,
)
from candela.runners.reflector import Object, Reflector
from candela.runners.verdict import (
    ENDED,
    ENDED_MESSAGE,
    is_finished,
    is_overdue,
    run_state,
    start_failure,
)
from candela.runners.warm import NOT_WARM, Want, WarmPods, WarmSettings, owner_of
from candela.storage import Storage

logger = logging.getLogger(__name__)

TIMEOUT_S = (5.0, 30.0)  # to connect, to be answered
LISTED_S = 30.0  # how long the first look at the cluster may take
CANCEL_S = 60.0  # how long the pods of a Job that is ended may take
PAUSE_S = 0.2
LOOK_S = 2.0  # between two looks at pods that do not start
LOG_TAIL_BYTES = 64 * 2**10
REMEMBERED = 10_000
FINAL = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})
TROUBLE = (ApiException, HTTPError)  # of the API server, or on the way to it


class Patience:
    """How long a pod may wait before its attempt is ended, in seconds, by cause."""

    def __init__(self, *, image_s: float = 300, room_s: float = 86_400) -> None:
        self.limits = {Cause.IMAGE: image_s, Cause.UNSCHEDULABLE: room_s}


class KubernetesRunner:
    """Jobs in one namespace of a cluster.

    Parameters
    ----------
    storage : Storage
        Holds the files of jobs; pods must reach it at the same URL.
    template : dict
        The Job that is filled in for each attempt.
    namespace : str
        Where Jobs are made.
    images : Images
        Which image each kind has.
    patience : Patience, optional
        When to give up on pods that do not start.
    queue : str, optional
        The queue of Kueue in which Jobs wait.
    cpu_share : float, optional
        How much of its cores a process is promised, 0 to 1; it may use all of them.
    warm : WarmSettings, optional
        Which processes have pods that wait for jobs; none by default.
    """

    def __init__(
        self,
        storage: Storage,
        template: Manifest,
        *,
        namespace: str,
        images: Images,
        patience: Patience | None = None,
        queue: str = "",
        cpu_share: float = 1.0,
        warm: WarmSettings = NOT_WARM,
    ) -> None:
        self._storage = storage
        self._template = template
        self._namespace = namespace
        self._images = images
        self._patience = patience or Patience()
        self._queue = queue
        self._cpu_share = cpu_share
        self._client = connect()
        self._batch = client.BatchV1Api(self._client)
        self._core = client.CoreV1Api(self._client)
        self._ended: deque[Ended] = deque(maxlen=REMEMBERED)
        self._settled: set[str] = set()  # Jobs whose end was noticed and whose log is kept
        self._waiting_since: dict[tuple[str, Cause], float] = {}
        self._changing = threading.RLock()
        self._closing = threading.Event()
        self._news = threading.Condition()
        self._jobs = self._reflector("jobs", self._batch.list_namespaced_job, JOBS, _name)
        self._pods = self._reflector("pods", self._core.list_namespaced_pod, PODS, owner_of)
        self._warm = WarmPods(self._pods, self._core, namespace, self._wants(warm), warm.token_of)
        self._watcher = threading.Thread(target=self._watch, name="kubernetes-runner", daemon=True)
        for part in (self._jobs, self._pods, self._watcher):
            part.start()

    @property
    def name(self) -> str:
        """The same for all gateways of a namespace: each can follow what any has started."""
        return f"kubernetes:{self._namespace}"

    def submit(self, job: JobDocument, limits: Limits) -> str:
        """Start an attempt, unless it was started before.

        Raises
        ------
        StorageError
            If bucket or cluster do not answer, or a quota is used up.
        RunnerError
            If the cluster refuses the Job for good.
        """
        name = job_name(job.process, job.id, job.attempt)
        if self._read(name) is not None:
            return name
        manifest = job_manifest(
            self._template,
            job,
            limits,
            image=self._images.name(limits.image),
            storage_url=self._storage.url,
            queue=self._queue,
            cpu_share=self._cpu_share,
            warm=self._warm.choose(job.process, limits),
        )
        self._storage.write(job_key(job.id, job_file(job.attempt)), job.to_json().encode())
        try:
            self._batch.create_namespaced_job(
                self._namespace, manifest, _preload_content=False, _request_timeout=TIMEOUT_S
            )
        except ApiException as error:
            if error.status == HTTPStatus.CONFLICT:
                return name  # another gateway was faster
            if error.status in FINAL:
                raise RunnerError(f"the cluster refuses job {job.id}: {_told(error)}") from error
            raise StorageError(f"the cluster refuses for now: {_told(error)}") from error
        except HTTPError as error:
            raise StorageError(f"the cluster does not answer: {error}") from error
        logger.info("Created Job %s", name)
        return name

    def find(self, job_id: str, attempt: int) -> str | None:
        """Return the backend reference of an attempt, or None if it was never started."""
        selector = f"{JOB_LABEL}={job_id},{ATTEMPT_LABEL}={attempt}"
        found = self._ask(self._batch.list_namespaced_job, label_selector=selector)
        return _name(found["items"][0]) if found and found["items"] else None

    def state(self, reference: str) -> RunState:
        """Tell where an attempt stands; while the cluster does not answer it runs."""
        self._jobs.wait(LISTED_S)
        self._pods.wait(LISTED_S)
        jobs = self._jobs.group(reference)
        try:
            job = jobs[0] if jobs else self._read(reference)
        except StorageError as error:
            return RunState(message=str(error))
        state = run_state(job, self._pods.group(reference), _now())
        if not state.is_running and job is not None:
            self._settle(reference, job, state)
        return state

    def cancel(self, reference: str) -> RunState:
        """End an attempt; on return its pods are gone.

        Raises
        ------
        StorageError
            If the cluster does not answer, or a pod does not end.
        """
        state = self.state(reference)
        if not state.is_running:
            return state
        self._end(reference, Cause.CANCELLED, "cancelled")
        deadline = time.monotonic() + CANCEL_S
        while (state := self.state(reference)).is_running:
            if time.monotonic() > deadline:
                raise StorageError(f"the pods of {reference} do not end")
            time.sleep(PAUSE_S)
        return state

    def logs(self, job_id: str) -> str:
        """Return the last 64 KiB of what the job said, in all its attempts."""
        kept = self._kept_log(job_id)
        pods = [
            pod
            for job in self._jobs.all()
            if job["metadata"]["labels"].get(JOB_LABEL) == job_id
            for pod in self._pods.group(_name(job))
        ]
        pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        said = [self._said(pod) for pod in pods if _heading(pod) not in kept]
        return "".join([kept, *said])[-LOG_TAIL_BYTES:]

    def poll(self) -> list[Ended]:
        """Return the attempts that ended since the last call."""
        for reference in self._jobs.groups():
            if reference not in self._settled:
                self.state(reference)
        ended = []
        while self._ended:
            ended.append(self._ended.popleft())
        return ended

    def assignment(self, pod: str, timeout_s: float) -> Assignment | None:
        """Return the attempt of a warm pod, as soon as it has one; None if it has none."""
        self._warm.note_asking(pod)
        with self._news:
            self._news.wait_for(lambda: self._closing.is_set() or self._given_to(pod), timeout_s)
        return self._given_to(pod)

    def warm_pods(self) -> dict[tuple[str, str], int]:
        """Count pods that wait for jobs, by process and whether they are idle or starting."""
        return self._warm.counts()

    def close(self) -> None:
        """Watch no longer; running jobs go on."""
        self._closing.set()
        self._tell()
        self._watcher.join()
        self._jobs.close()
        self._pods.close()
        self._client.close()

    def _reflector(
        self,
        kind: str,
        list_objects: Any,  # noqa: ANN401
        selector: str,
        group_of: Callable[[Object], str],
    ) -> Reflector:
        def listed(**options: object) -> Any:  # noqa: ANN401 - urllib3's answer
            return list_objects(
                self._namespace, label_selector=selector, _preload_content=False, **options
            )

        return Reflector(kind, listed, group_of=group_of, changed=self._tell)

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()

    def _given_to(self, name: str) -> Assignment | None:
        """Return the attempt of the Job that has taken a pod."""
        pod = self._pods.find(name)
        jobs = self._jobs.group(owner_of(pod)) if pod is not None else []
        if not jobs or ENDED in (jobs[0]["metadata"].get("annotations") or {}):
            return None
        labels = jobs[0]["metadata"]["labels"]
        return Assignment(str(labels[JOB_LABEL]), int(labels[ATTEMPT_LABEL]))

    def _wants(self, warm: WarmSettings) -> list[Want]:
        wants = []
        for process, (count, limits) in warm.processes.items():
            manifest = warm_manifest(
                self._template,
                process,
                limits,
                image=self._images.name(limits.image),
                storage_url=self._storage.url,
                gateway_url=warm.gateway_url,
                cpu_share=self._cpu_share,
            )
            wants.append(Want(process, limits, count, manifest))
        return wants

    def _watch(self) -> None:
        """End attempts that wait or run for too long, and keep the logs of those that have ended.

        Warm pods are seen to as well.
        """
        while not self._closing.wait(LOOK_S):
            try:
                known = self._jobs.groups()
                for reference in known:
                    self._look(reference)
                    if reference not in self._settled:
                        self.state(reference)
                self._settled.intersection_update(known)  # the cluster forgets, and so do we
                if self._pods.wait(0):
                    self._warm.keep()
            except (StorageError, *TROUBLE) as error:
                logger.warning("A look at waiting pods failed: %s; trying again", error)

    def _look(self, reference: str) -> None:
        jobs, pods = self._jobs.group(reference), self._pods.group(reference)
        if jobs and is_overdue(jobs[0], pods, _now()):
            self._end(reference, Cause.DEADLINE, "DeadlineExceeded: the job ran longer than it may")
        for pod in pods if jobs else ():
            self._warm.label(pod, jobs[0])
        failure = start_failure(pods)
        if failure is None:
            return
        key = (reference, failure.cause)
        since = self._waiting_since.setdefault(key, time.monotonic())
        if not jobs or is_finished(jobs[0]):
            self._waiting_since.pop(key)
        elif time.monotonic() - since > self._patience.limits[failure.cause]:
            logger.warning("Ending %s: %s", reference, failure.message)
            self._end(reference, failure.cause, failure.message)

    def _end(self, reference: str, cause: Cause, message: str) -> None:
        """Let the cluster end a Job, and write into it why; the first cause counts."""
        job = self._read(reference)
        if job is None or is_finished(job) or ENDED in (job["metadata"].get("annotations") or {}):
            return
        try:
            if job["spec"].get("suspend"):  # by a queue: there are no pods yet
                self._batch.delete_namespaced_job(
                    reference,
                    self._namespace,
                    propagation_policy="Background",
                    _request_timeout=TIMEOUT_S,
                )
            else:
                self._batch.patch_namespaced_job(
                    reference,
                    self._namespace,
                    _ending(job, cause, message),
                    _preload_content=False,
                    _request_timeout=TIMEOUT_S,
                )
        except ApiException as error:
            if error.status == HTTPStatus.CONFLICT:  # the Job has changed meanwhile
                self._end(reference, cause, message)
            elif error.status != HTTPStatus.NOT_FOUND:
                raise StorageError(f"{reference} cannot be ended: {_told(error)}") from error
        except HTTPError as error:
            raise StorageError(f"the cluster does not answer: {error}") from error

    def _settle(self, reference: str, job: Object, state: RunState) -> None:
        """Keep the log of an attempt that has ended, and remove parts that are worth nothing.

        A gateway that starts looks at all attempts of the last hour: parts may be those of a later
        attempt by now, which is at work.
        """
        with self._changing:
            if reference in self._settled:
                return
            job_id = job["metadata"]["labels"][JOB_LABEL]
            attempt = int(job["metadata"]["labels"][ATTEMPT_LABEL])
            if self._storage.exists(job_key(job_id, job_file(attempt))):  # else it was removed
                self._keep_log(job_id, self._pods.group(reference), attempt, state)
                is_last = not is_superseded(self._storage, job_id, attempt)
                if is_last and not self._storage.exists(job_key(job_id, RESULT_FILE)):
                    self._storage.delete(job_key(job_id, OUTPUTS_FOLDER))
            self._settled.add(reference)
            self._ended.append(Ended(reference, job_id, attempt, state))
        logger.info("%s has ended: %s, exit code %s", reference, state.cause, state.exit_code)

    def _keep_log(self, job_id: str, pods: list[Object], attempt: int, state: RunState) -> None:
        """Put what pods said where it outlives them; doing it twice is harmless."""
        kept = self._kept_log(job_id)
        said = [self._said(pod) for pod in pods if _heading(pod) not in kept]
        if state.cause is not Cause.FINISHED:
            end = f"Attempt {attempt} has ended: {state.cause}, {state.message}\n"
            said += [end] if end not in kept else []
        if said:
            self._storage.write(job_key(job_id, LOG_FILE), "".join([kept, *said]).encode())

    def _kept_log(self, job_id: str) -> str:
        try:
            return self._storage.read(job_key(job_id, LOG_FILE)).decode(errors="replace")
        except NotFoundError:
            return ""

    def _said(self, pod: Object) -> str:
        """Return what a pod said, under its heading; nothing if it is gone or never started."""
        try:
            answer = self._core.read_namespaced_pod_log(
                _name(pod),
                self._namespace,
                tail_lines=10_000,
                limit_bytes=2**20,
                _preload_content=False,
                _request_timeout=TIMEOUT_S,
            )
            return _heading(pod) + bytes(answer.data).decode(errors="replace")
        except TROUBLE as error:
            logger.debug("Pod %s has no log: %s", _name(pod), error)
            return ""

    def _read(self, name: str) -> Object | None:
        """Return a Job from the cluster itself."""
        return self._ask(self._batch.read_namespaced_job, name) if name else None

    def _ask(self, method: Any, *names: str, **options: object) -> Any:  # noqa: ANN401 - JSON
        """Call a method of the API that reads.

        Raises
        ------
        StorageError
            If the cluster does not answer, or refuses.
        """
        try:
            answer = method(
                *names,
                self._namespace,
                _preload_content=False,
                _request_timeout=TIMEOUT_S,
                **options,
            )
            return json.loads(answer.data)
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise StorageError(f"the cluster refuses: {_told(error)}") from error
        except HTTPError as error:
            raise StorageError(f"the cluster does not answer: {error}") from error


def connect() -> client.ApiClient:
    """Return a client for the cluster that this pod is in, or that the kubeconfig names.

    Raises
    ------
    StorageError
        If there is neither.
    """
    settings = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)
    except config.ConfigException:
        try:
            config.load_kube_config(client_configuration=settings)
        except config.ConfigException as error:
            raise StorageError(f"there is no cluster: {error}") from error
    settings.connection_pool_maxsize = 16
    return client.ApiClient(settings)


def _ending(job: Object, cause: Cause, message: str) -> Manifest:
    """Return the patch that ends a Job: a deadline in the past.

    Its pods are ended and the Job stays; a deletion would leave nothing to tell the cause, and a
    submit that comes late would start it again.
    """
    return {
        "metadata": {
            "resourceVersion": job["metadata"]["resourceVersion"],
            "annotations": {ENDED: str(cause), ENDED_MESSAGE: message},
        },
        "spec": {"activeDeadlineSeconds": 0},
    }


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _name(each: Mapping[str, Any]) -> str:
    return str(each["metadata"]["name"])


def _heading(pod: Mapping[str, Any]) -> str:
    return f"--- {_name(pod)}\n"


def _told(error: ApiException) -> str:
    """Return what the API server said, in a sentence."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
