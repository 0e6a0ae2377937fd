"""Elements of the XML documents of products: what they say, checked before anything uses it."""

import math
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from candela.errors import InputError

Floats = NDArray[np.float64]

MAX_SHOWN = 40  # letters of a value in a message


class Limits(NamedTuple):
    """The least and the greatest value that makes sense, both included and finite."""

    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.least:.10g} to {self.most:.10g}"


@dataclass(frozen=True)
class Section:
    """An element of a document, and how messages call both.

    Attributes
    ----------
    element : Element
    document : str
        Name of the file.
    path : str
        From the root to the element, with a slash at its end; empty for the root.

    All that is looked up raises ``InputError`` where it is missing or makes no sense: the message
    names file and element, what was found and what was expected.
    """

    element: Element
    document: str
    path: str = ""

    def below(self, path: str) -> "Section":
        """Return the first element of a path."""
        element = self.element.find(path)
        if element is None:
            raise InputError(f"{self.document} has no {self.path}{path}")
        return Section(element, self.document, f"{self.path}{path}/")

    def all(self, path: str, most: int, *, least: int = 1) -> "list[Section]":
        """Return all elements of a path, ``least`` to ``most``."""
        found = self.element.findall(path)
        if not least <= len(found) <= most:
            raise InputError(
                f"{self.document} has {len(found)} {self.path}{path}, expected {least} to {most}"
            )
        return [
            Section(element, self.document, f"{self.path}{path}[{number}]/")
            for number, element in enumerate(found, 1)
        ]

    def text(self, path: str) -> str:
        """Return the text of an element."""
        text = (self.element.findtext(path) or "").strip()
        if not text:
            raise InputError(f"{self.document} has no {self.path}{path}")
        return text

    def one_of(self, path: str, allowed: tuple[str, ...]) -> str:
        """Return a text that can be nothing but one of these."""
        text = self.text(path)
        if text not in allowed:
            raise InputError(
                f"{self.called(path)} is {text[:MAX_SHOWN]}, expected {' or '.join(allowed)}"
            )
        return text

    def number(self, path: str, limits: Limits) -> float:
        """Return a number; see ``read_number``."""
        return read_number(self.text(path), self.called(path), limits)

    def numbers(self, path: str, limits: Limits, *, most: int) -> Floats:
        """Return a list of numbers; see ``read_numbers``."""
        return read_numbers(self.text(path), self.called(path), limits, most=most)

    def whole(self, path: str, limits: Limits) -> int:
        """Return a whole number; see ``read_whole``."""
        return read_whole(self.text(path), self.called(path), limits)

    def called(self, path: str) -> str:
        """Return how messages call an element."""
        return f"{self.document}: {self.path}{path}"


def read_number(text: str, called: str, limits: Limits) -> float:
    """Read a number.

    Parameters
    ----------
    text : str
        As in the document.
    called : str
        How messages call the element.
    limits : Limits
        Between which it must lie: so it is finite, too.

    Raises
    ------
    InputError
        If it is no number, or beyond the limits.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not limits.least <= number <= limits.most:  # NaN is never between
        raise InputError(
            f"{called} is {text.strip()[:MAX_SHOWN]!r}, expected a number from {limits}"
        )
    return number


def read_numbers(text: str, called: str, limits: Limits, *, most: int) -> Floats:
    """Read numbers with spaces between them, 1 to ``most``, float64; see ``read_number``."""
    words = text.split(maxsplit=most)
    if not words:
        raise InputError(f"{called} is empty, expected numbers from {limits}")
    if len(words) > most:
        raise InputError(f"{called} has more than {most} numbers, expected 1 to {most}")
    if len(words) == 1:
        return np.array([read_number(text, called, limits)])
    return np.array(
        [
            read_number(word, f"{called}, number {place} of {len(words)},", limits)
            for place, word in enumerate(words, 1)
        ]
    )


def read_whole(text: str, called: str, limits: Limits) -> int:
    """Read a whole number; see ``read_number``."""
    number = read_number(text, called, limits)
    if not number.is_integer():
        raise InputError(f"{called} is {text.strip()[:MAX_SHOWN]!r}, expected a whole number")
    return int(number)
