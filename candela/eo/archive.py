"""Zip files of users: what is in them, under plain names, and what can go wrong in reading them."""

import errno
import lzma
import shutil
import struct
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from candela.eo.file_names import output_file
from candela.errors import InputError

MAX_FILES = 100_000
MAX_TOTAL_BYTES = 64 * 2**30  # unpacked: several times the largest product
MAX_RATIO = 200  # unpacked to packed; XML reaches about 50, images hardly 2
RATIO_MATTERS_BYTES = 16 * 2**20
LEFTOVERS = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})

# What Python's zipfile raises for archives that are damaged or of another kind than it knows.
_DAMAGES = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
)  # fmt: skip - UnicodeError is a ValueError
_PLAIN_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # GDAL reads these in place
_PYTHON_METHODS = _PLAIN_METHODS | {zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_METHOD_NAMES = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard",
    95: "XZ", 98: "PPMd",
}  # fmt: skip


@contextmanager
def blaming_archive(what: str) -> Iterator[None]:
    """Turn whatever is raised for a damaged zip file into an error of the input.

    Parameters
    ----------
    what : str
        What messages say is damaged.
    """
    try:
        yield
    except InputError:
        raise
    except _DAMAGES as error:
        raise InputError(f"{what} is damaged: {error}") from error
    except OSError as error:  # of bzip2 without number; of places that are none with EINVAL
        if error.errno not in {None, errno.EINVAL}:
            raise
        raise InputError(f"{what} is damaged: {error}") from error


@dataclass(frozen=True, eq=False)
class Archive:
    """A zip file that is read in place.

    Attributes
    ----------
    path : Path
    members : dict of str to ZipInfo
        Files by plain names: ``/`` between folders, whatever program packed them.
    """

    path: Path
    members: dict[str, zipfile.ZipInfo]
    _folder: list[Path] = field(default_factory=list, repr=False)

    def read(self, name: str) -> bytes:
        """Return the content of a member.

        Raises
        ------
        InputError
            If it is damaged.
        """
        with blaming_archive(f"{name} in {self.path.name}"), zipfile.ZipFile(self.path) as archive:
            return archive.read(self.members[name])

    def unpack(self, name: str, target: Path) -> None:
        """Write a member to a file; see ``read``."""
        with (
            target.open("wb") as file,
            blaming_archive(f"{name} in {self.path.name}"),
            zipfile.ZipFile(self.path) as archive,
            archive.open(self.members[name]) as packed,
        ):
            shutil.copyfileobj(packed, file, 2**20)

    def location(self, name: str) -> str:
        """Return what GDAL opens for a member.

        What GDAL would find under another name, or cannot unpack, is unpacked into a temporary
        folder, which goes with this object.
        """
        member = self.members[name]
        if member.compress_type in _PLAIN_METHODS and member.filename == name and name.isascii():
            return f"/vsizip/{{{self.path.resolve()}}}/{name}"
        if not self._folder:
            folder = Path(tempfile.mkdtemp(prefix="candela-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._folder.append(folder)
        number = list(self.members).index(name)
        target = output_file(self._folder[0], f"{number}_{PurePosixPath(name).name}")
        if not target.exists():
            self.unpack(name, target)
        return str(target)

    def check_methods(self) -> None:
        """Refuse members that are packed in a way that cannot be read.

        Raises
        ------
        InputError
            With the method.
        """
        for name, member in self.members.items():
            if member.compress_type not in _PYTHON_METHODS:
                number = member.compress_type
                raise InputError(
                    f"{name} in {self.path.name} is packed with "
                    f"{_METHOD_NAMES.get(number, f'method {number}')}, which cannot be read "
                    "(expected Deflate, bzip2 or LZMA): pack it anew, or give the folder"
                )


def open_archive(path: Path) -> Archive:
    """List a zip file, and refuse those that are no products but traps.

    Raises
    ------
    InputError
        If it is no zip file, damaged, encrypted, or dangerous.
    """
    try:
        with blaming_archive(path.name), zipfile.ZipFile(path) as archive:
            infos = [member for member in archive.infolist() if not _is_folder(member)]
    except InputError as error:
        reason = error.message.removeprefix(f"{path.name} is damaged: ")
        raise InputError(
            f"{path.name} is neither a folder nor a readable zip file: {reason}"
        ) from error
    _check_members(path.name, infos)
    members = {_plain_name(member): member for member in infos}
    if len(members) < len(infos):
        raise InputError(f"{path.name} has several members of one name")
    kept = {name: member for name, member in members.items() if not is_leftover(name)}
    return Archive(path, kept)


def is_leftover(name: str) -> bool:
    """Tell whether a file is what an operating system leaves beside others."""
    parts = PurePosixPath(name).parts
    return parts[-1].startswith("._") or not LEFTOVERS.isdisjoint(parts)


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(("/", "\\"))


def _plain_name(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename.replace("\\", "/")).as_posix()


def _check_members(name: str, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise InputError(f"{name} has more than {MAX_FILES} files: not a product")
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise InputError(
            f"{name} has {total} bytes when unpacked; a product has at most {MAX_TOTAL_BYTES}"
        )
    for member in members:
        parts = PurePosixPath(_plain_name(member))
        if parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"{name} has a member outside of itself: {member.filename}")
        if member.flag_bits & 1:
            raise InputError(f"{name} is encrypted")
        size, packed = member.file_size, member.compress_size
        if size > RATIO_MATTERS_BYTES and size > MAX_RATIO * packed:
            raise InputError(
                f"{member.filename} in {name} grows from {packed} to {size} bytes when unpacked: "
                "not a part of a product"
            )
