"""Run one job: ``python -m candela.worker --storage file:///data --job ID --workdir DIR``.

With ``--await URL --process NAME`` in place of ``--job`` all but the job is prepared, and a gateway
is asked for one; then it runs, and the worker ends as always.
"""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from candela.contract.documents import check_wanted, read_job, read_result
from candela.contract.job import (
    EXIT_INTERNAL,
    EXIT_REFUSED,
    EXIT_SUCCEEDED,
    EXIT_TERMINATED,
    EXIT_UNAVAILABLE,
    RESULT_STORED,
    Assignment,
    JobDocument,
    ResultDocument,
    job_file,
    job_key,
)
from candela.eo.raster.images import gdal_environment
from candela.errors import CandelaError, SpecError, StorageError
from candela.spec import ProcessSpec, find_spec, load_specs
from candela.storage import Storage, open_storage
from candela.worker.job import INTERNAL, entry, run_job
from candela.worker.reporting import Reporter
from candela.worker.settings import WorkerSettings
from candela.worker.termination import end_on_sigterm
from candela.worker.waiting import await_job
from candela.worker.workdir import TEMPORARY

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the command line names, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.await_url and not options.process:
        parser.error("--await needs --process")
    workdir: Path = options.workdir.resolve()
    _log_as(options.job or options.process)
    end_on_sigterm(workdir)
    try:
        storage, specs = open_storage(options.storage, make=False), load_specs()
        given = (
            Assignment(options.job, options.attempt)
            if options.job
            else _await_job(options.await_url, find_spec(specs, options.process), storage)
        )
        return _run(storage, specs, given, workdir) if given else EXIT_TERMINATED
    except StorageError as error:
        logger.critical("%s", error)
        return EXIT_UNAVAILABLE
    except CandelaError as error:
        logger.critical("%s", error)
        return EXIT_INTERNAL


def _await_job(url: str, spec: ProcessSpec, storage: Storage) -> Assignment | None:
    """Do beforehand what takes a while, and wait for a job."""
    entry(spec)
    with gdal_environment():
        storage.exists(job_key(spec.identifier, job_file(1)))
    settings = WorkerSettings()
    return await_job(f"{url}/{settings.warm_pod}", settings.warm_token.get_secret_value())


def _run(storage: Storage, specs: dict[str, ProcessSpec], given: Assignment, workdir: Path) -> int:
    job = read_job(storage, given.job, given.attempt)
    _log_as(f"{job.process} {job.id}")
    result = read_result(storage, job.id)
    if result is not None and result.attempt == job.attempt:
        logger.info("Attempt %s already has its result", job.attempt)
        return _exit_code(result)
    check_wanted(storage, job)
    spec = _spec_of(job, specs)
    logger.info("Attempt %s of %s %s", job.attempt, spec.identifier, spec.version)
    workdir.mkdir(parents=True, exist_ok=True)
    os.chdir(workdir)
    tempfile.tempdir = str(workdir / TEMPORARY)
    reporter = Reporter(job.progress)
    last = ""
    try:
        result = run_job(job, spec, storage, workdir, reporter)
        last = RESULT_STORED
    finally:
        reporter.close(last)
    _log_result(job, result)
    return _exit_code(result)


def _spec_of(job: JobDocument, specs: Mapping[str, ProcessSpec]) -> ProcessSpec:
    """Return the process of a job: one of ours, or one that is described in the job's document."""
    if job.description is None:
        return find_spec(specs, job.process)
    try:
        spec = ProcessSpec.model_validate(job.description)
    except ValidationError as error:
        raise SpecError(f"the description of {job.process} cannot be read: {error}") from error
    ours = specs.get(job.process)  # in an image of its own
    return spec.model_copy(update={"package": ours.package}) if ours else spec


def _exit_code(result: ResultDocument) -> int:
    if result.error is None:
        return EXIT_SUCCEEDED
    return EXIT_INTERNAL if result.error.kind == INTERNAL.kind else EXIT_REFUSED


def _log_result(job: JobDocument, result: ResultDocument) -> None:
    logger.info(
        "Attempt %s %s: %.1f s, %.1f s of CPU, %.0f MB of memory",
        job.attempt,
        result.status,
        result.usage.wall_s,
        result.usage.cpu_s,
        result.usage.max_rss_bytes / 1e6,
    )


def _log_as(subject: str) -> None:
    """Begin each line of the log with time, level and the job."""
    subject = subject.replace("%", "%%")
    logging.captureWarnings(True)
    logging.basicConfig(
        format=f"%(asctime)s %(levelname)s [{subject}] %(name)s: %(message)s",
        level=logging.INFO,
        stream=sys.stdout,
        force=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m candela.worker",
        description="Run one CANDELA job: fetch its inputs, run its process, store its outputs.",
        epilog=(
            f"Exit code: {EXIT_SUCCEEDED} succeeded, {EXIT_REFUSED} the input was refused, "
            f"{EXIT_INTERNAL} internal error, {EXIT_UNAVAILABLE} the storage does not work. "
            "The outcome itself is in jobs/<id>/result.json; see docs/container-contract.md."
        ),
    )
    parser.add_argument(
        "--storage", required=True, metavar="URL", help="where jobs are kept, such as file:///data"
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--job", metavar="ID", help="the job: jobs/ID/job.json")
    parser.add_argument(
        "--attempt", type=int, default=1, metavar="N", help="which attempt at the job; the first"
    )
    which.add_argument(
        "--await", dest="await_url", metavar="URL", help="where a gateway is asked for the job"
    )
    parser.add_argument(
        "--process", metavar="NAME", help="with --await: of what process it will be"
    )
    parser.add_argument(
        "--workdir",
        required=True,
        type=Path,
        metavar="DIR",
        help="an empty folder for this job alone; it is empty again at the end",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
