"""The documents of a job in storage: what gateway and worker read of each other."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from candela.errors import NotFoundError, StorageError
from candela.storage.base import Storage
from candela.worker.contract import (
    JOB_FILE,
    RESULT_FILE,
    JobDocument,
    ResultDocument,
    job_key,
)

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

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
