"""Storage: where the files of jobs are kept."""

from candela.errors import StorageError
from candela.storage.base import Storage
from candela.storage.folder import FolderStorage

__all__ = ["Storage", "open_storage"]


def open_storage(url: str) -> Storage:
    """Return the storage at a URL.

    Parameters
    ----------
    url : str
        ``file:///folder``.

    Raises
    ------
    StorageError
        If the URL is of no known kind.
    """
    if url.startswith("file:"):
        return FolderStorage.from_url(url)
    raise StorageError(f"no storage for {url!r} (expected file:///folder)")
