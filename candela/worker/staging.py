"""Stage in: from the values of a request to the arguments of ``run``."""

import base64
import binascii
import os
import zipfile
from pathlib import Path

from candela.contract.job import Box, Inline, Reference, Staging, Value
from candela.contract.names import suffix_of
from candela.eo.progress import Progress
from candela.eo.raster.grid import Area, Bounds
from candela.eo.raster.images import Source
from candela.eo.safe import is_gzip
from candela.errors import (
    InputError,
    InvalidValueError,
    MissingValueError,
    TooLargeError,
    blamed_on,
)
from candela.literals import Scalar
from candela.spec import MIXED, InputSpec, ProcessSpec
from candela.storage import Storage
from candela.worker.crs import check_crs
from candela.worker.formats import check_format
from candela.worker.references import Resolver

Staged = Scalar | Path | Source | Area
Argument = Staged | list[Staged] | None

LITERAL_BYTES = 128 * 2**10  # of a text that a reference leads to
TEXT = InputSpec(title="The text of a literal", type="text")
OPENED_BY_PROCESS = frozenset({"raster", "product"})  # big, and each process knows its own best


class Stager:
    """Brings the inputs of a job into a folder.

    Parameters
    ----------
    staging : Staging
        Where references may point.
    storage : Storage
        Holds the outputs of other jobs.
    folder : Path
        The n-th value of an input is put into ``<folder>/<input>/<n>/``.
    progress : Progress
        Is told of long downloads.
    """

    def __init__(
        self, staging: Staging, storage: Storage, folder: Path, progress: Progress
    ) -> None:
        self._staging = staging
        self._resolver = Resolver(staging, storage, progress)
        short = staging.model_copy(update={"max_input_bytes": LITERAL_BYTES})
        self._texts = Resolver(short, storage, progress)
        self._folder = folder
        self.input_bytes = 0

    def stage(self, spec: ProcessSpec, inputs: dict[str, list[Value]]) -> dict[str, Argument]:
        """Return the arguments of ``run``: one for each input that the process describes.

        Raises
        ------
        PublicError
            With the input to blame as its locator.
        """
        spec.refuse_unknown_inputs(inputs)
        arguments = {}
        for name, described in spec.inputs.items():
            with blamed_on(name):
                arguments[name] = self._argument(name, described, inputs.get(name, []))
        return arguments

    def _argument(self, name: str, described: InputSpec, values: list[Value]) -> Argument:
        if not values and described.default is not None:
            return described.parse(str(described.default))
        _check_count(name, described, len(values))
        staged = [
            self._value(name, described, value, self._folder / name / str(number))
            for number, value in enumerate(values, 1)
        ]
        if described.is_list:
            return staged
        return staged[0] if staged else None

    def _value(self, name: str, described: InputSpec, value: Value, folder: Path) -> Staged:
        if described.is_literal and isinstance(value, Reference):
            value = self._text(value, folder)
        if described.is_literal:
            return _literal(name, described, value)
        if described.is_bbox:
            return _area(name, value)
        if isinstance(value, str):
            value = Inline(value=value)
        if not isinstance(value, Inline | Reference):
            raise InvalidValueError(f"input {name!r} is a file, found {value!r}")
        if described.access == "header" and isinstance(value, Reference):
            return self._resolver.source(described, value, folder)
        path = self._file(name, described, value, folder)
        return Source(path.name, str(path)) if described.access == "header" else path

    def _text(self, reference: Reference, folder: Path) -> str:
        """Return the text of a literal that stands elsewhere, without the end of its last line."""
        path = self._texts.file(TEXT, reference, folder)
        _check_size(path.name, path.stat().st_size, LITERAL_BYTES)  # a link may lead to a large one
        _check_content(TEXT, path)
        self.input_bytes += path.stat().st_size
        return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")

    def _file(
        self, name: str, described: InputSpec, value: Inline | Reference, folder: Path
    ) -> Path:
        if isinstance(value, Inline):
            folder.mkdir(parents=True)
            media_type = value.media_type
            path = folder / (name + suffix_of(described.type, media_type))
            path.write_bytes(_content(value, self._staging.max_input_bytes))
        else:
            media_type = value.type
            path = self._resolver.file(described, value, folder)
        self.input_bytes += _size(path)
        if described.type == MIXED:
            return _told_apart(described, media_type, path)
        _check_content(described, path)
        return path


def _check_count(name: str, described: InputSpec, count: int) -> None:
    if count < described.min_occurs:
        raise MissingValueError(
            f"input {name!r} needs at least {described.min_occurs} values, found {count}"
        )
    if count > described.max_occurs:
        raise InvalidValueError(
            f"input {name!r} takes at most {described.max_occurs} values, found {count}"
        )


def _area(name: str, value: Value) -> Area:
    if not isinstance(value, Box):
        raise InvalidValueError(f"input {name!r} is a bounding box, found {value!r}")
    bounds = Bounds(*value.bbox)
    if bounds.left > bounds.right or bounds.bottom > bounds.top:
        raise InvalidValueError(f"input {name!r}: minimum and maximum of {bounds} are swapped")
    check_crs(value.crs)
    return Area(bounds, value.crs)


def _literal(name: str, described: InputSpec, value: Value) -> Scalar:
    if isinstance(value, Reference | Inline | Box):
        raise InvalidValueError(f"input {name!r} is of type {described.type}, found {value!r}")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return described.parse(text)
    except InvalidValueError as error:
        raise InvalidValueError(f"input {name!r}: {error.message}") from None


def _content(inline: Inline, max_bytes: int) -> bytes:
    if inline.encoding == "base64":
        try:
            content = base64.b64decode("".join(inline.value.split()), validate=True)
        except binascii.Error as error:
            raise InputError(f"the content is not valid base64: {error}") from None
    else:
        content = inline.value.encode()
    _check_size("the content", len(content), max_bytes)
    return content


def _check_size(name: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLargeError(f"{name} has {size} bytes, at most {max_bytes} are allowed")


def _check_content(described: InputSpec, path: Path) -> None:
    if described.type in OPENED_BY_PROCESS:
        return
    if described.zipped and (zipfile.is_zipfile(path) or is_gzip(path)):
        return
    try:
        check_format(described.type, path)
    except ValueError as error:
        raise InputError(f"{path.name} is not of type {described.type}: {error}") from None


def _told_apart(described: InputSpec, media_type: str | None, path: Path) -> Path:
    """Give a file the suffix of its kind: that of its media type, or the first that it is one of.

    Raises
    ------
    InputError
        If it is of none of the kinds that the input takes.
    """
    declared = described.kind_of(media_type)
    kinds = [declared] if declared else described.kinds
    reasons = []
    for kind in kinds:
        try:
            check_format(kind, path)
        except ValueError as error:
            reasons.append(f"{kind}: {error}")
        else:
            return path.rename(path.with_name(path.stem + suffix_of(kind, None)))
    raise InputError(f"{path.name} is not of type {' or '.join(kinds)} ({'; '.join(reasons)})")


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(
        (Path(parent) / name).stat().st_size
        for parent, _, names in os.walk(path.resolve())
        for name in names
    )
