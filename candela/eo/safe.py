"""Open products in ESA's SAFE format: a folder, a folder around it, or a zip file."""

import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn
from xml.etree import ElementTree

from candela.errors import InputError

MAX_FILES = 100_000
MAX_DOCUMENT_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 64 * 2**30  # unpacked: several times the largest product
MAX_RATIO = 200  # unpacked to packed; XML reaches about 50, images hardly 2
RATIO_MATTERS_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Safe:
    """The files of a product, by their paths below the product's own folder.

    Attributes
    ----------
    path : Path
        The folder or zip file.
    root : str
        Where in it the product lies; empty if it is the product itself.
    sizes : dict of str to int
        Every file of the product and its size in bytes.
    is_archive : bool
        Whether ``path`` is a zip file.
    """

    path: Path
    root: str
    sizes: dict[str, int]
    is_archive: bool

    @property
    def name(self) -> str:
        """The product's folder, or what stands for it."""
        return PurePosixPath(self.root).name or self.path.name

    def location(self, name: str) -> str:
        """Return what GDAL opens for a file of the product."""
        inside = f"{self.root}/{name}" if self.root else name
        if self.is_archive:
            return f"/vsizip/{{{self.path.resolve()}}}/{inside}"
        return str(self.path / inside)

    def read(self, name: str) -> bytes:
        """Return the content of a document.

        Raises
        ------
        InputError
            If it is damaged, or larger than documents are.
        """
        if self.sizes[name] > MAX_DOCUMENT_BYTES:
            raise InputError(
                f"{name} in {self.path.name} has {self.sizes[name]} bytes; "
                f"a document has at most {MAX_DOCUMENT_BYTES}"
            )
        inside = f"{self.root}/{name}" if self.root else name
        if not self.is_archive:
            return (self.path / inside).read_bytes()
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(inside)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise InputError(f"{name} in {self.path.name} is damaged: {error}") from error

    def read_xml(self, name: str) -> ElementTree.Element:
        """Return the root element of an XML document; see ``parse_xml``."""
        return parse_xml(self.read(name), f"{name} in {self.path.name}")


def open_safe(path: Path, marker: re.Pattern[str], expected: str) -> Safe:
    """Find the one product in a folder or zip file.

    Parameters
    ----------
    path : Path
        The product's folder, a folder or zip file that contains it.
    marker : pattern
        Matches the name of a file that every such product has in its own folder.
    expected : str
        How messages call that file.

    Returns
    -------
    Safe

    Raises
    ------
    InputError
        If there is no product, more than one, or the zip file is damaged or dangerous.
    """
    if path.is_dir():
        files, is_archive = dict(_walk(path)), False
    elif path.is_file():
        files, is_archive = _list_archive(path), True
    else:
        raise InputError(f"{path.name} does not exist")
    roots = sorted(
        {
            str(PurePosixPath(name).parent).removeprefix(".")
            for name in files
            if marker.fullmatch(PurePosixPath(name).name)
        }
    )
    if not roots:
        shown = ", ".join(sorted({name.split("/")[0] for name in files})[:5]) or "nothing"
        raise InputError(f"{path.name} has no file {expected} (found: {shown})")
    if len(roots) > 1:
        names = ", ".join(root or path.name for root in roots[:5])
        raise InputError(f"{path.name} has {len(roots)} products, expected one: {names}")
    prefix = f"{roots[0]}/" if roots[0] else ""
    sizes = {
        name.removeprefix(prefix): size for name, size in files.items() if name.startswith(prefix)
    }
    return Safe(path, roots[0], sizes, is_archive)


def parse_xml(text: bytes, name: str) -> ElementTree.Element:
    """Parse XML that comes from outside; document type definitions are refused.

    Without a document type there are no entities, so nothing can expand or point elsewhere.

    Raises
    ------
    InputError
        If it is not well-formed, or has a document type.
    """
    parser = ElementTree.XMLParser(target=_NoDoctype())
    try:
        return ElementTree.fromstring(text, parser)
    except ElementTree.ParseError as error:
        raise InputError(f"{name} is no well-formed XML: {error}") from error
    except _DoctypeError as error:
        raise InputError(f"{name} declares a document type, which is not accepted") from error


class _DoctypeError(Exception):
    pass


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise _DoctypeError(name, pubid, system)


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            count += 1
            if count > MAX_FILES:
                raise InputError(f"{folder.name} has more than {MAX_FILES} files: not a product")
            file = Path(parent, name)
            if file.is_file():
                yield file.relative_to(folder).as_posix(), file.stat().st_size


def _list_archive(path: Path) -> dict[str, int]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path.name} is neither a folder nor a readable zip file: {error}"
        ) from error
    _check_members(path.name, members)
    return {member.filename: member.file_size for member in members}


def _check_members(name: str, members: list[zipfile.ZipInfo]) -> None:
    """Refuse archives that are no products but traps; they are read in place, never unpacked."""
    if len(members) > MAX_FILES:
        raise InputError(f"{name} has more than {MAX_FILES} files: not a product")
    if len({member.filename for member in members}) < len(members):
        raise InputError(f"{name} has several members of one name")
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise InputError(
            f"{name} has {total} bytes when unpacked; a product has at most {MAX_TOTAL_BYTES}"
        )
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
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
