"""Stage in: from the values of a request to the arguments of ``run``."""

import base64
import binascii
import logging
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from candela.eo.grid import Area, Bounds
from candela.eo.progress import Progress
from candela.eo.raster import Source
from candela.errors import (
    InputError,
    InvalidValueError,
    MissingValueError,
    NotFoundError,
    ReferenceUnavailableError,
    TooLargeError,
    blamed_on,
)
from candela.spec import InputSpec, ProcessSpec, Scalar
from candela.storage import Storage
from candela.worker.addresses import check_address
from candela.worker.contract import OUTPUTS_FOLDER, Box, Inline, Reference, Staging, Value, job_key
from candela.worker.download import fetch
from candela.worker.formats import check_format
from candela.worker.names import address_name, safe_name, suffix_of, without_secrets

logger = logging.getLogger(__name__)

Staged = Scalar | Path | Source | Area
Argument = Staged | list[Staged] | None

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
        self._storage = storage
        self._folder = folder
        self._progress = progress
        self.input_bytes = 0

    def stage(self, spec: ProcessSpec, inputs: dict[str, list[Value]]) -> dict[str, Argument]:
        """Return the arguments of ``run``: one for each input that the process describes.

        Raises
        ------
        PublicError
            With the input to blame as its locator.
        """
        unknown = sorted(set(inputs) - set(spec.inputs))
        if unknown:
            raise InvalidValueError(
                f"{spec.identifier} has no input {unknown[0]!r} (inputs: {', '.join(spec.inputs)})",
                unknown[0],
            )
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
        if described.is_literal:
            return _literal(name, described, value)
        if described.is_bbox:
            return _area(name, value)
        if isinstance(value, str):
            value = Inline(value=value)
        if not isinstance(value, Inline | Reference):
            raise InvalidValueError(f"input {name!r} is a file, found {value!r}")
        if described.access == "header" and isinstance(value, Reference):
            return self._source(described, value, folder)
        path = self._file(name, described, value, folder)
        return Source(path.name, str(path)) if described.access == "header" else path

    def _source(self, described: InputSpec, reference: Reference, folder: Path) -> Source:
        """Return what GDAL can look into without fetching it."""
        is_remote = _is_http(reference.href) and self._output_key(reference.href) is None
        if is_remote and reference.method == "GET" and not reference.headers:
            check_address(reference.href)
            return Source(reference.href, f"/vsicurl/{reference.href}")
        path = self._file("", described, reference, folder)
        return Source(reference.href, str(path))

    def _file(
        self, name: str, described: InputSpec, value: Inline | Reference, folder: Path
    ) -> Path:
        folder.mkdir(parents=True)
        if isinstance(value, Inline):
            path = folder / (name + suffix_of(described.type, value.media_type))
            path.write_bytes(_content(value, self._staging.max_input_bytes))
        else:
            path = self._referenced(described, value, folder)
        self.input_bytes += _size(path)
        _check_content(described, path)
        return path

    def _referenced(self, described: InputSpec, reference: Reference, folder: Path) -> Path:
        key = self._output_key(reference.href)
        if key is not None:
            return self._from_storage(key, folder)
        if reference.href.lower().startswith("file:"):
            return self._from_folder(described, reference.href, folder)
        return fetch(
            reference,
            folder,
            suffix=suffix_of(described.type, reference.type),
            max_bytes=self._staging.max_input_bytes,
            progress=self._progress,
        )

    def _output_key(self, href: str) -> str | None:
        """Return the storage key of an output of another job, if the address is one."""
        base = self._staging.outputs_url.rstrip("/") + "/"
        if not self._staging.outputs_url or not href.startswith(base):
            return None
        parts = [unquote(part) for part in href[len(base) :].split("/")]
        if len(parts) != 2 or any(part in {"", ".", ".."} or "/" in part for part in parts):
            raise ReferenceUnavailableError(
                f"{without_secrets(href)} is no output (expected {base}<job>/<file>)"
            )
        return job_key(parts[0], OUTPUTS_FOLDER, parts[1])

    def _from_storage(self, key: str, folder: Path) -> Path:
        _, job_id, _, name = key.split("/")
        try:
            size = self._storage.size(key)
        except NotFoundError as error:
            raise ReferenceUnavailableError(f"job {job_id} has no output {name}") from error
        _check_size(name, size, self._staging.max_input_bytes)
        path, stored = folder / safe_name(name, "input"), self._storage.local_path(key)
        if stored is not None:
            path.symlink_to(stored)
        else:
            with path.open("wb") as file:
                file.writelines(self._storage.open(key))
        logger.info("Took %s of job %s from storage", name, job_id)
        return path

    def _from_folder(self, described: InputSpec, href: str, folder: Path) -> Path:
        """Link to a file of this machine; it is used where it is."""
        parts = urlsplit(href)
        try:
            source = Path(unquote(parts.path)).resolve()
        except ValueError:  # a null byte
            raise ReferenceUnavailableError(f"{href!r} names no file") from None
        allowed = [Path(allowed).resolve() for allowed in self._staging.allowed_folders]
        is_local = parts.netloc in {"", "localhost"}
        if not is_local or not any(source.is_relative_to(root) for root in allowed):
            raise ReferenceUnavailableError(
                f"{href} is not in a folder that inputs may be read from"
            )
        if not source.exists():
            raise ReferenceUnavailableError(f"{href} does not exist")
        if source.is_dir() and described.type != "product":
            raise InputError(f"{href} is a folder, expected a file ({described.type})")
        path = folder / safe_name(address_name(href) or source.name, "input")
        path.symlink_to(source)
        return path


def _is_http(href: str) -> bool:
    return href.lower().startswith(("http://", "https://"))


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
    try:
        check_format(described.type, path)
    except ValueError as error:
        raise InputError(f"{path.name} is not of type {described.type}: {error}") from None


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(
        (Path(parent) / name).stat().st_size
        for parent, _, names in os.walk(path.resolve())
        for name in names
    )
