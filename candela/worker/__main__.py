"""Run one job: ``python -m candela.worker --storage file:///data --job ID --workdir DIR``."""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from candela.errors import CandelaError, StorageError
from candela.spec import find_spec, load_specs
from candela.storage import open_storage
from candela.worker.contract import (
    EXIT_INTERNAL,
    EXIT_REFUSED,
    EXIT_SUCCEEDED,
    EXIT_UNAVAILABLE,
    RESULT_STORED,
    JobDocument,
    ResultDocument,
)
from candela.worker.documents import read_job, read_result
from candela.worker.job import INTERNAL, run_job
from candela.worker.reporting import Reporter
from candela.worker.termination import end_on_sigterm
from candela.worker.workdir import TEMPORARY

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the command line names, and return the exit code."""
    options = _parser().parse_args(arguments)
    workdir: Path = options.workdir.resolve()
    _log_as(options.job)
    end_on_sigterm(workdir)
    try:
        return _run(options.storage, options.job, workdir)
    except StorageError as error:
        logger.critical("%s", error)
        return EXIT_UNAVAILABLE
    except CandelaError as error:
        logger.critical("%s", error)
        return EXIT_INTERNAL


def _run(storage_url: str, job_id: str, workdir: Path) -> int:
    storage = open_storage(storage_url)
    job = read_job(storage, job_id)
    _log_as(f"{job.process} {job.id}")
    result = read_result(storage, job_id)
    if result is not None and result.attempt == job.attempt:
        logger.info("Attempt %s has its result already", job.attempt)
        return _exit_code(result)
    spec = find_spec(load_specs(), job.process)
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
    parser.add_argument("--job", required=True, metavar="ID", help="the job: jobs/ID/job.json")
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
