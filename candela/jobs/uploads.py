"""Files that users bring, in parts: kept beside those of jobs until nobody needs them.

An upload lives in storage under ``uploads/<id>/``::

    upload-<bytes>.json     what was announced: name, size, checksum, and by whom
    parts/<offset>-<bytes>  what has come so far
    file/<name>             all of it; there as soon as the checksum is right, and the parts go
    jobs/<job>              a job that refers to it

The state is the list of these keys, so every gateway of one storage can take the next part. Who
begins an upload gets a secret that nobody can guess; the id is made of it, so those who see the id
in a job's inputs can neither change nor remove the file. It is of use to its owner alone.
"""

import errno
import hashlib
import json
import logging
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from candela.contract.job import UPLOADED_FOLDER, upload_key
from candela.contract.names import parts_below, safe_name
from candela.errors import (
    BusyError,
    InputError,
    InvalidValueError,
    NotFoundError,
    StorageError,
    TooLargeError,
)
from candela.jobs.principal import Principal
from candela.jobs.references import references
from candela.jobs.request import ExecuteRequest
from candela.storage.base import Storage

logger = logging.getLogger(__name__)

PART_BYTES = 8 * 2**20  # at most, so that a part passes any proxy
LEAST_PART_BYTES = 5 * 2**20  # but of the last part: buckets join no smaller ones
PIECE_BYTES = 2**20
MOST_UPLOADS = 10_000
MOST_HASHES = 64  # of files under way, kept in memory

NO_UPLOAD = "there is no such upload"

_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ANNOUNCED = re.compile(r"upload-([0-9]+)\.json")
_PART = re.compile(r"([0-9]{15})-([0-9]+)")


class OffsetError(InvalidValueError):
    """A part does not begin where the last one ended."""


class FullError(BusyError):
    """There is no room for what is to be uploaded."""


class ChecksumError(InputError):
    """The content is another one than announced."""


class PartUnderWayError(BusyError):
    """A part of the same upload is being stored."""


@dataclass(frozen=True)
class Upload:
    """A file that has come, or is coming.

    Attributes
    ----------
    id : str
        Part of its storage key and of its address.
    size : int
        Bytes that were announced.
    owner : str
        Who announced it.
    offset : int
        Bytes that have come.
    is_complete : bool
        Whether jobs may refer to it.
    """

    id: str
    name: str
    size: int
    sha256: str
    owner: str = ""
    offset: int = 0
    is_complete: bool = False
    parts: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


