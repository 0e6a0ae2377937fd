"""Storage: where the files of jobs are kept."""

from candela.errors import StorageError
from candela.storage.base import Storage
from candela.storage.folder import FolderStorage

__all__ = ["Storage", "open_storage"]


def open_storage(url: str, *, endpoint: str = "", make: bool = True) -> Storage:
    """Return the storage at a URL.

    Parameters
    ----------
    url : str
        ``file:///folder`` or ``s3://bucket/prefix``.
    endpoint : str, optional
        The address of the S3 server, if it is not found in boto3's own ways.
    make : bool, optional
        Whether a folder that is not there is made.

    Raises
    ------
    StorageError
        If the URL is of no known kind.
    """
    if url.startswith("file:"):
        return FolderStorage.from_url(url, make=make)
    if url.startswith("s3:"):
        from candela.storage.bucket import BucketStorage  # boto3 takes a while to import

        return BucketStorage.from_url(url, endpoint=endpoint)
    raise StorageError(f"no storage for {url!r} (expected file:///folder or s3://bucket/prefix)")
