"""Open products in ESA's SAFE format: a folder, a folder around it, or a zip file."""

import gzip
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NoReturn
from xml.etree import ElementTree

from candela.eo.archive import MAX_FILES, Archive, is_leftover, open_archive
from candela.errors import InputError

MAX_DOCUMENT_BYTES = 64 * 2**20
_GZIP = b"\x1f\x8b"
# LookupError: the declared encoding is unknown; ValueError: it is of several bytes, or no text.
_XML_DAMAGES = (ElementTree.ParseError, LookupError, ValueError, RecursionError)


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
    archive : Archive or None
        The zip file, if it is one.
    """

    path: Path
    root: str
    sizes: dict[str, int]
    archive: Archive | None

    @property
    def name(self) -> str:
        """The product's folder, or what stands for it."""
        return PurePosixPath(self.root).name or self.path.name

    def location(self, name: str) -> str:
        """Return what GDAL opens for a file of the product."""
        if self.archive is not None:
            return self.archive.location(self.inside(name))
        return str(self.path / self.inside(name))

    def inside(self, name: str) -> str:
        """Return the path of a file of the product below ``path``."""
        return f"{self.root}/{name}" if self.root else name

    def read(self, name: str) -> bytes:
        """Return the content of a document.

        Raises
        ------
        InputError
            If it is damaged, or larger than documents are.
        """
        _check_size(f"{name} in {self.path.name}", self.sizes[name])
        if self.archive is not None:
            return self.archive.read(self.inside(name))
        return (self.path / self.inside(name)).read_bytes()

    def read_xml(self, name: str) -> ElementTree.Element:
        """Return the root element of an XML document; see ``parse_xml``."""
        return parse_xml(self.read(name), f"{name} in {self.path.name}")


def list_files(path: Path) -> Safe:
    """Return all files of a folder or zip file, whatever they are; see ``open_safe``."""
    if path.is_dir():
        return Safe(path, "", dict(_walk(path)), None)
    archive = open_archive(path)
    sizes = {name: member.file_size for name, member in archive.members.items()}
    return Safe(path, "", sizes, archive)


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
    if not path.exists():
        raise InputError(f"{path.name} does not exist")
    listed = list_files(path)
    files, archive = listed.sizes, listed.archive
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
    if archive is not None:
        members = {name: info for name, info in archive.members.items() if name.startswith(prefix)}
        archive = replace(archive, members=members)
        archive.check_methods()
    return Safe(path, roots[0], sizes, archive)


def read_document(path: Path) -> bytes:
    """Return the content of a document that stands alone, alone in a zip file, or in a gzip file.

    Raises
    ------
    InputError
        If it is larger than documents are, or the packed file is damaged or has not one file in it.
    """
    if is_gzip(path):
        return _read_gzip(path)
    if not zipfile.is_zipfile(path):
        _check_size(path.name, path.stat().st_size)
        return path.read_bytes()
    archive = open_archive(path)
    if len(archive.members) != 1:
        found = ", ".join(list(archive.members)[:5]) or "nothing"
        raise InputError(f"{path.name} must have one file in it, found: {found}")
    [name] = archive.members
    _check_size(f"{name} in {path.name}", archive.members[name].file_size)
    archive.check_methods()
    return archive.read(name)


def is_gzip(path: Path) -> bool:
    """Tell whether a file is packed by gzip, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def _read_gzip(path: Path) -> bytes:
    """Unpack a file, but no more of it than a document may have."""
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path.name} is damaged: {error}") from error
    if len(content) > MAX_DOCUMENT_BYTES:
        raise InputError(
            f"{path.name} has more than {MAX_DOCUMENT_BYTES} bytes when unpacked, which no "
            "document has"
        )
    return content


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
    except _XML_DAMAGES as error:
        raise InputError(f"{name} is no well-formed XML: {error}") from error
    except _DoctypeError as error:
        raise InputError(f"{name} declares a document type, which is not accepted") from error


class _DoctypeError(Exception):
    pass


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise _DoctypeError(name, pubid, system)


def _check_size(what: str, size: int) -> None:
    if size > MAX_DOCUMENT_BYTES:
        raise InputError(f"{what} has {size} bytes; a document has at most {MAX_DOCUMENT_BYTES}")


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            count += 1
            if count > MAX_FILES:
                raise InputError(f"{folder.name} has more than {MAX_FILES} files: not a product")
            file = Path(parent, name)
            inside = file.relative_to(folder).as_posix()
            if file.is_file() and not is_leftover(inside):
                yield inside, file.stat().st_size