class Uploads:
    """All uploads of a storage.

    Parameters
    ----------
    storage : Storage
        Where they are kept.
    scratch : Path
        A folder for parts that are coming.
    address : str
        What the addresses of uploaded files begin with, and ends with a slash.
    max_bytes : int
        Upper limit of one file.
    stored_bytes : int
        Upper limit of all files, by the sizes that were announced.
    keep_s : float
        How long an upload is kept after its last change or use.
    """

    def __init__(
        self,
        storage: Storage,
        scratch: Path,
        address: str,
        *,
        max_bytes: int,
        stored_bytes: int,
        keep_s: float,
    ) -> None:
        self._storage = storage
        self._scratch = scratch
        self.address = address
        self.max_bytes = max_bytes
        self._stored_bytes = stored_bytes
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._hashes: dict[str, tuple[int, hashlib._Hash]] = {}

    def create(self, principal: Principal, name: str, size: int, sha256: str) -> str:
        """Begin an upload.

        Returns
        -------
        str
            The secret by which parts are added.

        Raises
        ------
        InvalidValueError, TooLargeError
            If such a file cannot be taken.
        FullError
            If there is no room for it now.
        """
        if size <= 0:
            raise InvalidValueError(f"the size is {size}, expected 1 byte or more", "Upload-Length")
        if size > self.max_bytes:
            raise TooLargeError(
                f"the file has {size} bytes, at most {self.max_bytes} are allowed", "Upload-Length"
            )
        if not _SHA256.fullmatch(sha256):
            raise InvalidValueError(
                f"the checksum is {sha256!r}, expected a SHA-256 of 64 hexadecimal digits",
                "Upload-Metadata",
            )
        secret = secrets.token_hex(24)
        upload = Upload(id_of(secret), safe_name(name, "input"), size, sha256, principal.name)
        told = {"name": upload.name, "size": size, "sha256": sha256, "owner": upload.owner}
        with self._lock:
            self._check_room(size)
            self._storage.write(
                upload_key(upload.id, f"upload-{size}.json"), json.dumps(told).encode()
            )
        return secret

    def _check_room(self, size: int) -> None:
        sizes = [
            int(found[1])
            for key in self._storage.list("uploads")
            if (found := _ANNOUNCED.fullmatch(key.rpartition("/")[2]))
        ]
        if sum(sizes) + size > self._stored_bytes or len(sizes) >= MOST_UPLOADS:
            raise FullError("there is no room for more uploads now; please try again later")

    def find(self, principal: Principal, secret: str) -> Upload:
        """Return an upload by its secret.

        Raises
        ------
        NotFoundError
            If the principal sees none.
        """
        upload = self._find(id_of(secret))
        if not principal.sees(upload.owner):
            raise NotFoundError(NO_UPLOAD)
        return upload

    def _find(self, upload_id: str) -> Upload:
        keys = self._storage.list(upload_key(upload_id))
        names = [key.removeprefix(f"{upload_key(upload_id)}/") for key in keys]
        announced = next((name for name in names if _ANNOUNCED.fullmatch(name)), None)
        if announced is None:
            raise NotFoundError(NO_UPLOAD)
        told = json.loads(self._storage.read(upload_key(upload_id, announced)))
        upload = Upload(
            upload_id, told["name"], told["size"], told["sha256"], told.get("owner", "")
        )
        jobs = tuple(name.removeprefix("jobs/") for name in names if name.startswith("jobs/"))
        if f"{UPLOADED_FOLDER}/{upload.name}" in names:
            return replace(upload, offset=upload.size, is_complete=True, jobs=jobs)
        parts = _contiguous(name.removeprefix("parts/") for name in names if "parts/" in name)
        offset = sum(size for _, size in parts)
        return replace(upload, offset=offset, parts=tuple(name for name, _ in parts), jobs=jobs)

    def append(self, principal: Principal, secret: str, offset: int, content: IO[bytes]) -> Upload:
        """Add a part, and make a file of all parts when the last one has come.

        An empty part at the end of a file tries the latter again.

        Raises
        ------
        NotFoundError
            If there is no such upload.
        OffsetError
            If the part does not begin where the last one ended.
        TooLargeError, InvalidValueError
            If the part is too large or too small.
        ChecksumError
            If the checksum is wrong; then the upload is gone.
        BusyError
            If another part of this upload is just coming.
        FullError, StorageError
            If it cannot be stored.
        """
        with self._alone(id_of(secret)):
            upload = self.find(principal, secret)
            if offset != upload.offset:
                raise OffsetError(
                    f"the part begins at {offset}, expected {upload.offset}", "Upload-Offset"
                )
            if not upload.is_complete:
                upload = self._take(upload, content)
                if upload.offset == upload.size:
                    return self._complete(upload)
            return upload

    @property
    def scratch(self) -> Path:
        """The folder for parts that are coming."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    def _take(self, upload: Upload, content: IO[bytes]) -> Upload:
        left = upload.size - upload.offset
        hasher = self._hash_up_to(upload)
        with _room_reported(), tempfile.NamedTemporaryFile(dir=self.scratch) as part:
            size = 0
            while piece := content.read(PIECE_BYTES):
                size += len(piece)
                if size > min(PART_BYTES, left):
                    limit = f"at most {min(PART_BYTES, left)} are expected"
                    raise TooLargeError(f"the part has {size} bytes or more, {limit}")
                part.write(piece)
                if hasher:
                    hasher.update(piece)
            if size < min(LEAST_PART_BYTES, left):
                least = min(LEAST_PART_BYTES, left)
                raise InvalidValueError(f"the part has {size} bytes, expected {least} or more")
            if not size:
                return upload
            part.flush()
            name = f"{upload.offset:015d}-{size}"
            self._storage.put(upload_key(upload.id, "parts", name), Path(part.name))
        grown = replace(upload, offset=upload.offset + size, parts=(*upload.parts, name))
        if hasher:
            self._hashes[upload.id] = (grown.offset, hasher)
            while len(self._hashes) > MOST_HASHES:
                self._hashes.pop(next(iter(self._hashes)))
        return grown

    def _hash_up_to(self, upload: Upload) -> "hashlib._Hash | None":
        """Return the hash of what has come, if it came through this process."""
        if upload.offset == 0:
            return hashlib.sha256()
        offset, hasher = self._hashes.pop(upload.id, (0, None))
        return hasher if offset == upload.offset else None

    def _complete(self, upload: Upload) -> Upload:
        offset, hasher = self._hashes.pop(upload.id, (0, None))
        keys = [upload_key(upload.id, "parts", name) for name in upload.parts]
        if hasher is None or offset != upload.size:  # came through another gateway, or long ago
            hasher = hashlib.sha256()
            for key in keys:
                for piece in self._storage.open(key):
                    hasher.update(piece)
        if hasher.hexdigest() != upload.sha256:
            self._storage.delete(upload_key(upload.id))
            raise ChecksumError(
                f"the checksum of {upload.name} is {hasher.hexdigest()}, "
                f"announced was {upload.sha256}; the upload is removed"
            )
        with _room_reported():
            self._storage.join(upload_key(upload.id, UPLOADED_FOLDER, upload.name), keys)
        self._storage.delete(upload_key(upload.id, "parts"))
        logger.info("Upload %s is complete: %s, %s bytes", upload.id, upload.name, upload.size)
        return replace(upload, is_complete=True, parts=())

    def delete(self, principal: Principal, secret: str) -> None:
        """Remove an upload.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        with self._alone(id_of(secret)):
            self._storage.delete(upload_key(self.find(principal, secret).id))

    def url(self, upload: Upload) -> str:
        """Return the address by which jobs refer to a file; nothing answers there."""
        return f"{self.address}{upload.id}/{upload.name}"

    def claim(self, principal: Principal, request: ExecuteRequest, job_id: str) -> None:
        """Keep the uploads that a job refers to until it has ended; raises as ``check``."""
        for upload in self._used(principal, request):
            self._storage.write(upload_key(upload, "jobs", job_id), b"")

    def check(self, principal: Principal, request: ExecuteRequest) -> None:
        """Check that the uploads that a request refers to may be used.

        Raises
        ------
        InvalidValueError
            If an address is that of no complete upload that the principal sees.
        """
        for _ in self._used(principal, request):
            pass

    def _used(self, principal: Principal, request: ExecuteRequest) -> Iterator[str]:
        """Yield the uploads that a request refers to."""
        for name, href in references(request):
            parts = parts_below(href, self.address)
            if parts is None:
                continue
            if not self._is_usable(principal, parts):
                raise InvalidValueError(
                    f"there is no upload {href}, or it is not complete; it may have "
                    "expired: please send the file again",
                    name,
                )
            yield parts[0]

    def _is_usable(self, principal: Principal, parts: Sequence[str]) -> bool:
        if len(parts) != 2 or not _ID.fullmatch(parts[0]):
            return False
        try:
            upload = self._find(parts[0])
        except NotFoundError:
            return False
        return upload.is_complete and upload.name == parts[1] and principal.sees(upload.owner)

    def remove_expired(self, alive: Callable[[Collection[str]], bool]) -> None:
        """Remove what nobody has changed or used for too long.

        Parameters
        ----------
        alive : callable
            Whether one of some jobs has not ended.
        """
        for upload_id in self._storage.folders("uploads"):
            try:
                if time.time() - self._storage.changed(upload_key(upload_id)) < self._keep_s:
                    continue
                upload = self._find(upload_id)
                if not alive(upload.jobs):
                    logger.info("Upload %s has expired", upload_id)
                    self._storage.delete(upload_key(upload_id))
            except NotFoundError:  # of an announcement that was never written, or just removed
                self._storage.delete(upload_key(upload_id))
            except StorageError as error:
                logger.warning("Upload %s cannot be checked: %s", upload_id, error)

    @contextmanager
    def _alone(self, upload_id: str) -> Iterator[None]:
        """Take one part of an upload at a time; who comes meanwhile is sent away."""
        with self._lock:
            if upload_id in self._busy:
                raise PartUnderWayError("a part of this upload is just being stored")
            self._busy.add(upload_id)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(upload_id)


def id_of(secret: str) -> str:
    """Return the id of an upload; nobody learns the secret from it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


def _contiguous(names: Iterable[str]) -> list[tuple[str, int]]:
    """Return the parts, with their sizes, that follow each other from the beginning."""
    found: list[tuple[str, int]] = []
    end = 0
    for name in sorted(names):
        match = _PART.fullmatch(name)
        if match and int(match[1]) == end:
            found.append((name, int(match[2])))
            end += int(match[2])
    return found


@contextmanager
def _room_reported() -> Iterator[None]:
    """Tell a full disk from one that does not work."""
    try:
        yield
    except (OSError, StorageError) as error:
        cause = error.__cause__ if isinstance(error, StorageError) else error
        if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise FullError("the disk of the storage is full; please try again later") from error
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"a part of an upload cannot be written: {error}") from error
