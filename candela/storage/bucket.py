"""Storage in a bucket of any S3 server."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Self

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from candela.errors import NotFoundError, StorageError
from candela.storage.base import checked_key, untold

PIECE_BYTES = 2**20
PART_BYTES = 16 * 2**20  # of files that go and come in parts, some at the same time
CONNECTIONS = 16
MOST_REMOVED = 1000  # objects, by one request
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})

_BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")
_AMAZON = re.compile(r"\.amazonaws\.com(\.cn)?$")
_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES)


class BucketStorage:
    """A storage whose keys are those of objects, below a prefix.

    Credentials, region and server are found in boto3's own ways: ``AWS_...`` variables, files in
    ``~/.aws``, the role of a machine or pod.

    Parameters
    ----------
    bucket : str
        Its name; it must exist.
    prefix : str, optional
        What all keys begin with, without the slash that follows.
    endpoint : str, optional
        The server's address, if it is not found in boto3's ways.
    """

    def __init__(self, bucket: str, prefix: str = "", *, endpoint: str = "") -> None:
        self.bucket = bucket
        self.prefix = f"{checked_key(prefix)}/" if prefix else ""
        with self._reported("open", bucket):
            self._client = _client(endpoint)

    @classmethod
    def from_url(cls, url: str, *, endpoint: str = "") -> Self:
        """Return the storage at ``s3://bucket/prefix``.

        Raises
        ------
        StorageError
            If the URL is not such a one.
        """
        scheme, _, place = url.partition("://")
        bucket, _, prefix = place.rstrip("/").partition("/")
        if scheme != "s3" or not _BUCKET_NAME.fullmatch(bucket):
            raise StorageError(f"{url!r} names no bucket (expected s3://bucket/prefix)")
        return cls(bucket, prefix, endpoint=endpoint)

    @property
    def url(self) -> str:
        """The URL that ``open_storage`` makes the same storage of."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def write(self, key: str, content: bytes) -> None:
        """Store a small file."""
        with self._reported("write", key):
            self._client.put_object(**self._object(key), Body=content)

    def put(self, key: str, path: Path) -> None:
        """Store a file of any size; a large one goes in parts."""
        with self._reported("store", key):
            self._client.upload_file(
                str(path), self.bucket, self._object(key)["Key"], Config=_TRANSFER
            )

    def join(self, key: str, parts: Sequence[str]) -> None:
        """Store what several objects hold, one after the other; the server copies them."""
        target, sources = self._object(key), [self._object(part) for part in parts]
        with self._reported("join", key):
            if len(sources) == 1:  # may be smaller than a part may be
                self._client.copy_object(**target, CopySource=sources[0])
                return
            upload = {
                **target,
                "UploadId": self._client.create_multipart_upload(**target)["UploadId"],
            }
            try:
                copied = [
                    self._client.upload_part_copy(**upload, PartNumber=number, CopySource=source)
                    for number, source in enumerate(sources, 1)
                ]
                told = [
                    {"PartNumber": number, "ETag": each["CopyPartResult"]["ETag"]}
                    for number, each in enumerate(copied, 1)
                ]
                self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": told})
            except (BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**upload)
                raise

    def read(self, key: str) -> bytes:
        """Return a small file."""
        with self._reported("read", key):
            return bytes(self._client.get_object(**self._object(key))["Body"].read())

    def open(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Return the bytes from ``start`` to before ``stop``, in pieces."""
        head = self._head(key)
        size = int(head["ContentLength"])
        stop = size if stop is None else min(stop, size)
        return self._pieces(key, start, stop, head["ETag"])

    def fetch(self, key: str, path: Path, told: Callable[[int], None] = untold) -> None:
        """Copy a file to a path; a large one comes in parts."""
        with self._reported("fetch", key):
            self._client.download_file(
                self.bucket, self._object(key)["Key"], str(path), Callback=told, Config=_TRANSFER
            )

    def size(self, key: str) -> int:
        """Return the number of bytes."""
        return int(self._head(key)["ContentLength"])

    def etag(self, key: str) -> str:
        """Return a word that differs when the content does."""
        return str(self._head(key)["ETag"]).strip('"')

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        try:
            self._head(key)
        except NotFoundError:
            return False
        return True

    def list(self, prefix: str) -> tuple[str, ...]:
        """Return the keys of all files below a folder, sorted.

        Objects of others whose keys are no plain paths (markers of folders, say) are left out.
        """
        with self._reported("list", prefix):
            found = [
                key.removeprefix(self.prefix)
                for page in self._keys(f"{self._object(prefix)['Key']}/")
                for key in page
            ]
        return tuple(sorted(key for key in found if _is_valid(key)))

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the names of the folders right below a folder, sorted."""
        start = f"{self._object(prefix)['Key']}/"
        with self._reported("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=start, Delimiter="/"
            )
            found = [
                each["Prefix"].removeprefix(start).rstrip("/")
                for page in pages
                for each in page.get("CommonPrefixes", ())
            ]
        return tuple(sorted(name for name in found if _is_valid(name)))

    def changed(self, prefix: str) -> float:
        """Return when a file below a folder last changed (seconds since the epoch)."""
        with self._reported("look at", prefix):
            times = [
                each["LastModified"].timestamp()
                for each in self._contents(f"{self._object(prefix)['Key']}/")
            ]
        if not times:
            raise NotFoundError(f"there is no {prefix} in the storage", prefix)
        return float(max(times))

    def sweep(self, before: float, spare: Callable[[str], bool]) -> tuple[str, ...]:
        """Remove what writes that never ended have left, begun before a time; say what it was."""
        swept = []
        with self._reported("sweep", "unfinished uploads"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            uploads = [upload for page in pages for upload in page.get("Uploads", ())]
            for upload in uploads:
                key = upload["Key"].removeprefix(self.prefix)
                if upload["Initiated"].timestamp() < before and not spare(key):
                    self._client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    swept.append(key)
        return tuple(swept)

    def delete(self, prefix: str) -> None:
        """Remove a file, or a folder with all that is below."""
        target = self._object(prefix)
        with self._reported("remove", prefix):
            self._client.delete_object(**target)
            for page in self._keys(f"{target['Key']}/"):
                answer = self._client.delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": key} for key in page], "Quiet": True},
                )
                if answer.get("Errors"):
                    failure = answer["Errors"][0]
                    raise StorageError(f"cannot remove {failure['Key']}: {failure['Message']}")

    def is_lost(self) -> bool:
        """Return False: a bucket that was removed does not answer, and so is away."""
        return False

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002 - the same for all keys
        """Return None: objects are never on this machine's disk."""
        return None

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + checked_key(key)}

    def _head(self, key: str) -> dict[str, Any]:
        with self._reported("look at", key):
            head: dict[str, Any] = self._client.head_object(**self._object(key))
            return head

    def _keys(self, prefix: str) -> Iterator[Sequence[str]]:
        """Return keys, as many at a time as one request may remove."""
        contents = self._contents(prefix)
        while keys := [found["Key"] for found in islice(contents, MOST_REMOVED)]:
            yield keys

    def _contents(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            yield from page.get("Contents", ())

    def _pieces(self, key: str, start: int, stop: int, etag: str) -> Iterator[bytes]:
        if start >= stop:
            return
        with self._reported("read", key):
            answer = self._client.get_object(
                **self._object(key), Range=f"bytes={start}-{stop - 1}", IfMatch=etag
            )
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(PIECE_BYTES)

    @staticmethod
    @contextmanager
    def _reported(verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                raise NotFoundError(f"there is no {key} in the storage", key) from error
            raise StorageError(f"cannot {verb} {key}: {error}") from error
        except (BotoCoreError, Boto3Error, OSError) as error:
            raise StorageError(f"cannot {verb} {key}: {error}") from error


def worker_environment(endpoint: str = "") -> dict[str, str]:
    """Return the variables by which a worker on this machine finds what this process does.

    Credentials that expire are left out: what renews them here (the role of the machine or pod)
    gives the worker its own.

    Parameters
    ----------
    endpoint : str, optional
        The server's address, if it is not found in boto3's ways.
    """
    session = boto3.Session()
    credentials = session.get_credentials()
    found: dict[str, str | None] = {"AWS_DEFAULT_REGION": session.region_name}
    server = str(_client(endpoint).meta.endpoint_url)
    if not _AMAZON.search(server):  # there the region says it better
        found["AWS_ENDPOINT_URL_S3"] = server
    if credentials is not None and not isinstance(credentials, RefreshableCredentials):
        frozen = credentials.get_frozen_credentials()
        found |= {
            "AWS_ACCESS_KEY_ID": frozen.access_key,
            "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
            "AWS_SESSION_TOKEN": frozen.token,
        }
    return {name: value for name, value in found.items() if value}


def _is_valid(key: str) -> bool:
    try:
        checked_key(key)
    except StorageError:
        return False
    return True


@lru_cache
def _client(endpoint: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Return the client of a server; threads may share it."""
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "max_attempts": 4},
        # NOTE: checksums in trailers are beyond many servers; ours (SHA-256) are in result.json.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.Session().client("s3", endpoint_url=endpoint or None, config=config)
