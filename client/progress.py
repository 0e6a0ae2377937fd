"""Progress bars, in a terminal or a notebook."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.progress import TimeElapsedColumn as ElapsedColumn
from rich.table import Column

from candela.client.status import JobInfo, Status


@dataclass(frozen=True)
class Bar:
    """One line of the display; safe in any thread."""

    display: Progress
    task: TaskID

    def show(self, info: JobInfo) -> None:
        """Show the status of a job."""
        note = "waiting" if info.status is Status.ACCEPTED else info.message
        self.move(info.percent, note)

    def move(self, percent: float, note: str) -> None:
        """Show the progress (0..100) and the present step."""
        self.display.update(self.task, completed=percent, note=note)

    def note(self, note: str) -> None:
        """Show a note beside the progress."""
        self.display.update(self.task, note=note)


class Bars:
    """The display: one line for each job."""

    def __init__(self, display: Progress) -> None:
        self._display = display

    def add(self, label: str) -> Bar:
        """Add a line."""
        return Bar(self._display, self._display.add_task(label, total=100, note="waiting"))


@contextmanager
def progress_bars(show: bool | None = None) -> Iterator[Bars]:
    """Show progress while the block runs.

    Parameters
    ----------
    show : bool, optional
        By default in a terminal or a notebook only.
    """
    console = Console(stderr=True)
    if show is None:
        show = console.is_terminal or console.is_jupyter
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        ElapsedColumn(),
        # A long note leaves the other columns in their place.
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        expand=True,
        console=console,
        disable=not show,
    ) as display:
        yield Bars(display)


class UploadBar:
    """A display with one line, which appears with the first progress."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._bar: Bar | None = None

    def __enter__(self) -> "UploadBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def show(self, percent: float, note: str) -> None:
        """Show how much is sent (0..100), and what."""
        if self._bar is None:
            self._bar = self._stack.enter_context(progress_bars()).add("upload")
        self._bar.move(percent, note)
