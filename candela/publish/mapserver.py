"""The embedded publisher: MapServer on the machine of the gateway."""

import contextlib
import datetime as dt
import json
import logging
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from candela.errors import PublicationError, PublisherAwayError
from candela.publish.base import Layer, LayerLinks, ServedLayer, ServedSeries
from candela.publish.drawing import drawn_raster
from candela.publish.files import provide_features
from candela.publish.mapfile import (
    Provider,
    Purpose,
    SeriesFile,
    Service,
    map_text,
    purposes_of,
    tiles_of,
)
from candela.publish.polygonmap import FEATURES_FILE
from candela.publish.record import (
    LAYER_NAME,
    LayerRecord,
    LayerStore,
    short_hash,
    write_whole,
)
from candela.publish.series import Series, all_series
from candela.publish.server import MapServerProcess
from candela.publish.shapefile import LOCATION_BYTES, shapefile
from candela.publish.styles import DecibelStyle

logger = logging.getLogger(__name__)

ALL, SETS, SERIES = "all", "sets", "series"  # folders of map files
DERIVED = (ALL, SETS, SERIES)
OWNER_FILE = "owner"
DATES_FILE = "dates.json"  # of a series: its layers by date
DRAWN_FILE = "drawn.vrt"  # of a layer that is not drawn as its raster is
SIGNATURE_FILE = "made-by"
INDEX = "rasters"
SERIES_PURPOSES: tuple[Purpose, ...] = ("wms", "info")  # its WCS has the coverages of its layers
NUMBERS = frozenset(
    {
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "MEDIUMINT",
        "INTEGER",
        "FLOAT",
        "DOUBLE",
        "REAL",
    }
)  # types of columns of a GeoPackage
INDEX_AGE_S = 60.0  # how long an index is kept that requests may still read


class Target(NamedTuple):
    """Where the embedded server answers for a service."""

    port: int
    mapfile: Path


