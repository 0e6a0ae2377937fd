"""What is remembered of each layer, on disk: the state from which all map files are made.

<folder>/layers/<name>/layer.json   the layer exists as long as this file does, and can be read
<folder>/layers/<name>/*.map        its services
<folder>/layers.changed             touched with every change
"""

import datetime as dt
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from candela.contract.layers import Range, RasterHeader, VectorHeader
from candela.errors import PublicationError
from candela.layers.polygons import read_vector_header
from candela.layers.rasters import read_header
from candela.publish.base import Layer, LayerLinks, LegendEntry, ServedLayer
from candela.publish.styles import (
    CompositeStyle,
    GreyStyle,
    PolygonStyle,
    Style,
    grey_legend,
    load_style,
)

logger = logging.getLogger(__name__)

LAYER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,199}")
RECORD_FILE = "layer.json"
CHANGE_FILE = "layers.changed"
JOB_IN_NAME = re.compile(r"_([0-9a-f]{8}(?:_[0-9a-f]{4}){3}_[0-9a-f]{12})_")
FALLBACK = "grey"  # a style that every raster can have


class LayerRecord(BaseModel):
    """A layer, the header of its raster or polygons, and when it was published first.

    Attributes
    ----------
    shown : tuple of float or None
        The values from black to white, where the style is grey.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    layer: Layer
    header: RasterHeader | VectorHeader
    shown: Range | None
    published: dt.datetime

    @classmethod
    def of(cls, layer: Layer, published: dt.datetime) -> "LayerRecord":
        """Return the record of a layer; what no worker has said of it is read from its file.

        Raises
        ------
        PublicationError
            If the layer cannot be shown: its name, its style or its file is not fit for it.
        """
        if not LAYER_NAME.fullmatch(layer.name):
            raise PublicationError(
                f"{layer.name!r} is no layer name: a letter, then letters, digits and _"
            )
        if any(ord(character) < 32 for character in str(layer.path)):
            raise PublicationError(f"{str(layer.path)!r} has control characters")
        style = load_style(layer.style)
        header = layer.header
        layer = replace(layer, header=None)
        if isinstance(style, PolygonStyle):
            polygons = (
                header if isinstance(header, VectorHeader) else read_vector_header(layer.path)
            )
            if style.attribute not in polygons.attributes:
                raise PublicationError(
                    f"{layer.path.name} has no attribute {style.attribute!r} for the style "
                    f"{layer.style} (attributes: {', '.join(polygons.attributes)})"
                )
            return cls(layer=layer, header=polygons, shown=None, published=published)
        if not isinstance(header, RasterHeader):
            header = read_header(layer.path)
        if isinstance(style, CompositeStyle) and not _has_bands(header, style):
            # Somebody asked for other bands: a result without colours is better than none.
            layer = replace(layer, style=FALLBACK)
            style = load_style(FALLBACK)
        shown = None
        if isinstance(style, GreyStyle):
            shown = style.range or header.usual[header.band_position(style.band) - 1]
        return cls(layer=layer, header=header, shown=shown, published=published)

    @classmethod
    def read(cls, text: str | bytes) -> "LayerRecord":
        """Read what was kept of a layer.

        Raises
        ------
        PublicationError
            If it is not valid, or asks for a style or band that there is not.
        """
        try:
            record = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise PublicationError(f"the record is not valid: {place}: {first['msg']}") from None
        _check_style(record.style, record.header)
        return record

    @property
    def raster(self) -> RasterHeader:
        """The header, of a layer that is known to show a raster."""
        assert isinstance(self.header, RasterHeader)
        return self.header

    @property
    def polygons(self) -> VectorHeader | None:
        """The header, if the layer shows polygons."""
        return self.header if isinstance(self.header, VectorHeader) else None

    @property
    def time(self) -> dt.datetime | None:
        """When what it shows was seen, where that is known."""
        return None if self.polygons else self.raster.time

    @cached_property
    def series(self) -> str:
        """The name of the time series that the layer is part of; empty if it is part of none."""
        layer = self.layer
        if not (layer.process and layer.output and self.time):
            return ""
        header = self.raster
        kind = re.sub(r"\W", "_", f"{layer.process}_{layer.output}_{header.epsg}")
        rest = (layer.owner, layer.style, header.bands, header.dtype, header.nodata)
        return f"{kind}_{short_hash(repr(rest))}"

    @property
    def style(self) -> Style:
        """The style of the layer."""
        return load_style(self.layer.style)

    @property
    def legend(self) -> tuple[LegendEntry, ...]:
        """What the colours mean."""
        style = self.style
        if isinstance(style, GreyStyle):
            return grey_legend(self.shown or (0, 1))
        return style.legend

    def served(self, links: LayerLinks, series: str = "") -> ServedLayer:
        """Return the layer with all that a map page needs."""
        return ServedLayer(
            **asdict(self.layer),
            time=self.time,
            series=series,
            links=links,
            bounds=self.header.bounds,
            bands=() if self.polygons else self.raster.bands,
            attributes=self.polygons.attributes if self.polygons else (),
            legend=self.legend,
            published=self.published,
        )


def _check_style(style: Style, header: RasterHeader | VectorHeader) -> None:
    """Refuse a style that is for something else than the header tells of."""
    if isinstance(style, PolygonStyle):
        if not isinstance(header, VectorHeader) or style.attribute not in header.attributes:
            raise PublicationError(f"no attribute {style.attribute!r} for its style")
        return
    if not isinstance(header, RasterHeader):
        raise PublicationError("its style is for rasters")
    channels = style.channels if isinstance(style, CompositeStyle) else (style,)
    for channel in channels:
        header.band_position(channel.band)


def job_of_invalid_record(name: str, text: str | bytes) -> str:
    """Return the job of a layer whose record is not valid; nothing where that cannot be told."""
    try:
        return str(json.loads(text)["layer"]["job_id"])
    except (ValueError, RecursionError, LookupError, TypeError):
        found = JOB_IN_NAME.search(name)
        return found[1].replace("_", "-") if found else ""


def short_hash(text: str) -> str:
    """Return eight letters that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _has_bands(header: RasterHeader, style: CompositeStyle) -> bool:
    return {channel.band for channel in style.channels} <= {
        *header.bands,
        *range(1, len(header.bands) + 1),
    }


