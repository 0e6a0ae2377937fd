"""Run a process here and now, without a server: what ``candela run`` does."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from candela import errors
from candela.contract.addresses import EVERYWHERE
from candela.contract.job import (
    OUTPUTS_FOLDER,
    Box,
    Failure,
    JobDocument,
    Literal_,
    OutputFile,
    OutputLiteral,
    Reference,
    Staging,
    Value,
    job_file,
    job_key,
)
from candela.eo.progress import Progress, silent
from candela.errors import JobFailedError, PublicError
from candela.spec import ProcessSpec
from candela.storage import open_storage
from candela.worker.job import run_job

JOB_ID = "local"

LocalOutput = Literal_ | Box | Path


def run_locally(
    spec: ProcessSpec,
    inputs: Mapping[str, Sequence[Value]],
    outputs: Path,
    *,
    progress: Progress = silent,
    cpu: float | None = None,
) -> dict[str, LocalOutput]:
    """Run a process in this Python process.

    Parameters
    ----------
    spec : ProcessSpec
        The process.
    inputs : mapping
        Values by the name of the input. References may point to any file, host or bucket that this
        user may read.
    outputs : Path
        The folder that the output files are put into; made if it does not exist. Files of the
        same name are replaced.
    progress : Progress, optional
        Is told how far the work is.
    cpu : float, optional
        Cores to use; by default what the process asks for.

    Returns
    -------
    dict
        The outputs by name: a value, a bounding box, or the path of a file.

    Raises
    ------
    PublicError
        If an input is wrong, with the input to blame as its locator.
    JobFailedError
        If the process fails otherwise; the log has the reason.
    StorageError
        If a bucket cannot be read.
    """
    job = JobDocument(
        id=JOB_ID,
        process=spec.identifier,
        version=spec.version,
        inputs={name: list(values) for name, values in inputs.items()},
        cpu=cpu or spec.run.cpu,
        staging=Staging(
            allowed_folders=("/",), allowed_hosts=EVERYWHERE, allowed_buckets=_buckets(inputs)
        ),
    )
    outputs.mkdir(parents=True, exist_ok=True)
    outputs = outputs.resolve()
    with tempfile.TemporaryDirectory(prefix=".candela-", dir=outputs) as folder:
        storage = open_storage((Path(folder) / "storage").as_uri())
        storage.write(job_key(JOB_ID, job_file(job.attempt)), job.to_json().encode())
        result = run_job(job, spec, storage, Path(folder) / "work", progress)
        if result.error is not None:
            raise _public_error(result.error)
        made: dict[str, LocalOutput] = {}
        for name, output in result.outputs.items():
            if isinstance(output, OutputFile):
                stored = storage.local_path(job_key(JOB_ID, OUTPUTS_FOLDER, output.file))
                assert stored is not None  # the storage is a folder
                made[name] = stored.replace(outputs / output.file)
            else:
                made[name] = output.value if isinstance(output, OutputLiteral) else output
        return made


def _buckets(inputs: Mapping[str, Sequence[Value]]) -> tuple[str, ...]:
    """Return the buckets that inputs lie in: they are read with the user's own rights."""
    hrefs = [
        each.href for values in inputs.values() for each in values if isinstance(each, Reference)
    ]
    return tuple(
        href.partition("://")[2].partition("/")[0]
        for href in hrefs
        if href.lower().startswith("s3://")
    )


def _public_error(failure: Failure) -> PublicError:
    kind = getattr(errors, failure.kind, None)
    if isinstance(kind, type) and issubclass(kind, PublicError):
        return kind(failure.message, failure.locator)
    return JobFailedError(f"{failure.message}; the log has the reason")