class MapServerPublisher:
    """Serves layers by a MapServer of its own, behind the gateway's ``/ows``.

    What is published is kept on disk: another publisher on the same folder, at the same time or
    later, serves the same layers.

    Parameters
    ----------
    folder : Path
        Where the state, the map files and the server's own files stand.
    url : str
        The public address of the gateway; layers are served under ``<url>/ows``.
    title, abstract : str
        What the service of all layers says of itself.
    provider : Provider, optional
        Who answers for the services.
    workers : int, optional
        How many requests are worked on at the same time; by default one for each CPU.
    """

    reads_in_place = True
    shows_polygons = True
    is_embedded = True

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        title: str = "CANDELA",
        abstract: str = "Results of Copernicus processing services",
        provider: Provider | None = None,
        workers: int | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.url = f"{url.rstrip('/')}/ows"
        self.title = title
        self.abstract = abstract
        self.provider = provider or Provider()
        self.store = LayerStore(self.folder)
        self.server = MapServerProcess(
            # NOTE: gateways on several machines may share the folder, but not a loopback address.
            self.folder / "server" / socket.gethostname(),
            self.folder,
            workers=workers,
        )

    def start(self) -> None:
        """Serve what was published before.

        Raises
        ------
        PublicationError
            If MapServer is not installed or does not start.
        """
        self.repair()
        self.server.start()
        logger.info("MapServer serves %s", self.url)

    def repair(self) -> None:
        """Write the map files that a crash left out; all of them, if they would be others now."""
        signature, made_by = self._signature(), self.folder / SIGNATURE_FILE
        with self.store.lock():
            self.store.sweep()
            is_current = False
            with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
                is_current = made_by.read_text(encoding="utf-8") == signature
            for folder in DERIVED:
                shutil.rmtree(self.folder / folder, ignore_errors=True)
            records = self.store.records()
            for record in records:
                if not (is_current and self._is_written(record)):
                    self._write_layer(record)
            for series in indexed(records).values():
                self._write_series(series)
            self.store.mark_changed()
            write_whole(made_by, signature)

    def _signature(self) -> str:
        """Return what map files depend on beside their layer: our address, styles and code."""
        parts = [self.url, self.title, self.abstract, repr(self.provider)]
        for folder in (files("candela.publish"), files("candela.publish.styles")):
            for item in sorted(folder.iterdir(), key=lambda item: item.name):
                if item.name.endswith((".py", ".yaml")):
                    parts.append(item.read_text(encoding="utf-8"))
        return short_hash("\0".join(parts))

    def _is_written(self, record: LayerRecord) -> bool:
        folder = self.store.path(record.layer.name)
        return all((folder / f"{purpose}.map").is_file() for purpose in purposes_of(record))

    def stop(self) -> None:
        """End the server, where this process runs it."""
        self.server.stop()

    def publish(self, layer: Layer) -> LayerLinks:
        """Serve the layer by WMS, and by WCS or WFS.

        Raises
        ------
        PublicationError
            If the file cannot be read or shown.
        """
        record = LayerRecord.of(layer, dt.datetime.now(dt.UTC))
        with self.store.lock():
            known = self.store.get(layer.name)
            if known is not None:
                record = record.model_copy(update={"published": known.published})
            if record.polygons:
                provide_features(layer, self.store.path(layer.name) / FEATURES_FILE)
            self._write_layer(record)
            self.store.save(record)
            self._refresh_series({item.series for item in (record, known) if item})
        logger.info("Published layer %s from %s", layer.name, layer.path.name)
        return self._links_of(record)

    def remove(self, job_id: str) -> None:
        """Serve the layers of a job no longer."""
        with self.store.lock():
            gone = [name for name in self.store.names() if self.store.job_of(name) == job_id]
            if not gone:
                return
            records = [record for name in gone if (record := self.store.get(name))]
            for name in gone:
                self.store.hide(name)
            self._refresh_series({record.series for record in records})
            for name in gone:
                self.store.clear(name)
        logger.info("%d layers of job %s are removed", len(gone), job_id)

    def jobs(self) -> set[str]:
        """Return the ids of the jobs of which anything is there."""
        return {job for name in self.store.names() if (job := self.store.job_of(name))}

    def unreadable(self) -> list[str]:
        """List the layers that are there but cannot be served."""
        return self.store.unreadable()

    def ping(self) -> None:
        """Ask MapServer whether it takes requests.

        Raises
        ------
        PublisherAwayError
            If it does not.
        """
        if not self.server.is_ready():
            raise PublisherAwayError("MapServer does not answer")

    def layers(self) -> list[ServedLayer]:
        """List what is served, in the order of publication."""
        return [
            record.served(self._links_of(record), record.series) for record in self.store.records()
        ]

    def series(self) -> list[ServedSeries]:
        """List the time series of what is served, by name."""
        found = indexed(self.store.records()).values()
        return [series.served(self.links(series.name)) for series in found]

    def links(self, name: str) -> LayerLinks:
        """Return where a layer of a raster, or a series, is served."""
        return LayerLinks(wms=f"{self.url}/{name}/wms", wcs=f"{self.url}/{name}/wcs")

    def _links_of(self, record: LayerRecord) -> LayerLinks:
        name = record.layer.name
        if not record.polygons:
            return self.links(name)
        return LayerLinks(wms=f"{self.url}/{name}/wms", wfs=f"{self.url}/{name}/wfs")

    def serves(self, name: str, purpose: Purpose) -> bool:
        """Tell whether a layer or series that is there has a service."""
        record = self.store.get(name)
        return purpose != "wfs" if record is None else purpose in purposes_of(record)

    def owner(self, name: str) -> str | None:
        """Return whose layer or series this is, or None where there is none of that name."""
        record = self.store.get(name)
        if record is not None:
            return record.layer.owner
        try:
            return (self._series_folder(name) / OWNER_FILE).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def dates(self, name: str) -> dict[dt.datetime, list[str]]:
        """Return the dates of a series in order, with its layers of each; none of a layer."""
        try:
            text = (self._series_folder(name) / DATES_FILE).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return {dt.datetime.fromisoformat(date): names for date, names in json.loads(text).items()}

    def numbers(self, name: str) -> frozenset[str] | None:
        """Return which attributes of a layer of polygons are numbers; None where all values are."""
        record = self.store.get(name)
        if record is None or not record.polygons:
            return None
        path = self.store.path(name) / FEATURES_FILE
        try:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
                columns = file.execute("SELECT name, type FROM pragma_table_info(?)", (name,))
                return frozenset(column for column, kind in columns if kind in NUMBERS)
        except sqlite3.OperationalError:  # just removed
            return frozenset()

    def target(self, names: Sequence[str], purpose: Purpose, owner: str | None = None) -> Target:
        """Return where the embedded server answers for some layers and series.

        Parameters
        ----------
        names : sequence of str
            Those that the answer is about; none of them: all there are.
        owner : str, optional
            Of all layers those of this owner.

        Raises
        ------
        PublicationError
            If the server is away and cannot be started.
        """
        port = self.server.port()
        if port is None:
            self.server.start()
            port = self.server.port()
        if port is None:
            raise PublicationError("MapServer is away")
        return Target(port, self._mapfile(names, purpose, owner))

    def _mapfile(self, names: Sequence[str], purpose: Purpose, owner: str | None) -> Path:
        if len(names) == 1:
            series = self._series_folder(names[0])
            folder = series if series.is_dir() else self.store.path(names[0])
            return folder / f"{purpose}.map"
        return self._derived(names, purpose, owner)

    def _derived(self, names: Sequence[str], purpose: Purpose, owner: str | None) -> Path:
        """Return the map file of several layers, or of all; written where layers have changed.

        This is done when they are asked for, so that publishing does not take longer with every
        layer that is there already.
        """
        kind = SETS if names else ALL
        key = "" if owner is None and not names else short_hash(repr((owner, sorted(names))))
        path = self.folder / kind / (key or "everyone") / f"{purpose}.map"
        changed = self.store.last_change()
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime_ns == changed:
                return path
        mine = [r for r in self.store.records() if owner is None or r.layer.owner == owner]
        series = [item for item in indexed(mine).values() if not names or item.name in names]
        records = [record for record in mine if not names or record.layer.name in names]
        files = [self._with_index(item) for item in series]
        service = self._service(self.url, self.title, self.abstract)
        write_whole(path, map_text(service, records, purpose, files), age=changed)
        return path

    def _service(self, url: str, title: str, abstract: str) -> Service:
        return Service(url, title, abstract, self.store.layers_folder, self.provider)

    def _write_layer(self, record: LayerRecord) -> None:
        layer = record.layer
        links, folder = asdict(self._links_of(record)), self.store.path(layer.name)
        for purpose in purposes_of(record):
            url = links.get(purpose, links["wms"])
            service = self._service(url, layer.title, layer.abstract)
            write_whole(folder / f"{purpose}.map", map_text(service, [record], purpose))
        if isinstance(record.style, DecibelStyle):
            write_whole(folder / DRAWN_FILE, drawn_raster(layer.path, record.style, record.raster))

    def _refresh_series(self, names: set[str]) -> None:
        """Write some series anew; those without a layer go."""
        names = names - {""}
        records = self.store.records() if names else []
        found = indexed([record for record in records if record.series in names])
        for name in names:
            if name in found:
                self._write_series(found[name])
            else:
                shutil.rmtree(self._series_folder(name), ignore_errors=True)

    def _write_series(self, series: Series) -> None:
        file, folder = self._with_index(series), self._series_folder(series.name)
        links = self.links(series.name)
        service = self._service(links.wms, series.title, series.abstract)
        for purpose in SERIES_PURPOSES:
            write_whole(folder / f"{purpose}.map", map_text(service, [], purpose, [file]))
        service = self._service(links.wcs, series.title, series.abstract)
        write_whole(folder / "wcs.map", map_text(service, series.records, "wcs"))
        dates: dict[str, list[str]] = {}
        for record in series.records:
            dates.setdefault((record.time or record.published).isoformat(), []).append(
                record.layer.name
            )
        write_whole(folder / DATES_FILE, json.dumps(dates))
        write_whole(folder / OWNER_FILE, series.first.layer.owner)
        for old in folder.glob(f"{INDEX}-*"):
            if old.stem != file.index.name and time.time() - old.stat().st_mtime > INDEX_AGE_S:
                old.unlink(missing_ok=True)

    def _with_index(self, series: Series) -> SeriesFile:
        """Write the index of a series under a name of its own: requests may be under way."""
        tiles = tiles_of(series)
        if isinstance(series.style, DecibelStyle):  # an index has paths only, and short ones
            drawn = [self.store.path(item.layer.name) / DRAWN_FILE for item in series.records]
            tiles = [
                tile._replace(location=str(path)) for tile, path in zip(tiles, drawn, strict=True)
            ]
        name = f"{INDEX}-{short_hash(repr(tiles))}"
        path = self._series_folder(series.name) / name
        if not path.with_suffix(".shp").exists():
            for suffix, content in reversed(shapefile(tiles).items()):
                write_whole(path.with_suffix(f".{suffix}"), content)
        return SeriesFile(series, path)

    def _series_folder(self, name: str) -> Path:
        return self.folder / SERIES / name if LAYER_NAME.fullmatch(name) else self.folder / "-"


def indexed(records: Sequence[LayerRecord]) -> dict[str, Series]:
    """Gather layers into time series, by name, but for those whose path no index holds."""
    return all_series([r for r in records if len(os.fsencode(r.layer.path)) <= LOCATION_BYTES])
