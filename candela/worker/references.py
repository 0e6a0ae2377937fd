"""From references to files: other jobs' outputs, folders, buckets, web servers."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from candela.contract.addresses import AddressGuard
from candela.contract.documents import read_result
from candela.contract.job import (
    OUTPUTS_FOLDER,
    UPLOADED_FOLDER,
    OutputLiteral,
    Reference,
    Staging,
    job_key,
    upload_key,
)
from candela.contract.names import (
    address_name,
    parts_below,
    safe_name,
    suffix_of,
    without_secrets,
)
from candela.eo.progress import Progress
from candela.eo.raster.images import Source
from candela.errors import (
    InputError,
    NotFoundError,
    ReferenceUnavailableError,
    StorageError,
    TooLargeError,
)
from candela.spec import InputSpec
from candela.storage import Storage, open_storage
from candela.storage.base import checked_key
from candela.worker.download import fetch
from candela.worker.ranged import StoredContent, WebContent

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 2**20  # of a request, if the body stands elsewhere
LONGEST_KEY = 1024  # bytes, of S3
LONGEST_NAME = 255  # bytes, of a file system
BODY = InputSpec(title="The body of a request", type="text")


class Resolver:
    """Gets what references refer to, where that is allowed.

    Parameters
    ----------
    staging : Staging
        Where references may point.
    storage : Storage
        Holds the outputs of other jobs.
    progress : Progress
        Gets the progress of long downloads.
    """

    def __init__(self, staging: Staging, storage: Storage, progress: Progress) -> None:
        self._staging = staging
        self._storage = storage
        self._progress = progress
        self._guard = AddressGuard(staging.allowed_hosts)

    def file(self, described: InputSpec, reference: Reference, folder: Path) -> Path:
        """Put a file, or a link to one, into a folder that is made for it; it keeps its name.

        Raises
        ------
        ReferenceUnavailableError, TooLargeError, InputError
            If it is not allowed, not there, too large or not of the right kind.
        """
        href, scheme = reference.href, _scheme(reference.href)
        _check_address(href)
        folder.mkdir(parents=True)
        key = self._output_key(href)
        if key is not None:
            return self._output(key, folder)
        if scheme == "file":
            return self._from_folder(described, href, folder)
        if scheme == "s3":
            return self._from_bucket(described, href, folder)
        return fetch(
            self._with_body(reference, folder),
            folder,
            guard=self._guard,
            suffix=suffix_of(described.type, reference.type),
            max_bytes=self._staging.max_input_bytes,
            progress=self._progress,
        )

    def _with_body(self, reference: Reference, folder: Path) -> Reference:
        """Return a reference whose body, if it stands elsewhere too, is here."""
        if reference.body_reference is None:
            return reference
        limit = min(MAX_BODY_BYTES, self._staging.max_input_bytes)
        staging = self._staging.model_copy(update={"max_input_bytes": limit})
        resolver = Resolver(staging, self._storage, self._progress)
        href = reference.body_reference
        path = resolver.file(BODY, Reference(href=href), folder.with_name(f"{folder.name}-body"))
        if path.stat().st_size > limit:  # a file is used where it is, whatever its size
            raise TooLargeError(f"{without_secrets(href)} is too large for a body ({limit} bytes)")
        body = path.read_bytes().decode(errors="surrogateescape")
        return reference.model_copy(update={"body": body, "body_reference": None})

    def source(self, described: InputSpec, reference: Reference, folder: Path) -> Source:
        """Return an image that can be looked into, of which as little as possible is fetched.

        Raises
        ------
        ReferenceUnavailableError, TooLargeError, InputError
            As ``file`` does. A web server is not asked before the image is opened.
        """
        href, scheme = reference.href, _scheme(reference.href)
        _check_address(href)
        name = safe_name(address_name(href), "input")
        key, shown = self._output_key(href), without_secrets(href)
        if key is not None and self._storage.local_path(key) is None:
            return Source(shown, name, _stored(self._storage, key, _job_file(key)))
        if scheme == "s3":
            return Source(shown, name, _stored(*self._bucket(href), href))
        if scheme in {"http", "https"} and key is None and reference.method == "GET":
            self._guard.check(href)
            content = WebContent(
                reference, self._guard, lambda: self.file(described, reference, folder)
            )
            return Source(shown, name, content)
        return Source(shown, str(self.file(described, reference, folder)))

    def _output_key(self, href: str) -> str | None:
        """Return the storage key of another job's output, or of an upload, if it is one."""
        places = ((self._staging.outputs_url, "job"), (self._staging.uploads_url, "upload"))
        for address, kind in places:
            parts = parts_below(href, address)
            if parts is None:
                continue
            if kind == "upload":
                key = upload_key(parts[0], UPLOADED_FOLDER, *parts[1:])
            else:
                key = job_key(parts[0], OUTPUTS_FOLDER, *parts[1:])
            if len(parts) != 2 or any("/" in part for part in parts) or not _can_be_key(key):
                raise ReferenceUnavailableError(
                    f"{without_secrets(href)!a} is no stored file "
                    f"(expected {address.rstrip('/')}/<{kind}>/<file>)"
                )
            return key
        return None

    def _output(self, key: str, folder: Path) -> Path:
        stored = self._storage.local_path(key)
        path = folder / safe_name(key.rpartition("/")[2], "input")
        text = self._text_of_value(key)
        if text is not None:
            path.write_text(text, encoding="utf-8")
        elif stored is None:
            self._copy(self._storage, key, path, _job_file(key))
        else:
            self._check_size(_stored_size(self._storage, key, _job_file(key)), path.name)
            path.symlink_to(stored)
        logger.info("Took %s from storage", key)
        return path

    def _text_of_value(self, key: str) -> str | None:
        """Return the text of an output that is a literal; None of one that is a file."""
        room, job_id, _, name = key.split("/")
        result = read_result(self._storage, job_id) if room == "jobs" and "." not in name else None
        made = result.outputs.get(name) if result else None
        if not isinstance(made, OutputLiteral):
            return None
        return str(made.value).lower() if isinstance(made.value, bool) else str(made.value)

    def _from_folder(self, described: InputSpec, href: str, folder: Path) -> Path:
        """Link to a file of this machine; it is used where it is."""
        parts, shown = urlsplit(href), without_secrets(href)
        try:
            source: Path | None = Path(unquote(parts.path)).resolve()
        except ValueError:  # a null byte
            raise ReferenceUnavailableError(f"{shown!a} names no file") from None
        except (OSError, RuntimeError):  # too long, links in a circle
            source = None
        allowed = [Path(allowed).resolve() for allowed in self._staging.allowed_folders]
        is_local = parts.netloc in {"", "localhost"}
        if (
            source is None
            or not is_local
            or not any(source.is_relative_to(root) for root in allowed)
        ):
            raise ReferenceUnavailableError(
                f"{shown} is not in a folder that inputs may be read from"
            )
        try:
            is_there, is_folder = source.exists(), source.is_dir()
        except OSError as error:
            raise ReferenceUnavailableError(f"{shown} cannot be read: {error.strerror}") from None
        if not is_there:
            raise ReferenceUnavailableError(f"{shown} does not exist")
        if is_folder and described.type != "product":
            raise InputError(f"{shown} is a folder, expected a file ({described.type})")
        if is_folder and any(_leads_out(source, allowed)):
            raise ReferenceUnavailableError(
                f"{shown} has links out of the folders that may be read"
            )
        path = folder / safe_name(address_name(href) or source.name, "input")
        path.symlink_to(source)
        return path

    def _from_bucket(self, described: InputSpec, href: str, folder: Path) -> Path:
        """Fetch an object, or for a product all objects below a prefix (a SAFE folder)."""
        bucket, key = self._bucket(href)
        shown = without_secrets(href)
        path = folder / safe_name(key.rpartition("/")[2], "input")
        if described.type != "product" or bucket.exists(key):
            self._copy(bucket, key, path, shown)
            return path
        below = bucket.list(key)
        if not below:
            raise ReferenceUnavailableError(f"{shown} does not exist")
        total = 0
        for each in below:
            part = path / each.removeprefix(f"{key}/")
            part.parent.mkdir(parents=True, exist_ok=True)
            total += self._copy(bucket, each, part, shown)
            self._check_size(total, path.name)
        return path

    def _bucket(self, href: str) -> tuple[Storage, str]:
        """Return the bucket and the key of an ``s3:`` reference, if it is allowed.

        Object keys may hold any character, so nothing is decoded.
        """
        place, shown = href.partition("://")[2].rstrip("/"), without_secrets(href)
        if not any(place.startswith(f"{it.rstrip('/')}/") for it in self._staging.allowed_buckets):
            raise ReferenceUnavailableError(
                f"{shown} is not in a bucket that inputs may be read from"
            )
        bucket, _, key = place.partition("/")
        if not _can_be_key(key):
            raise ReferenceUnavailableError(f"{shown!a} names no object that can be read")
        return open_storage(f"s3://{bucket}"), key

    def _copy(self, storage: Storage, key: str, path: Path, shown: str) -> int:
        size = _stored_size(storage, key, shown)
        self._check_size(size, path.name)
        come = 0

        def report(count: int) -> None:
            nonlocal come
            come += count
            self._progress(0, f"fetching {path.name}: {100 * come / max(size, 1):.0f} %")

        storage.fetch(key, path, report)
        return size

    def _check_size(self, size: int, name: str) -> None:
        limit = self._staging.max_input_bytes
        if size > limit:
            raise TooLargeError(f"{name} has {size} bytes or more, at most {limit} are allowed")


