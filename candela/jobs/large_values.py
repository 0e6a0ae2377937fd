"""Large values of a request: kept as files of the job, so that rows of the job table stay small."""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pydantic import TypeAdapter

from candela.contract.job import Inline, Reference, StoredValue, Value

ROW_LENGTH = 16 * 2**10  # characters of the inputs that a row has at most
WORTH_LENGTH = 1024  # what is shorter stays: a stored value takes room too

_VALUE: TypeAdapter[Value] = TypeAdapter(Value)


class SetApart(NamedTuple):
    """Inputs whose large values are in storage, and how many bytes those have."""

    inputs: dict[str, list[Value]]
    size: int


def length_of(inputs: Mapping[str, list[Value]]) -> int:
    """Return about how many characters the values have, without writing them down."""
    return sum(_length(value) for values in inputs.values() for value in values)


def set_apart(inputs: Mapping[str, list[Value]], keep: Callable[[str, bytes], None]) -> SetApart:
    """Keep the largest values elsewhere, until the rest is small enough for a row.

    The same inputs give the same files, so that two requests can be compared without their files.

    Parameters
    ----------
    inputs : mapping
        Values by input.
    keep : callable
        Is given the name of a file and its content, one after the other.
    """
    numbered = [(name, index) for name, values in inputs.items() for index in range(len(values))]
    lengths = {place: _length(inputs[place[0]][place[1]]) for place in numbered}
    left = sum(lengths.values())
    found = {name: list(values) for name, values in inputs.items()}
    size = 0
    for place in sorted(numbered, key=lambda place: -lengths[place]):
        if left <= ROW_LENGTH or lengths[place] < WORTH_LENGTH:
            break
        name, index = place
        stored, content = _file(numbered.index(place) + 1, found[name][index])
        keep(stored.file, content)
        found[name][index] = stored
        left -= lengths[place]
        size += stored.size
    return SetApart(found, size)


def _file(number: int, value: Value) -> tuple[StoredValue, bytes]:
    content = _VALUE.dump_json(value, by_alias=True, exclude_none=True)
    digest = hashlib.sha256(content).hexdigest()
    return StoredValue(file=f"{number}.json", size=len(content), sha256=digest), content


def _length(value: Value) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Inline):
        return len(value.value)
    if isinstance(value, Reference):
        headers = sum(len(key) + len(text) for key, text in value.headers.items())
        return len(value.href) + len(value.body or "") + len(value.body_reference or "") + headers
    return 0
