"""The embedded publisher: MapServer on the machine of the gateway."""

import datetime as dt
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from candela.errors import PublicationError
from candela.publish.base import Layer, LayerLinks, ServedLayer
from candela.publish.mapfile import PURPOSES, Purpose, Service, map_text
from candela.publish.record import LayerRecord, LayerStore, write_whole
from candela.publish.server import MapServerProcess

logger = logging.getLogger(__name__)


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
    workers : int, optional
        How many requests are worked on at the same time; by default one for each CPU.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        title: str = "CANDELA",
        abstract: str = "Results of Copernicus processing services",
        workers: int | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.url = f"{url.rstrip('/')}/ows"
        self.title = title
        self.abstract = abstract
        self.store = LayerStore(self.folder)
        self.server = MapServerProcess(self.folder / "server", self.folder, workers=workers)

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
        """Write all map files anew: the address or a style may have changed, a write been lost."""
        with self.store.lock():
            self.store.sweep()
            for record in self.store.records():
                self._write_layer(record)
            self.store.mark_changed()

    def stop(self) -> None:
        """End the server, where this process runs it."""
        self.server.stop()

    def publish(self, layer: Layer) -> LayerLinks:
        """Serve the layer by WMS and WCS.

        Raises
        ------
        PublicationError
            If the raster cannot be read or shown.
        """
        record = LayerRecord.of(layer, dt.datetime.now(dt.UTC))
        with self.store.lock():
            if (known := self.store.get(layer.name)) is not None:
                record = record.model_copy(update={"published": known.published})
            self._write_layer(record)
            self.store.save(record)
        logger.info("Layer %s shows %s", layer.name, layer.path.name)
        return self.links(layer.name)

    def remove(self, job_id: str) -> None:
        """Serve the layers of a job no longer."""
        with self.store.lock():
            names = [r.layer.name for r in self.store.records() if r.layer.job_id == job_id]
            if not names:
                return
            for name in names:
                self.store.hide(name)
            self.store.sweep()
        logger.info("Layers of job %s are removed: %s", job_id, ", ".join(names))

    def layers(self) -> list[ServedLayer]:
        """List what is served, in the order of publication."""
        return [record.served(self.links(record.layer.name)) for record in self.store.records()]

    def links(self, name: str) -> LayerLinks:
        """Return where a layer is served."""
        return LayerLinks(wms=f"{self.url}/{name}/wms", wcs=f"{self.url}/{name}/wcs")

    def has(self, name: str) -> bool:
        """Tell whether a layer is served."""
        return self.store.exists(name)

    def target(self, name: str | None, purpose: Purpose) -> Target:
        """Return where the embedded server answers for a layer, or for all of them (None).

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
        if name is None:
            self._refresh_all()
        return Target(port, self._mapfile(name, purpose))

    def _mapfile(self, name: str | None, purpose: Purpose) -> Path:
        folder = self.folder / "all" if name is None else self.store.path(name)
        return folder / f"{purpose}.map"

    def _write_layer(self, record: LayerRecord) -> None:
        layer = record.layer
        links = self.links(layer.name)
        for purpose in PURPOSES:
            url = links.wcs if purpose == "wcs" else links.wms
            self._write(layer.name, purpose, Service(url, layer.title, layer.abstract), [record])

    def _refresh_all(self) -> None:
        """Write the map files of all layers where layers have changed since.

        This is done when they are asked for, so that publishing does not take longer with every
        layer that is there already.
        """
        if self.store.is_newer_than_changes(self._mapfile(None, PURPOSES[-1])):
            return
        with self.store.lock():
            records = self.store.records()
            service = Service(self.url, self.title, self.abstract)
            for purpose in PURPOSES:
                self._write(None, purpose, service, records)

    def _write(
        self, name: str | None, purpose: Purpose, service: Service, records: Sequence[LayerRecord]
    ) -> None:
        write_whole(self._mapfile(name, purpose), map_text(service, records, purpose))