def _scheme(href: str) -> str:
    return href.partition(":")[0].lower()


def _check_address(href: str) -> None:
    try:
        urlsplit(href)
    except ValueError as error:  # brackets
        raise ReferenceUnavailableError(f"{href!a} is no address: {error}") from None


def _can_be_key(key: str) -> bool:
    """Tell whether a storage may have such a key; of others it would say that it fails."""
    try:
        checked_key(key)
        encoded = key.encode()
    except (StorageError, UnicodeEncodeError):
        return False
    names = encoded.split(b"/")
    return len(encoded) <= LONGEST_KEY and max(map(len, names)) <= LONGEST_NAME


def _leads_out(folder: Path, allowed: list[Path]) -> Iterator[Path]:
    """Find links in a folder that lead out of the allowed ones."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() and not any(path.resolve().is_relative_to(it) for it in allowed):
                yield path


def _job_file(key: str) -> str:
    room, owner, _, name = key.split("/")
    return f"output {name} of job {owner}" if room == "jobs" else f"upload {name}"


def _stored(storage: Storage, key: str, shown: str) -> StoredContent:
    try:
        return StoredContent(storage, key)
    except NotFoundError:
        raise ReferenceUnavailableError(f"{shown} does not exist") from None


def _stored_size(storage: Storage, key: str, shown: str) -> int:
    try:
        return storage.size(key)
    except NotFoundError:
        raise ReferenceUnavailableError(f"{shown} does not exist") from None
