"""``candela jobs``."""

import argparse
from pathlib import Path

from candela.commands.parsers.command import Commands, add_command

JOBS = """\
examples:
  candela jobs --status running
  candela jobs show ID
  candela jobs wait ID --save results
  candela jobs log ID
  candela jobs dismiss ID
"""


def add_jobs(commands: Commands, gateway: argparse.ArgumentParser) -> None:
    """Declare ``candela jobs`` and what it does with one job."""
    parser = add_command(
        commands, "jobs", _jobs, "list jobs, or look at one", details=JOBS, parents=[gateway]
    )
    parser.add_argument(
        "--status",
        choices=["accepted", "running", "succeeded", "failed"],
        help="only jobs of this status (default: all)",
    )
    parser.add_argument("--process", help="only jobs of this process (default: all)")
    parser.add_argument(
        "--limit", type=int, default=20, help="number of jobs, at most (default: %(default)s)"
    )
    one = parser.add_subparsers(title="one job", metavar="")
    for name, handler, summary in (
        ("show", _show, "show the status and the outputs of a job"),
        ("wait", _wait, "wait for a job, and show its outputs"),
        ("log", _log, "show the log of a job's worker"),
        ("dismiss", _dismiss, "end a job, and remove its outputs"),
    ):
        action = add_command(one, name, handler, summary, parents=[gateway])
        action.add_argument("id", metavar="ID", help="id of the job, as candela jobs lists it")
        if name == "wait":
            action.add_argument(
                "--save", type=Path, metavar="DIR", help="folder to download the outputs to"
            )


def _jobs(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_jobs

    show_jobs(given.gateway, status=given.status, process=given.process, limit=given.limit)


def _show(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_job

    show_job(given.gateway, given.id)


def _wait(given: argparse.Namespace) -> None:
    from candela.commands.remote import wait_for_job

    wait_for_job(given.gateway, given.id, save=given.save)


def _log(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_log

    show_log(given.gateway, given.id)


def _dismiss(given: argparse.Namespace) -> None:
    from candela.commands.remote import dismiss_job

    dismiss_job(given.gateway, given.id)
