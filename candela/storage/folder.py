"""Storage in a folder of this machine, or of a network file system."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from candela.errors import NotFoundError, StorageError
from candela.storage.base import checked_key, untold

PIECE_BYTES = 2**20
SCRATCH = ".scratch"  # unfinished and removed files; on the same file system as the keys
MARKER = ".candela-storage"  # tells this storage from another one in its place
LOST = "the storage {root} was removed or replaced: put it back, or restart the gateway"


class FolderStorage:
    """A storage whose keys are paths below a folder.

    Parameters
    ----------
    root : Path
        The folder.
    make : bool, optional
        Whether it is made if it does not exist.
    """

    def __init__(self, root: Path, *, make: bool = True) -> None:
        self.root = root.resolve()
        self._scratch = self.root / SCRATCH
        self._marker = self.root / MARKER
        self._identity = b""
        if not make and not self._scratch.is_dir():
            raise StorageError(f"there is no storage {root}")
        with self._reported("make", str(root)):
            self._scratch.mkdir(parents=True, exist_ok=True)
            self._identity = self._marked()

    @classmethod
    def from_url(cls, url: str, *, make: bool = True) -> "FolderStorage":
        """Return the storage at ``file:///folder``."""
        parts = urlsplit(url)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or len(path.parts) < 2:
            raise StorageError(f"{url!r} names no folder (expected file:///folder)")
        return cls(path, make=make)

    @property
    def url(self) -> str:
        """The URL that ``open_storage`` makes the same storage of."""
        return self.root.as_uri()

    def write(self, key: str, content: bytes) -> None:
        """Store a small file."""
        path = self._path(key)
        self._refuse_lost()
        with self._reported("write", key), self._scratch_file() as unfinished:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._move(unfinished, path)

    def put(self, key: str, path: Path) -> None:
        """Store a file of any size, without a copy where the file system allows it."""
        target = self._path(key)
        self._refuse_lost()
        with self._reported("store", key), self._scratch_file() as unfinished:
            try:
                unfinished.hardlink_to(path)
            except OSError:  # another file system, or one without links
                shutil.copyfile(path, unfinished)
            self._move(unfinished, target)

    def join(self, key: str, parts: Sequence[str]) -> None:
        """Store what several files hold, one after the other."""
        target = self._path(key)
        self._refuse_lost()
        with self._reported("join", key), self._scratch_file() as unfinished:
            with unfinished.open("wb") as whole:
                for part in parts:
                    with self._path(part).open("rb") as file:
                        shutil.copyfileobj(file, whole, PIECE_BYTES)
                whole.flush()
                os.fsync(whole.fileno())
            self._move(unfinished, target)

    def read(self, key: str) -> bytes:
        """Return a small file."""
        with self._reported("read", key):
            return self._path(key).read_bytes()

    def open(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Return the bytes from ``start`` to before ``stop``, in pieces."""
        size = self.size(key)
        return self._pieces(key, start, size if stop is None else min(stop, size))

    def fetch(self, key: str, path: Path, told: Callable[[int], None] = untold) -> None:
        """Copy a file to a path."""
        with path.open("wb") as file:
            for piece in self.open(key):
                told(file.write(piece))

    def size(self, key: str) -> int:
        """Return the number of bytes."""
        return self._stat(key).st_size

    def etag(self, key: str) -> str:
        """Return a word that differs when the content does."""
        status = self._stat(key)
        return f"{status.st_mtime_ns:x}-{status.st_size:x}"

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return self._path(key).is_file()

    def list(self, prefix: str) -> tuple[str, ...]:
        """Return the keys of all files below a folder, sorted."""
        folder = self._path(prefix)
        return tuple(
            sorted(
                (Path(parent) / name).relative_to(self.root).as_posix()
                for parent, _, names in os.walk(folder)
                for name in names
            )
        )

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the names of the folders right below a folder, sorted."""
        folder = self._path(prefix)
        if not folder.is_dir():
            return ()
        with self._reported("list", prefix), os.scandir(folder) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir()))

    def changed(self, prefix: str) -> float:
        """Return when a folder, or a file below it, last changed (seconds since the epoch)."""
        folder = self._path(prefix)
        with self._reported("look at", prefix):
            return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))

    def sweep(
        self,
        before: float,
        spare: Callable[[str], bool],  # noqa: ARG002 - unfinished files have no key yet
    ) -> tuple[str, ...]:
        """Remove what writes that never ended have left, begun before a time; say what it was."""
        swept = []
        with self._reported("sweep", SCRATCH):
            for path in self._scratch.iterdir():
                # NOTE: not st_mtime, which a link to a file shares with the file.
                if path.lstat().st_ctime < before:
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                    swept.append(path.name)
        return tuple(swept)

    def delete(self, prefix: str) -> None:
        """Remove a file, or a folder with all that is below."""
        path, removed = self._path(prefix), self._unfinished()
        with self._reported("remove", prefix):
            try:
                path.rename(removed)  # at once, so that nobody sees half a folder
            except FileNotFoundError:
                return
            if removed.is_dir():
                shutil.rmtree(removed)
            else:
                removed.unlink()

    def local_path(self, key: str) -> Path | None:
        """Return where the file is, or would be."""
        return self._path(key)

    def is_lost(self) -> bool:
        """Whether the folder is not the one that was opened: removed, or replaced by another."""
        try:
            return self._marker.read_bytes() != self._identity
        except FileNotFoundError:
            return bool(self._identity) or not self._scratch.is_dir()
        except OSError:  # away, which is told elsewhere
            return False

    def _marked(self) -> bytes:
        """Return what the marker says, and make it if there is none yet and room for one."""
        if not self._marker.exists():
            # A full disk, or somebody is faster.
            with suppress(OSError), self._scratch_file() as unfinished:
                unfinished.write_text(uuid.uuid4().hex)
                self._marker.hardlink_to(unfinished)
        return self._marker.read_bytes() if self._marker.exists() else b""

    def _refuse_lost(self) -> None:
        if self.is_lost():
            raise StorageError(LOST.format(root=self.root))

    def _path(self, key: str) -> Path:
        path = self.root / checked_key(key)
        if not path.resolve().is_relative_to(self.root) or key.split("/")[0] in {SCRATCH, MARKER}:
            raise StorageError(f"{key!r} leads out of the storage")
        return path

    def _unfinished(self) -> Path:
        return self._scratch / uuid.uuid4().hex

    def _stat(self, key: str) -> os.stat_result:
        path = self._path(key)
        with self._reported("look at", key):
            if path.is_dir():
                raise FileNotFoundError(path)
            return path.stat()

    def _pieces(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        with self._reported("read", key), self._path(key).open("rb") as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(PIECE_BYTES, stop - start))):
                start += len(piece)
                yield piece

    @contextmanager
    def _scratch_file(self) -> Iterator[Path]:
        """Return a name for an unfinished file; nothing of it stays, also on a full disk."""
        unfinished = self._unfinished()
        try:
            yield unfinished
        finally:
            # NOTE: a link replaced by another link to the same file stays (rename(2)).
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    @staticmethod
    def _move(unfinished: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.replace(path)

    @contextmanager
    def _reported(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            self._refuse_lost()
            raise NotFoundError(f"there is no {key} in the storage", key) from error
        except OSError as error:
            raise StorageError(f"cannot {verb} {key}: {error}") from error
