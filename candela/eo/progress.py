"""How long work reports where it is."""

from typing import Protocol


class Progress(Protocol):
    """A callable that is told how far the work is."""

    def __call__(self, percent: float, message: str) -> None:
        """Report ``percent`` (0..100) done, and in a few words what is under way."""


def silent(percent: float, message: str) -> None:
    """Report to nobody."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """Map the 0..100 of a part onto ``start``..``stop`` of the whole."""

    def report(percent: float, message: str) -> None:
        progress(start + (stop - start) * percent / 100.0, message)

    return report
