"""The outputs of a job."""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from candela.client.display import Table, html_table
from candela.client.errors import MissingPackageError, OutputFormError
from candela.client.status import OutputValue
from candela.client.transport import Transport

if TYPE_CHECKING:
    import rasterio
    from xarray import DataArray

LAYER_TYPES = frozenset({"application/x-ogc-wms", "application/x-ogc-wcs", "application/x-ogc-wfs"})
CHUNK_BYTES = 2**20


@dataclass(frozen=True, repr=False)
class Output:
    """One output of a job: a file at an address, or a value.

    Attributes
    ----------
    href : str, optional
        The address of the file.
    value : object
        The value, where there is no file.
    media_type : str
        Of the file.
    size : int, optional
        Of the file, in bytes.
    """

    name: str
    media_type: str
    href: str | None
    value: Any
    size: int | None
    transport: Transport

    @classmethod
    def of(cls, name: str, value: OutputValue, transport: Transport) -> "Output":
        """Return an output of a status document."""
        return cls(name, value.media_type, value.href, value.value, value.size, transport)

    def __repr__(self) -> str:
        return f"<Output {self.name}: {self.href if self.href else repr(self.value)}>"

    def _repr_html_(self) -> str:
        size = "" if self.size is None else f", {self.size / 1e6:.1f} MB"
        rows = [("file" if self.href else "value", self.href or repr(self.value))]
        return html_table(
            Table(f"{self.name} ({self.media_type or 'value'}{size})", ("", ""), rows)
        )

    def _repr_png_(self) -> bytes | None:
        """Let a notebook show a picture."""
        return self.read() if self.media_type == "image/png" else None

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return unquote(urlsplit(self._address()).path.rsplit("/", 1)[-1]) or self.name

    def open(self) -> "rasterio.DatasetReader":
        """Open the image where it is: only the parts that are read are fetched.

        Returns
        -------
        rasterio.DatasetReader
            To be closed by the caller, best with ``with``.

        Raises
        ------
        OutputFormError
            If it is no image.
        MissingPackageError
            If rasterio is not installed.
        """
        try:
            import rasterio
        except ModuleNotFoundError:
            raise MissingPackageError("opening an image", "rasterio", "notebook") from None

        address, options = self._for_gdal()
        try:
            with rasterio.Env(**options):
                return rasterio.open(address)
        except rasterio.errors.RasterioIOError as error:
            raise OutputFormError(f"output {self.name!r} is no image: {error}") from error

    def xarray(self) -> "DataArray":
        """Open the image as a lazy array with coordinates; nodata is NaN."""
        try:
            import rasterio
            import rioxarray
        except ModuleNotFoundError:
            raise MissingPackageError("an array of an image", "rioxarray", "notebook") from None

        address, options = self._for_gdal()
        with rasterio.Env(**options):
            array: DataArray = rioxarray.open_rasterio(address, masked=True)
        return array

    def to_xarray(self) -> "DataArray":
        """Open the image as a lazy array; the same as ``xarray``."""
        return self.xarray()

    def download(self, path: Path | str = "./") -> Path:
        """Write the content to a file or into a folder, by default this one; as ``save``."""
        return self.save(path)

    def read(self) -> bytes:
        """Return the content."""
        return b"".join(self._chunks())

    def text(self) -> str:
        """Return the content as text."""
        return self.read().decode("utf-8")

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Return the content as what the JSON says.

        Raises
        ------
        OutputFormError
            If it is no JSON.
        """
        if self.href is None and not isinstance(self.value, str | bytes):
            return self.value
        try:
            return json.loads(self.text())
        except ValueError as error:
            raise OutputFormError(f"output {self.name!r} is no JSON: {error}") from error

    def save(self, path: Path | str) -> Path:
        """Write the content to a file, or into a folder (``results/``) under its own name.

        The file appears when it is complete: a broken download leaves nothing behind.

        Returns
        -------
        Path
            The file.
        """
        target = Path(path)
        if target.is_dir() or str(path).endswith("/"):
            target = target / (self.file_name if self.href else f"{self.name}.txt")
        target.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        part = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                for chunk in self._chunks():
                    file.write(chunk)
            part.chmod(0o644)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return target

    def _for_gdal(self) -> tuple[str, dict[str, str]]:
        """Return the address for GDAL, and its options."""
        address = self._address()
        options: dict[str, str] = {}
        if not address.lower().startswith("file:"):
            address, options = self.transport.for_gdal(address)
        # Side-car files would be looked for with one request each; results have none.
        return address, {**options, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}

    def _chunks(self) -> Iterator[bytes]:
        if self.href is None:
            if isinstance(self.value, bytes):
                yield self.value
                return
            yield (self.value if isinstance(self.value, str) else json.dumps(self.value)).encode()
        elif self.href.lower().startswith("file:"):
            with Path(unquote(urlsplit(self.href).path)).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        else:
            with self.transport.stream(self.href) as chunks:
                yield from chunks

    def _address(self) -> str:
        if self.href is None:
            raise OutputFormError(f"output {self.name!r} is a value, not a file: {self.value!r}")
        return self.href
