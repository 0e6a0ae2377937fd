"""Commands that ask a gateway."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from candela.client import Job
from candela.client.assignments import read_assignments
from candela.client.display import Table, rich_table
from candela.client.inputs import FilesPolicy
from candela.client.status import JobInfo, Status
from candela.commands.connection import Connection
from candela.commands.screen import console

OUT = console()  # results
NOTES = console(stderr=True)  # messages


def show_processes(gateway: Connection) -> None:
    """List the processes of a gateway."""
    with gateway.client() as client:
        rows = [(found.identifier, found.version, found.title) for found in client.processes()]
    _show(Table("", ("process", "version", "title"), rows))


def show_description(gateway: Connection, process: str) -> None:
    """Show the inputs and outputs of a process."""
    with gateway.client() as client:
        found = client.describe(process)
    OUT.print(f"[bold]{found.identifier}[/bold] {found.version}: {found.title}\n")
    OUT.print(found.abstract, markup=False)
    for table in found.tables():
        OUT.print(f"\n[bold]{table.title}[/bold]")
        _show(table)


def execute(
    gateway: Connection,
    process: str,
    assignments: Sequence[str],
    *,
    files: FilesPolicy,
    wait: bool,
    save: Path | None,
    title: str = "",
) -> None:
    """Start a job; without waiting, standard output is the id alone."""
    with gateway.client(files=files) as client:
        inputs = read_assignments(client.describe(process), assignments)
        try:
            job = client.execute(process, title=title, **inputs)
        except KeyboardInterrupt:
            NOTES.print("\nNo job was started. The same command goes on with what was sent.")
            raise
        if wait or save:
            _finish(job, gateway, save)
        else:
            OUT.print(job.id)
            NOTES.print(
                f"The job is {job.status}; see it with: candela jobs show {job.id}{gateway.hint}",
                soft_wrap=True,  # to be copied
            )


def show_jobs(gateway: Connection, *, status: str | None, process: str | None, limit: int) -> None:
    """List jobs, the newest first."""
    with gateway.client() as client:
        infos = [job.info for job in client.jobs(status=status, process=process, limit=limit)]
    if not infos:
        NOTES.print("There are no such jobs.")
        return
    rows = [
        (info.id, info.title, info.process, info.status, _time(info.created), _progress(info))
        for info in infos
    ]
    _show(Table("", ("job", "title", "process", "status", "created", ""), rows, 2))


def show_job(gateway: Connection, job_id: str) -> None:
    """Show the status and the outputs of a job."""
    with gateway.client() as client:
        _show_job(client.job(job_id))


def wait_for_job(gateway: Connection, job_id: str, *, save: Path | None) -> None:
    """Wait for a job."""
    with gateway.client() as client:
        _finish(client.job(job_id), gateway, save)


def show_log(gateway: Connection, job_id: str) -> None:
    """Show the log of a job."""
    with gateway.client() as client:
        OUT.out(client.job(job_id).log(), end="")


def dismiss_job(gateway: Connection, job_id: str) -> None:
    """End a job, or remove one that has ended."""
    with gateway.client() as client:
        client.job(job_id).dismiss()
    NOTES.print(f"Job {job_id} is dismissed.")


def _finish(job: Job, gateway: Connection, save: Path | None) -> None:
    with _resume_hint(job, gateway):
        job.wait()
        _show_job(job)
        if save is None:
            return
        save.mkdir(parents=True, exist_ok=True)
        for output in job.outputs.values():
            NOTES.print(f"Saved {output.save(save)}", markup=False)


@contextmanager
def _resume_hint(job: Job, gateway: Connection) -> Iterator[None]:
    """After Ctrl-C, print the command that waits for the job again."""
    try:
        yield
    except KeyboardInterrupt:
        NOTES.print(
            f"\nThe job goes on. Take it up again with: candela jobs wait {job.id}{gateway.hint}"
        )
        raise


def _show_job(job: Job) -> None:
    OUT.print(f"[bold]Job {job.id}[/bold] of {job.process}: {job.status}")
    if job.message and job.message != job.status:
        OUT.print(job.message, markup=False)
    if job.info.status is not Status.SUCCEEDED:
        return
    rows = [
        (name, made.href or str(made.value), _size(made.size)) for name, made in job.outputs.items()
    ]
    rows += [
        (f"{name} ({kind})", address, "")
        for name, layer in job.layers.items()
        for kind, address in (("WMS", layer.wms), ("WCS", layer.wcs), ("WFS", layer.wfs))
        if address
    ]
    _show(Table("", ("output", "value", "size"), rows))


def _show(table: Table) -> None:
    OUT.print(rich_table(table))


def _progress(info: JobInfo) -> str:
    if info.status is Status.RUNNING:
        return f"{info.percent} % {info.message}"
    return info.message if info.status is Status.FAILED else ""


def _size(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size} B"


def _time(time: dt.datetime | None) -> str:
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"
