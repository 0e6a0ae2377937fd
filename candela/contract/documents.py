"""The documents of a job in storage: what gateway and worker read of each other."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from candela.backoff import Backoff, retry
from candela.contract.job import (
    INPUTS_FOLDER,
    RESULT_FILE,
    JobDocument,
    ResultDocument,
    StoredValue,
    Value,
    job_file,
    job_key,
)
from candela.errors import NotFoundError, StorageError
from candela.storage.base import Storage

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
_VALUE: TypeAdapter[Value] = TypeAdapter(Value)

RESULT_BYTES = 4 * 2**20  # of a result.json; its literals have far less
TRIES = 4  # to store something
BACKOFF = Backoff(1.0, 15.0, factor=4.0)


def read_job(storage: Storage, job_id: str, attempt: int = 1) -> JobDocument:
    """Return the document of an attempt at a job.

    Raises
    ------
    StorageError
        If it cannot be read, is not there or not valid.
    """
    name = job_file(attempt)
    try:
        return JobDocument.model_validate_json(storage.read(job_key(job_id, name)))
    except (NotFoundError, ValidationError) as error:
        raise StorageError(f"job {job_id} has no valid {name}: {error}") from error


def is_superseded(storage: Storage, job_id: str, attempt: int) -> bool:
    """Tell whether another attempt has taken over: its document is written before it starts."""
    return storage.exists(job_key(job_id, job_file(attempt + 1)))


def check_wanted(storage: Storage, job: JobDocument) -> None:
    """Check that a job was not removed, and that no other attempt has taken over.

    Raises
    ------
    StorageError
        If the attempt that a worker was started for is not wanted any more.
    """
    current = read_job(storage, job.id, job.attempt).attempt
    if is_superseded(storage, job.id, job.attempt):
        current = job.attempt + 1
    if current != job.attempt:
        raise StorageError(
            f"attempt {job.attempt} of job {job.id} is superseded by attempt {current}"
        )


def read_result(storage: Storage, job_id: str) -> ResultDocument | None:
    """Return result.json, or None if the job has no outcome yet, or none that can be understood.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    key = job_key(job_id, RESULT_FILE)
    try:
        size = storage.size(key)
        if size > RESULT_BYTES:
            logger.warning("%s has %d bytes, at most %d are read", key, size, RESULT_BYTES)
            return None
        return ResultDocument.model_validate_json(storage.read(key))
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
    return retry(store, StorageError, BACKOFF, tries=TRIES, logger=logger)
