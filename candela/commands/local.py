"""Run a process without a server."""

from collections.abc import Sequence
from pathlib import Path

from candela.client.display import Table, rich_table
from candela.client.progress import progress_bars
from candela.commands.screen import console
from candela.contract.job import Box
from candela.worker.local_run import run_locally


def run(process: str, assignments: Sequence[str], outputs: Path) -> None:
    """Run a process, put its output files into a folder, and list them."""
    with progress_bars() as bars:
        bar = bars.add(process)

        def progress(percent: float, message: str) -> None:
            bar.move(percent, message)

        made = run_locally(process, assignments, outputs, progress=progress)
    rows = [
        (name, str(list(value.bbox)) if isinstance(value, Box) else str(value))
        for name, value in made.items()
    ]
    console().print(rich_table(Table("", ("output", "value"), rows)))
