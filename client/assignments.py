"""Inputs that somebody typed: ``name=value``, the same for every command."""

from collections.abc import Iterable
from pathlib import Path

from candela.client.descriptions import BOX, FILE, InputDescription, ProcessDescription
from candela.client.errors import InputValueError
from candela.client.inputs import is_address

Area = tuple[float, float, float, float] | tuple[float, float, float, float, str]


def read_assignments(process: ProcessDescription, assignments: Iterable[str]) -> dict[str, object]:
    """Turn ``name=value`` texts into values; a name may be repeated for several values.

    A file is given by its path, its address (``https://``, ``s3://``, ``file://``) or, if it is
    XML or JSON, its content. A bounding box is ``left,bottom,right,top`` with, if need be,
    ``,EPSG:...`` after it.

    Raises
    ------
    InputValueError
        If there is no such input, or the value cannot be read.
    """
    values: dict[str, list[object]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InputValueError(f"{assignment!r} is no input, expected name=value")
        if name not in process.inputs:
            raise InputValueError(
                f"{process.identifier} has no input {name!r} "
                f"(inputs: {', '.join(process.inputs) or 'none'})"
            )
        values.setdefault(name, []).append(_value(process.inputs[name], text))
    return {name: single[0] if len(single) == 1 else single for name, single in values.items()}


def _value(given: InputDescription, text: str) -> object:
    if given.type == BOX:
        return read_box(f"input {given.name!r}", text)
    if given.type != FILE:
        return text
    file = read_file(text)
    is_content = given.is_text and isinstance(file, Path) and not _exists(file)
    return text if is_content else file


def read_file(text: str) -> Path | str:
    """Return the path of a file, or its address as it is."""
    if is_address(text):
        return text
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~somebody who is unknown
        return Path(text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a document is too long for a name
        return False


def read_box(what: str, text: str) -> Area:
    """Turn ``left,bottom,right,top[,EPSG:...]`` into a bounding box.

    Raises
    ------
    InputValueError
        If it is none; ``what`` says where it was given.
    """
    *numbers, last = text.split(",")
    words = [*numbers, last] if len(numbers) < 4 else numbers
    try:
        left, bottom, right, top = (float(word) for word in words)
    except ValueError:
        raise InputValueError(
            f"{what} is a bounding box: left,bottom,right,top[,EPSG:...]; found {text!r}"
        ) from None
    corners = (left, bottom, right, top)
    return corners if len(numbers) < 4 else (*corners, last)
