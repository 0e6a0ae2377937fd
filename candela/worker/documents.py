"""The documents of a job in storage: what gateway and worker read of each other."""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from candela.errors import NotFoundError, StorageError
from candela.storage.base import Storage
from candela.worker.contract import (
    INPUTS_FOLDER,
    JOB_FILE,
    RESULT_FILE,
    JobDocument,
    ResultDocument,
    StoredValue,
    Value,
    job_key,
)

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
_VALUE: TypeAdapter[Value] = TypeAdapter(Value)

WAITS_S = (1.0, 4.0, 15.0)  # before the second, third and fourth try


def read_job(storage: Storage, job_id: str) -> JobDocument:
    """Return job.json.

    Raises
    ------
    StorageError
        If it cannot be read, is not there or not valid.
    """
    try:
        return JobDocument.model_validate_json(storage.read(job_key(job_id, JOB_FILE)))
    except (NotFoundError, ValidationError) as error:
        raise StorageError(f"job {job_id} has no valid {JOB_FILE}: {error}") from error


def read_result(storage: Storage, job_id: str) -> ResultDocument | None:
    """Return result.json, or None if the job has no outcome yet, or none that can be understood.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    try:
        return ResultDocument.model_validate_json(storage.read(job_key(job_id, RESULT_FILE)))
    except NotFoundError:
        return None
    except ValidationError as error:
        logger.warning("%s of job %s is not valid: %s", RESULT_FILE, job_id, error)
        return None


def whole_inputs(
    storage: Storage, job_id: str, inputs: Mapping[str, list[Value]]
) -> dict[str, list[Value]]:
    """Return the inputs of a job with the values that are kept in storage.

    Raises
    ------
    StorageError
        If one cannot be read, is not there or is another one.
    """
    return {
        name: [_whole(storage, job_id, value) for value in values]
        for name, values in inputs.items()
    }


def _whole(storage: Storage, job_id: str, value: Value) -> Value:
    if not isinstance(value, StoredValue):
        return value
    key = job_key(job_id, INPUTS_FOLDER, value.file)
    try:
        content = storage.read(key)
    except NotFoundError as error:
        raise StorageError(f"{key}, an input of the job, is gone") from error
    if hashlib.sha256(content).hexdigest() != value.sha256:
        raise StorageError(f"{key} is not what was sent: {len(content)} bytes")
    return _VALUE.validate_json(content)


def patiently(store: Callable[[], Result]) -> Result:
    """Store something, trying again for a while: what was computed is worth waiting for.

    Raises
    ------
    StorageError
        If the last try raises it.
    """
    for wait_s in WAITS_S:
        try:
            return store()
        except StorageError as error:
            logger.warning("%s; next try in %s s", error, wait_s)
            time.sleep(wait_s)
    return store()
