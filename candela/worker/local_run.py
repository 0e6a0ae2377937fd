"""Run a process here and now, without a server: what ``candela run`` does."""

import tempfile
from collections.abc import Sequence
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
from candela.errors import InvalidValueError, JobFailedError, PublicError, blamed_on
from candela.spec import InputSpec, ProcessSpec, find_spec, load_specs
from candela.storage import open_storage
from candela.worker.job import run_job

JOB_ID = "local"
REMOTE = ("http://", "https://", "file:")

LocalOutput = Literal_ | Box | Path


def run_locally(
    process: str,
    assignments: Sequence[str],
    outputs: Path,
    *,
    progress: Progress = silent,
    cpu: float | None = None,
) -> dict[str, LocalOutput]:
    """Run a process in this Python process.

    Parameters
    ----------
    process : str
        Identifier of the process.
    assignments : sequence of str
        Inputs as ``name=value``: a word or number, a file or http(s) address, a bounding box as
        ``minx,miny,maxx,maxy[,EPSG:code]``. A name may come several times.
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
    """
    spec = find_spec(load_specs(), process)
    job = JobDocument(
        id=JOB_ID,
        process=spec.identifier,
        version=spec.version,
        inputs=parse_assignments(spec, assignments),
        cpu=cpu or spec.run.cpu,
        staging=Staging(allowed_folders=("/",), allowed_hosts=EVERYWHERE),
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


def parse_assignments(spec: ProcessSpec, assignments: Sequence[str]) -> dict[str, list[Value]]:
    """Turn ``name=value`` texts into the inputs of a job.

    Raises
    ------
    InvalidValueError
        If a text is no assignment, or the value cannot be one of the input.
    """
    inputs: dict[str, list[Value]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InvalidValueError(f"{assignment!r} is no input (expected name=value)")
        if name not in spec.inputs:
            raise InvalidValueError(
                f"{spec.identifier} has no input {name!r} (inputs: {', '.join(spec.inputs)})", name
            )
        with blamed_on(name):
            inputs.setdefault(name, []).append(_parse(name, spec.inputs[name], text))
    return inputs


def _parse(name: str, described: InputSpec, text: str) -> Value:
    if described.is_bbox:
        return _parse_box(name, text)
    if not described.is_complex:
        return text  # parsed when it is staged
    if text.lower().startswith(REMOTE):
        return Reference(href=text)
    path = Path(text).expanduser().absolute()  # links keep their names
    if not text or not path.exists():
        raise InvalidValueError(f"input {name!r}: there is no file {text!r}")
    return Reference(href=path.as_uri())


def _parse_box(name: str, text: str) -> Box:
    numbers = text.split(",")[:4]
    crs = ",".join(text.split(",")[4:]) or "EPSG:4326"
    try:
        left, bottom, right, top = (float(number) for number in numbers)
    except ValueError:
        raise InvalidValueError(
            f"input {name!r}: {text!r} is no bounding box "
            "(expected minx,miny,maxx,maxy[,EPSG:code])"
        ) from None
    return Box(bbox=(left, bottom, right, top), crs=crs)


def _public_error(failure: Failure) -> PublicError:
    kind = getattr(errors, failure.kind, None)
    if isinstance(kind, type) and issubclass(kind, PublicError):
        return kind(failure.message, failure.locator)
    return JobFailedError(f"{failure.message}; the log has the reason")