class LayerStore:
    """The layers in a folder; several processes may share it.

    Parameters
    ----------
    folder : Path
        Made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layers_folder = folder / "layers"
        # By name, with its version; None where it cannot be read.
        self._read: dict[str, tuple[tuple[int, int], LayerRecord | None]] = {}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes and threads from changing layers."""
        self.layers_folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "layers.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def path(self, name: str) -> Path:
        """Return the folder of a layer."""
        return self.layers_folder / name

    def get(self, name: str) -> LayerRecord | None:
        """Return a layer, or None where there is none of that name that can be read."""
        if not LAYER_NAME.fullmatch(name):
            return None
        path = f"{self.layers_folder}/{name}/{RECORD_FILE}"
        try:
            status = os.stat(path)  # noqa: PTH116 - of thousands of layers, time and again
        except OSError:
            self._read.pop(name, None)
            return None
        version = (status.st_mtime_ns, status.st_ino)
        known = self._read.get(name)
        if known is not None and known[0] == version:
            return known[1]
        record = None
        try:
            record = LayerRecord.read(Path(path).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("Layer %s cannot be read now: %s", name, error)
            return None
        except PublicationError as error:
            logger.error("Layer %s is not served, %s: %s", name, path, error)  # noqa: TRY400
        self._read[name] = (version, record)
        return record

    def names(self) -> list[str]:
        """List the layers that are there, whether they can be read or not."""
        return [name for name in self._folders() if self._is_there(name)]

    def unreadable(self) -> list[str]:
        """List the layers that are there but not served, since nobody can read their record.

        They go with their job, or are replaced when it is published again.
        """
        folders = sorted(self._folders())
        return [name for name in folders if self.get(name) is None and self._is_there(name)]

    def records(self) -> list[LayerRecord]:
        """List the layers that can be read, in the order of publication."""
        found = [record for name in self._folders() if (record := self.get(name)) is not None]
        return sorted(found, key=lambda record: (record.published, record.layer.name))

    def _folders(self) -> list[str]:
        try:
            return [entry.name for entry in os.scandir(self.layers_folder)]
        except FileNotFoundError:
            return []

    def _is_there(self, name: str) -> bool:
        return (self.layers_folder / name / RECORD_FILE).exists()

    def job_of(self, name: str) -> str:
        """Return the job of a layer, readable or not; nothing where that cannot be told."""
        record = self.get(name)
        if record is not None:
            return record.layer.job_id
        try:
            return job_of_invalid_record(name, (self.path(name) / RECORD_FILE).read_bytes())
        except OSError:
            return job_of_invalid_record(name, b"")

    def save(self, record: LayerRecord) -> None:
        """Make a layer exist; its map files must be there already."""
        write_whole(self.path(record.layer.name) / RECORD_FILE, record.model_dump_json(indent=1))
        self.mark_changed()

    def hide(self, name: str) -> None:
        """Make a layer exist no longer; its files remain for requests that are under way."""
        path = self.path(name) / RECORD_FILE
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        self.mark_changed()

    def mark_changed(self) -> None:
        """Make everything older that was derived from all layers."""
        path, time_ns = self.folder / CHANGE_FILE, time.time_ns()
        path.touch()
        os.utime(path, ns=(time_ns, time_ns))  # the file system's own clock is coarser

    def last_change(self) -> int:
        """Return when any layer changed last, in nanoseconds; 0 if none ever did."""
        try:
            return (self.folder / CHANGE_FILE).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def clear(self, name: str) -> None:
        """Remove the files of a layer that is hidden."""
        shutil.rmtree(self.path(name), ignore_errors=True)

    def sweep(self) -> None:
        """Remove the files of layers that do not exist."""
        for path in self.layers_folder.iterdir():
            if not (path / RECORD_FILE).exists():
                shutil.rmtree(path, ignore_errors=True)


def write_whole(path: Path, content: str | bytes, *, age: int | None = None) -> None:
    """Write a file so that readers see the old content or the new, never a part.

    Parameters
    ----------
    age : int, optional
        When it shall seem written, in nanoseconds: what it was made of may be older than now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    if age is not None:
        os.utime(part, ns=(age, age))
    part.replace(path)
