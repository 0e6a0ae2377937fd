"""Run each job in a pod of its own, as a Job of a Kubernetes cluster.

The cluster remembers everything: names are those of attempts, so any number of gateways may submit
the same, follow it, end it, or start anew and find what is there. A Job that was ended stays for
its ``ttlSecondsAfterFinished``, so that a submit which comes late starts nothing.
"""

import datetime as dt
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from candela.contract.documents import is_superseded
from candela.contract.job import (
    OUTPUTS_FOLDER,
    RESULT_FILE,
    Assignment,
    JobDocument,
    job_file,
    job_key,
)
from candela.errors import StorageError
from candela.runners.attempt_log import AttemptLogs
from candela.runners.base import Cause, Ended, Limits, RunState
from candela.runners.cluster import API_ERRORS, Namespace, name_of
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
from candela.runners.startup import START_TIMEOUTS, StartTimeouts, StartupWatch
from candela.runners.verdict import ENDED, is_overdue, run_state
from candela.runners.warm import NOT_WARM, WarmPods, WarmPodSpec, WarmSettings, owner_of
from candela.storage import Storage

logger = logging.getLogger(__name__)

LISTED_S = 30.0  # how long the first look at the cluster may take
CANCEL_S = 60.0  # how long the pods of a Job that is ended may take
PAUSE_S = 0.2
LOOK_S = 2.0  # between two looks at pods that do not start
REMEMBERED = 10_000


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
    timeouts : StartTimeouts, optional
        How long pods may fail to start.
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
        timeouts: StartTimeouts = START_TIMEOUTS,
        queue: str = "",
        cpu_share: float = 1.0,
        warm: WarmSettings = NOT_WARM,
    ) -> None:
        self._storage = storage
        self._template = template
        self._images = images
        self._queue = queue
        self._cpu_share = cpu_share
        self._namespace = Namespace(namespace)
        self._logs = AttemptLogs(storage, self._namespace)
        self._startup = StartupWatch(timeouts)
        self._ended: deque[Ended] = deque(maxlen=REMEMBERED)
        self._settled: set[str] = set()  # Jobs whose end was noticed and whose log is kept
        self._changing = threading.RLock()
        self._closing = threading.Event()
        self._changed = threading.Condition()  # a Job or pod
        batch, core = self._namespace.batch, self._namespace.core
        self._jobs = self._reflector("jobs", batch.list_namespaced_job, JOBS, name_of)
        self._pods = self._reflector("pods", core.list_namespaced_pod, PODS, owner_of)
        specs = self._warm_specs(warm)
        self._warm = WarmPods(self._pods, core, namespace, specs, warm.token_of)
        self._watcher = threading.Thread(target=self._watch, name="kubernetes-runner", daemon=True)
        for part in (self._jobs, self._pods, self._watcher):
            part.start()

    @property
    def name(self) -> str:
        """The same for all gateways of a namespace: each can follow what any has started."""
        return f"kubernetes:{self._namespace.name}"

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
        if self._namespace.job(name) is not None:
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
        if self._namespace.create_job(manifest):
            logger.info("Created Job %s", name)
        return name

    def find(self, job_id: str, attempt: int) -> str | None:
        """Return the backend reference of an attempt, or None if it was never started."""
        job = self._namespace.find_job(f"{JOB_LABEL}={job_id},{ATTEMPT_LABEL}={attempt}")
        return name_of(job) if job else None

    def state(self, reference: str) -> RunState:
        """Tell where an attempt stands; while the cluster does not answer it runs."""
        self._jobs.wait(LISTED_S)
        self._pods.wait(LISTED_S)
        jobs = self._jobs.group(reference)
        try:
            job = jobs[0] if jobs else self._namespace.job(reference)
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
        self._namespace.end_job(reference, Cause.CANCELLED, "cancelled")
        deadline = time.monotonic() + CANCEL_S
        while (state := self.state(reference)).is_running:
            if time.monotonic() > deadline:
                raise StorageError(f"the pods of {reference} do not end")
            time.sleep(PAUSE_S)
        return state

    def logs(self, job_id: str) -> str:
        """Return the last 64 KiB of what the job said, in all its attempts."""
        pods = [
            pod
            for job in self._jobs.all()
            if job["metadata"]["labels"].get(JOB_LABEL) == job_id
            for pod in self._pods.group(name_of(job))
        ]
        pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        return self._logs.tail(job_id, pods)

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
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing.is_set() or self._assignment(pod), timeout_s
            )
        return self._assignment(pod)

    def warm_pods(self) -> dict[tuple[str, str], int]:
        """Count pods that wait for jobs, by process and whether they are idle or starting."""
        return self._warm.counts()

    def close(self) -> None:
        """Watch no longer; running jobs go on."""
        self._closing.set()
        self._notify()
        self._watcher.join()
        self._jobs.close()
        self._pods.close()
        self._namespace.close()

    def _reflector(
        self,
        kind: str,
        list_objects: Any,  # noqa: ANN401
        selector: str,
        group_of: Callable[[Object], str],
    ) -> Reflector:
        def listed(**options: object) -> Any:  # noqa: ANN401 - urllib3's answer
            return list_objects(
                self._namespace.name, label_selector=selector, _preload_content=False, **options
            )

        return Reflector(kind, listed, group_of=group_of, changed=self._notify)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _assignment(self, name: str) -> Assignment | None:
        """Return the attempt of the Job that has taken a pod."""
        pod = self._pods.find(name)
        jobs = self._jobs.group(owner_of(pod)) if pod is not None else []
        if not jobs or ENDED in (jobs[0]["metadata"].get("annotations") or {}):
            return None
        labels = jobs[0]["metadata"]["labels"]
        return Assignment(str(labels[JOB_LABEL]), int(labels[ATTEMPT_LABEL]))

    def _warm_specs(self, warm: WarmSettings) -> list[WarmPodSpec]:
        specs = []
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
            specs.append(WarmPodSpec(process, limits, count, manifest))
        return specs

    def _watch(self) -> None:
        """End attempts that wait or run for too long, and keep the logs of those that have ended.

        Warm pods are seen to as well.
        """
        while not self._closing.wait(LOOK_S):
            try:
                known = self._jobs.groups()
                for reference in known:
                    self._check_times(reference)
                    if reference not in self._settled:
                        self.state(reference)
                self._settled.intersection_update(known)  # the cluster forgets, and so do we
                self._startup.forget(all_but=known)
                if self._pods.wait(0):
                    self._warm.keep()
            except (StorageError, *API_ERRORS) as error:
                logger.warning("A look at waiting pods failed: %s; trying again", error)

    def _check_times(self, reference: str) -> None:
        """End an attempt whose pods do not start, or that has run for too long in a warm pod."""
        jobs, pods = self._jobs.group(reference), self._pods.group(reference)
        if not jobs:
            return
        if is_overdue(jobs[0], pods, _now()):
            message = "DeadlineExceeded: the job ran longer than it may"
            self._namespace.end_job(reference, Cause.DEADLINE, message)
        for pod in pods:
            self._warm.label(pod, jobs[0])
        failure = self._startup.timed_out(reference, jobs[0], pods)
        if failure is not None:
            logger.warning("Ending %s: %s", reference, failure.message)
            self._namespace.end_job(reference, failure.cause, failure.message)

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
                self._logs.keep(job_id, self._pods.group(reference), attempt, state)
                is_last = not is_superseded(self._storage, job_id, attempt)
                if is_last and not self._storage.exists(job_key(job_id, RESULT_FILE)):
                    self._storage.delete(job_key(job_id, OUTPUTS_FOLDER))
            self._settled.add(reference)
            self._ended.append(Ended(reference, job_id, attempt, state))
        logger.info("%s has ended: %s, exit code %s", reference, state.cause, state.exit_code)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
