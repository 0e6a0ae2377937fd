"""Run one job: stage in, run, check, stage out, result.json."""

import importlib
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from candela.contract.documents import check_wanted, patiently, whole_inputs
from candela.contract.job import (
    OUTPUTS_FOLDER,
    RESULT_FILE,
    Failure,
    JobDocument,
    Output,
    OutputFile,
    ResultDocument,
    job_key,
)
from candela.eo.progress import Progress
from candela.eo.raster.images import gdal_environment
from candela.eo.threads import use_threads
from candela.errors import (
    LimitError,
    OutputError,
    PublicationError,
    PublicError,
    SpecError,
    StorageError,
    UnavailableError,
)
from candela.implementations import module_of
from candela.spec import ProcessSpec
from candela.storage import Storage
from candela.worker.checking import check_outputs
from candela.worker.delivery import deliver
from candela.worker.layering import describe_layers
from candela.worker.needs import needed
from candela.worker.staging import Stager
from candela.worker.usage import Meter
from candela.worker.workdir import (
    INPUTS,
    LAYERS,
    WORK,
    disk_is_full,
    empty_workdir,
    prepare_workdir,
)

logger = logging.getLogger(__name__)

INTERNAL = Failure(kind="InternalError", message="internal error")
OUT_OF_MEMORY = LimitError("the job needs more memory than there is")
NO_ROOM = LimitError("the disk that jobs work on is full")

Run = Callable[..., Mapping[str, object]]


def run_job(
    job: JobDocument, spec: ProcessSpec, storage: Storage, workdir: Path, progress: Progress
) -> ResultDocument:
    """Run one attempt of a job and write its result.json.

    Whatever goes wrong in the job is in the result; what is wrong with the storage is raised, for
    the same may work later. Afterwards the folder is empty.

    Parameters
    ----------
    job : JobDocument
        What to do.
    spec : ProcessSpec
        The process.
    storage : Storage
        Where the outputs and result.json go.
    workdir : Path
        A folder for this job alone.
    progress : Progress
        Is told how far the work is.

    Returns
    -------
    ResultDocument
        The outcome.

    Raises
    ------
    StorageError
        If storage does not work, or the job was removed or started anew meanwhile; then there is
        no result.json.
    WorkdirError
        If the folder is not for this job alone.
    """
    prepare_workdir(workdir)
    attempt = _Attempt(job, spec, storage, workdir, progress)
    try:
        return attempt.run()
    finally:
        empty_workdir(workdir)


class _Attempt:
    """One try to do a job."""

    def __init__(
        self,
        job: JobDocument,
        spec: ProcessSpec,
        storage: Storage,
        workdir: Path,
        progress: Progress,
    ) -> None:
        self._job = job
        self._spec = spec
        self._storage = storage
        self._workdir = workdir
        self._progress = progress
        self._stager = Stager(job.staging, storage, workdir / INPUTS, progress)
        self._meter = Meter()

    def run(self) -> ResultDocument:
        """Do the job and write down its outcome."""
        try:
            outputs = self._produce()
        except PublicError as error:
            logger.info("The job failed: %s", error)
            failure = _failure(error)
        except PublicationError as error:
            is_full = disk_is_full(self._workdir, error)
            logger.info("The job failed, an output cannot be published: %s", error)
            refused = Failure(kind="PublicationError", message=str(error))
            failure = _failure(NO_ROOM) if is_full else refused
        except MemoryError:
            logger.exception("The job failed: out of memory")
            failure = _failure(OUT_OF_MEMORY)
        except StorageError:
            raise
        except (Exception, SystemExit) as error:
            is_full = disk_is_full(self._workdir, error)
            logger.exception("The job failed: %s", "disk full" if is_full else "internal error")
            failure = _failure(NO_ROOM) if is_full else INTERNAL
        else:
            return self._conclude(outputs)
        empty_workdir(self._workdir)  # what is told now may need the room
        check_wanted(self._storage, self._job)
        self._storage.delete(job_key(self._job.id, OUTPUTS_FOLDER))
        return self._conclude({}, failure)

    def _produce(self) -> dict[str, Output]:
        use_threads(max(1, math.ceil(self._job.cpu)))
        self._progress(0, "fetching inputs")
        inputs = whole_inputs(self._storage, self._job.id, self._job.inputs)
        arguments = self._stager.stage(self._spec, inputs) | needed(self._spec, self._job)
        del inputs  # they may be large
        run = entry(self._spec)
        logger.info("Inputs are staged (%s bytes); running", self._stager.input_bytes)
        with gdal_environment():
            work = self._workdir / WORK
            returned = run(**arguments, workdir=work, progress=self._progress)
            checked = check_outputs(self._spec, returned, work)
            layers = describe_layers(self._spec, self._job.id, checked, self._workdir / LAYERS)
        logger.info("The process finished; storing outputs")
        check_wanted(self._storage, self._job)
        return patiently(lambda: deliver(self._spec, self._job.id, checked, self._storage, layers))

    def _conclude(
        self, outputs: dict[str, Output], failure: Failure | None = None
    ) -> ResultDocument:
        files = [output for output in outputs.values() if isinstance(output, OutputFile)]
        result = ResultDocument(
            job=self._job.id,
            attempt=self._job.attempt,
            status="failed" if failure else "succeeded",
            outputs=outputs,
            error=failure,
            usage=self._meter.read(
                input_bytes=self._stager.input_bytes,
                output_bytes=sum(file.size for file in files),
            ),
        )
        content = result.to_json().encode()
        check_wanted(self._storage, self._job)
        patiently(lambda: self._storage.write(job_key(self._job.id, RESULT_FILE), content))
        return result


def entry(spec: ProcessSpec) -> Run:
    """Return the function of a process; its modules are imported now.

    Raises
    ------
    OutputError
        If it has none.
    UnavailableError
        If what it is declared by is not installed here, in the version of its description.
    """
    try:
        name = spec.package or module_of(spec)
    except SpecError as error:
        raise UnavailableError(f"{spec.identifier} {spec.version}: {error}") from error
    run = getattr(importlib.import_module(name), "run", None)
    if not callable(run):
        raise OutputError(f"{name} has no function run")
    return cast(Run, run)


def _failure(error: PublicError) -> Failure:
    return Failure(kind=type(error).__name__, message=error.message, locator=error.locator)
