"""Where commands write."""

from rich.console import Console

FILE_WIDTH = 200  # columns, where no terminal sets a limit


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output, or on standard error."""
    screen = Console(stderr=stderr, highlight=False)
    if not screen.is_terminal:
        screen = Console(stderr=stderr, highlight=False, width=FILE_WIDTH)
    return screen
