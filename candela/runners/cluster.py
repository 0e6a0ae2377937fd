"""Jobs and pods of one namespace, by the API server of a cluster."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from kubernetes import client, config
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from candela.errors import RunnerError, StorageError
from candela.runners.base import Cause
from candela.runners.manifest import Manifest
from candela.runners.reflector import Object
from candela.runners.verdict import ENDED, ENDED_MESSAGE, is_finished

logger = logging.getLogger(__name__)

LOG_LINES = 10_000
LOG_BYTES = 2**20
FINAL = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})
API_ERRORS = (ApiException, HTTPError)  # of the API server, or on the way to it
RAW: dict[str, Any] = {
    "_preload_content": False,  # JSON, not the classes of the client
    "_request_timeout": (5.0, 30.0),  # to connect, to be answered
}


class Namespace:
    """One namespace of the cluster.

    The cluster is the one that this pod is in, or that the kubeconfig names.

    Attributes
    ----------
    batch : BatchV1Api
        Makes Jobs.
    core : CoreV1Api
        Makes pods.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._client = connect()
        self.batch = client.BatchV1Api(self._client)
        self.core = client.CoreV1Api(self._client)

    def close(self) -> None:
        """Release all connections."""
        self._client.close()

    def job(self, name: str) -> Object | None:
        """Return a Job as it is now; None if there is none.

        Raises
        ------
        StorageError
            If the cluster does not answer, or refuses.
        """
        if not name:
            return None
        with api_errors():
            try:
                answer = self.batch.read_namespaced_job(name, self.name, **RAW)
            except ApiException as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return None
                raise
        return dict(json.loads(answer.data))

    def find_job(self, selector: str) -> Object | None:
        """Return the Job that a selector of labels means; raises as ``job``."""
        with api_errors():
            answer = self.batch.list_namespaced_job(self.name, label_selector=selector, **RAW)
        return next(iter(json.loads(answer.data)["items"]), None)

    def create_job(self, manifest: Manifest) -> bool:
        """Make a Job; tell whether it is new, or another gateway was faster.

        Raises
        ------
        StorageError
            If the cluster does not answer, or refuses for now.
        RunnerError
            If it refuses for good.
        """
        with api_errors():
            try:
                self.batch.create_namespaced_job(self.name, manifest, **RAW)
            except ApiException as error:
                if error.status == HTTPStatus.CONFLICT:
                    return False
                if error.status in FINAL:
                    reason = api_message(error)
                    raise RunnerError(
                        f"the cluster refuses {name_of(manifest)}: {reason}"
                    ) from error
                raise
        return True

    def end_job(self, name: str, cause: Cause, message: str) -> None:
        """Let the cluster end a Job, and write into it why; the first cause counts.

        Raises
        ------
        StorageError
            If the cluster does not answer, or refuses.
        """
        job = self.job(name)
        if job is None or is_finished(job) or ENDED in (job["metadata"].get("annotations") or {}):
            return
        with api_errors():
            try:
                self._end(job, cause, message)
            except ApiException as error:
                if error.status == HTTPStatus.CONFLICT:  # the Job has changed meanwhile
                    self.end_job(name, cause, message)
                elif error.status != HTTPStatus.NOT_FOUND:
                    raise

    def _end(self, job: Object, cause: Cause, message: str) -> None:
        name = name_of(job)
        if job["spec"].get("suspend"):  # by a queue: there are no pods yet
            self.batch.delete_namespaced_job(
                name, self.name, propagation_policy="Background", **RAW
            )
        else:
            self.batch.patch_namespaced_job(name, self.name, _ending(job, cause, message), **RAW)

    def log(self, pod: str) -> str | None:
        """Return the end of what a pod wrote; None if it is gone or has not started."""
        try:
            answer = self.core.read_namespaced_pod_log(
                pod, self.name, tail_lines=LOG_LINES, limit_bytes=LOG_BYTES, **RAW
            )
            return bytes(answer.data).decode(errors="replace")
        except API_ERRORS as error:
            logger.debug("Pod %s has no log: %s", pod, error)
            return None


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


@contextmanager
def api_errors() -> Iterator[None]:
    """Turn errors of the API server, and on the way to it, into ``StorageError``."""
    try:
        yield
    except ApiException as error:
        raise StorageError(f"the cluster refuses: {api_message(error)}") from error
    except HTTPError as error:
        raise StorageError(f"the cluster does not answer: {error}") from error


def api_message(error: ApiException) -> str:
    """Return what the API server said, in a sentence."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


def name_of(each: Object) -> str:
    """Return the name of an object."""
    return str(each["metadata"]["name"])


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
