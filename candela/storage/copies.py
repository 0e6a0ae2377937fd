"""Files of a storage on this machine's disk, for programs that read nothing else."""

import shutil
import uuid
from pathlib import Path

from candela.storage.base import Storage, checked_key

SCRATCH = ".scratch"  # copies that are not complete


class LocalCopies:
    """Copies of stored files in a folder; none is made of files that are on a disk already.

    Parameters
    ----------
    storage : Storage
        Where the files are kept.
    folder : Path
        Where the copies are put.
    """

    def __init__(self, storage: Storage, folder: Path) -> None:
        self._storage = storage
        self._folder = folder.resolve()

    def path(self, key: str) -> Path:
        """Return where a stored file can be read; files do not change once they are stored.

        Raises
        ------
        NotFoundError
            If there is no such file.
        StorageError
            If it cannot be copied.
        """
        stored = self._storage.local_path(key)
        if stored is not None:
            return stored
        copy = self._folder / checked_key(key)
        if not copy.is_file():
            unfinished = self._folder / SCRATCH / uuid.uuid4().hex
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._storage.fetch(key, unfinished)
                unfinished.replace(copy)
            finally:
                unfinished.unlink(missing_ok=True)
        return copy

    def remove(self, prefix: str) -> None:
        """Remove the copies below a folder of the storage, if there are any."""
        shutil.rmtree(self._folder / checked_key(prefix), ignore_errors=True)
