"""Layers of a GeoServer.

Each raster has a store, a coverage and a layer of the same name, in the workspace of its owner;
polygons have a store, a feature type and a layer; rasters of a time series are granules of an
image mosaic, too. All that is known of a layer is remembered by its store, which is made first and
removed last: whatever is cut off is found again, completed by the same call, or undone. Workspaces
without the prefix, and stores that remember nothing, are somebody else's and never touched.
"""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from candela.errors import PublicationError, PublisherAwayError
from candela.publish.base import Layer, LayerLinks, ServedLayer, ServedSeries
from candela.publish.geoserver import documents
from candela.publish.geoserver.documents import KINDS, Kind
from candela.publish.geoserver.granules import Granules
from candela.publish.geoserver.mosaic import Mosaics
from candela.publish.geoserver.proof import prove
from candela.publish.geoserver.rest import Document, GeoServerRest, entries, listed
from candela.publish.geoserver.tiles import Tiles
from candela.publish.record import LayerRecord, job_told
from candela.publish.series import Series, all_series
from candela.publish.styles.sld import MEDIA_TYPE

logger = logging.getLogger(__name__)

Mode = Literal["file", "s3", "http"]
Result = TypeVar("Result")

TRIES = 4
FIRST_PAUSE_S = 0.2


@dataclass(frozen=True)
class Site:
    """How a GeoServer is used.

    Attributes
    ----------
    public_url : str
        Its address as clients see it.
    prefix : str
        Of our workspaces.
    mode : {"file", "s3", "http"}
        How GeoServer reads rasters: files in ``folder``, objects of the storage, or the gateway's
        outputs by HTTP; the latter two need its COG extension.
    folder : Path or None
        A folder that the gateway and GeoServer see under the same path, on the file system of the
        results if they are not to be copied. Without one no polygons are shown, and rasters in
        the modes ``s3`` and ``http`` alone.
    outputs_url : str
        Where the gateway serves outputs.
    private : bool
        Whether an owner's workspace is for the role of its name only.
    mosaic_index : str
        datastore.properties of the mosaics.
    """

    public_url: str
    prefix: str = "candela"
    mode: Mode = "file"
    folder: Path | None = None
    outputs_url: str = ""
    private: bool = False
    mosaic_index: str = ""


class GeoServerPublisher:
    """Publishes rasters and polygons on a GeoServer.

    Parameters
    ----------
    rest : GeoServerRest
        The server.
    site : Site
        How it is used.
    first_pause_s : float
        How long to wait before a second try; each further pause is twice as long.
    """

    reads_in_place = False  # it has links, copies or addresses of its own
    is_embedded = False

    def __init__(
        self, rest: GeoServerRest, site: Site, *, first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self.rest = rest
        self.site = site
        self.first_pause_s = first_pause_s
        self.shows_polygons = site.folder is not None
        self.granules = Granules(site.mode, site.folder or Path("published"), site.outputs_url)
        self.mosaics = Mosaics(rest, is_cog=site.mode != "file", datastore=site.mosaic_index)
        self.tiles = Tiles(rest)
        # What stores remember, by workspace, kind and store; None where it is nothing of ours.
        self._known: dict[tuple[str, Kind, str], LayerRecord | None] = {}
        self._unreadable: dict[tuple[str, Kind, str], str] = {}  # stores of ours, with their job
        self._lock = threading.Lock()  # mosaics are changed by one thread of a gateway at a time

    def start(self) -> None:
        """Look whether GeoServer is there; if not, jobs wait until it is."""
        try:
            self.rest.get("rest", "workspaces.json")
            self._forget_private_tiles()
        except PublisherAwayError as error:
            logger.warning("%s; layers are published when it is back", error)
        else:
            logger.info("GeoServer at %s shows layers", self.rest.url)
        if not self.shows_polygons:
            logger.warning(
                "Polygons are not shown: GeoServer reads them in CANDELA_GEOSERVER_FOLDER alone"
            )

    def stop(self) -> None:
        """Release all connections."""
        self.rest.close()

    def publish(self, layer: Layer) -> LayerLinks:
        """Serve the layer by WMS, and by WCS or WFS.

        Raises
        ------
        PublicationError
            If the file cannot be read or shown.
        PublisherAwayError
            If GeoServer does not answer, after several tries.
        """
        record = LayerRecord.of(layer, dt.datetime.now(dt.UTC))
        if record.polygons and not self.shows_polygons:
            raise PublicationError(f"{layer.name} needs the folder CANDELA_GEOSERVER_FOLDER")
        self._persist(lambda: self._publish(record))
        logger.info("Layer %s shows %s", layer.name, layer.path.name)
        return self._links_of(record)

    def remove(self, job_id: str) -> None:
        """Serve the layers of a job no longer."""
        self._persist(lambda: self._remove(job_id))

    def jobs(self) -> set[str]:
        """Return the jobs of which anything is there, even by halves."""
        found = {record.layer.job_id for _, record in self._all_records()}
        return found | {job for job in list(self._unreadable.values()) if job}

    def layers(self) -> list[ServedLayer]:
        """List what is served, in the order of publication."""
        return [
            record.served(self._links_of(record), self._series(record))
            for record in self._served_records()
        ]

    def series(self) -> list[ServedSeries]:
        """List the time series of what is served, by name."""
        records = [r for r in self._served_records() if self._series(r)]
        return [
            series.served(self.links(series.first.layer.owner, series.name))
            for series in all_series(records).values()
        ]

    def unreadable(self) -> list[str]:
        """List the stores that are ours and whose record cannot be read, as of the last look."""
        return sorted(name for _, _, name in list(self._unreadable))

    def ping(self) -> None:
        """Ask GeoServer whether it is there, and give up soon.

        Raises
        ------
        PublisherAwayError
            If it does not answer.
        """
        self.rest.ping()

    def links(self, owner: str, name: str) -> LayerLinks:
        """Return where a layer of a raster, or a series, is served."""
        base = f"{self.site.public_url.rstrip('/')}/{self._workspace(owner)}/{name}"
        return LayerLinks(wms=f"{base}/wms", wcs=f"{base}/wcs")

    def _links_of(self, record: LayerRecord) -> LayerLinks:
        links = self.links(record.layer.owner, record.layer.name)
        return LayerLinks(links.wms, wfs=f"{links.wms[:-3]}wfs") if record.polygons else links

    def _workspace(self, owner: str) -> str:
        return documents.workspace_name(self.site.prefix, owner)

    def _series(self, record: LayerRecord) -> str:
        """Return the series of a layer, where its time can be told to GeoServer."""
        in_name = self.site.mode == "file" or documents.has_time_in_name(record)
        return record.series if in_name else ""

    def _persist(self, action: Callable[[], Result]) -> Result:
        """Do something again from its beginning while GeoServer is away for a moment.

        What is done already is looked up, not done twice.
        """
        for number in range(TRIES - 1):
            try:
                return action()
            except PublisherAwayError as error:
                logger.info("Trying again: %s", error)
                time.sleep(self.first_pause_s * 2**number)
        return action()

    def _publish(self, record: LayerRecord) -> None:
        layer, workspace = record.layer, self._workspace(record.layer.owner)
        self._ensure_workspace(workspace, layer.owner)
        style, sld = documents.style_of(record)
        self._ensure_style(workspace, style, sld)
        url = self.granules.provide(workspace, record)
        was_there = self._ensure_store(workspace, record, url)
        self._ensure_content(workspace, record)
        self.rest.put(
            "rest", "layers", f"{workspace}:{layer.name}",
            document=documents.layer_document(style, workspace),
        )  # fmt: skip
        self._ensure_tiles(layer.owner, f"{workspace}:{layer.name}", changed=was_there)
        if not record.polygons:
            prove(self.rest, workspace, layer.name, record)
        if self._series(record):
            self._ensure_series(workspace, record, url, style)
        self._ensure_group(workspace, record)

    def _ensure_series(self, workspace: str, record: LayerRecord, url: str, style: str) -> None:
        """Make a raster part of its series, which is seen at its time then."""
        with self._lock:
            series = self._members(workspace, record)
            self.mosaics.add(workspace, series, url, style)
            self._ensure_tiles_of_series(workspace, series)
        prove(self.rest, workspace, series.name, record, record.time)

    def _members(self, workspace: str, record: LayerRecord) -> Series:
        """Return the series that a layer belongs to, from all that stores remember."""
        known = {r.layer.name: r for _, r in self._records(workspace)} | {record.layer.name: record}
        return all_series(list(known.values()))[record.series]

    def _ensure_workspace(self, workspace: str, owner: str) -> None:
        if self.rest.get("rest", "workspaces", f"{workspace}.json") is None:
            self.rest.post("rest", "workspaces", document=documents.workspace_document(workspace))
        if self._is_private(owner):
            self._ensure_access(workspace)

    def _ensure_access(self, workspace: str) -> None:
        """Let only the role that is called like the workspace read what is in it."""
        rule, roles = f"{workspace}.*.r", f"{workspace.upper()},ADMIN"
        rules = self.rest.get("rest", "security", "acl", "layers.json") or {}
        if rule not in rules:
            self.rest.post("rest", "security", "acl", "layers", document={rule: roles})
        elif rules[rule] != roles:
            self.rest.put("rest", "security", "acl", "layers", document={rule: roles})

    def _ensure_style(self, workspace: str, name: str, sld: bytes) -> None:
        place = ("rest", "workspaces", workspace, "styles")
        if self.rest.get(*place, f"{name}.json") is None:
            self.rest.send("POST", *place, content=sld, media_type=MEDIA_TYPE, name=name)

    def _ensure_store(self, workspace: str, record: LayerRecord, url: str) -> bool:
        """Make or change the store of a layer; return whether it was there."""
        kind = documents.kind_of(record)
        place = ("rest", "workspaces", workspace, kind.stores)
        found = self.rest.get(*place, f"{record.layer.name}.json")
        before = _record_of((found or {}).get(kind.store) or {})
        if before is not None:
            if self._series(before) not in {"", self._series(record)}:
                self._leave_series(workspace, before)
            # The place in the order of publication is kept.
            record = record.model_copy(update={"published": before.published})
        document = documents.store_document(workspace, record, url)
        if found is None:
            self.rest.post(*place, document=document)
        else:
            if record.polygons:
                document = documents.kept_parameters(document, found)
            self.rest.put(*place, record.layer.name, document=document)
        self._known[workspace, kind, record.layer.name] = documents.remembered(record)
        self._unreadable.pop((workspace, kind, record.layer.name), None)
        return found is not None

    def _leave_series(self, workspace: str, record: LayerRecord) -> bool:
        """Take a layer out of its series; return whether the series is gone with it."""
        if not self._series(record):
            return False
        with self._lock:
            others = [r for _, r in self._records(workspace) if r.layer.name != record.layer.name]
            left = all_series(others).get(record.series)
            url = self.granules.url(workspace, record)
            if self.mosaics.drop(workspace, record.series, url, left):
                return True
            if left is not None:
                self._ensure_tiles_of_series(workspace, left)
            return False

    def _ensure_content(self, workspace: str, record: LayerRecord) -> None:
        """Make the coverage or feature type of a layer, and describe it."""
        name, kind = record.layer.name, documents.kind_of(record)
        place = ("rest", "workspaces", workspace, kind.stores, name, kind.contents)
        found = self.rest.get(*place, f"{name}.json")
        if found is None:
            self._make_content(place, record)
            found = self.rest.get(*place, f"{name}.json") or {}
        document = documents.described(record, found)
        query = {kind.calculate: "nativebbox,latlonbbox"}
        self.rest.put(*place, name, document=document, **query)

    def _make_content(self, place: tuple[str, ...], record: LayerRecord) -> None:
        """Make a coverage or a feature type of what GeoServer finds in the file."""
        name = record.layer.name
        if record.polygons:
            self.rest.post(*place, document=documents.feature_type_document(name))
            return
        there = self.rest.get(*place[:-1], f"{place[-1]}.json", list="all")
        native_names = listed(there, "list", "string")
        if not native_names:
            raise PublicationError(f"GeoServer finds no raster in {record.layer.path.name}")
        self.rest.post(*place, document=documents.coverage_document(name, str(native_names[0])))

    def _is_private(self, owner: str) -> bool:
        return self.site.private and bool(owner)

    def _ensure_tiles(self, owner: str, layer: str, *, changed: bool) -> None:
        """Keep no tiles of private layers, and of others none that are old."""
        if self._is_private(owner):
            self.tiles.forget(layer)
        elif changed:
            self.tiles.truncate(layer)

    def _ensure_tiles_of_series(self, workspace: str, series: Series) -> None:
        layer = f"{workspace}:{series.name}"
        if self._is_private(series.first.layer.owner):
            self.tiles.forget(layer)
        else:
            self.tiles.follow(layer, series.times)

    def _forget_private_tiles(self) -> None:
        """Keep no tiles of what was published before layers were private."""
        if not self.site.private:
            return
        public = self._workspace("")
        for layer in self.tiles.layers():
            workspace = layer.partition(":")[0]
            if workspace.startswith(f"{self.site.prefix}_") and workspace != public:
                self.tiles.forget(layer)

    def _ensure_group(self, workspace: str, record: LayerRecord) -> None:
        """Gather the layers of a job that has several."""
        job_id = record.layer.job_id
        names = [r.layer.name for _, r in self._records(workspace) if r.layer.job_id == job_id]
        if len(names) < 2:
            return
        name, place = documents.group_name(record), ("rest", "workspaces", workspace, "layergroups")
        title = f"{record.layer.process}, job {job_id}"
        document = documents.group_document(workspace, name, title, sorted(names))
        if self.rest.get(*place, f"{name}.json") is None:
            self.rest.post(*place, document=document)
        else:
            self.rest.put(*place, name, document=document)
        self._ensure_tiles(record.layer.owner, f"{workspace}:{name}", changed=True)

    def _remove(self, job_id: str) -> None:
        for workspace, record in list(self._all_records()):
            if record.layer.job_id == job_id:
                self._remove_layer(workspace, record)
                logger.info("Layer %s is removed", record.layer.name)
        for (workspace, kind, name), job in list(self._unreadable.items()):
            if job == job_id:
                place = ("rest", "workspaces", workspace, kind.stores)
                self.rest.delete(*place, name, recurse="true")
                self._unreadable.pop((workspace, kind, name), None)

    def _remove_layer(self, workspace: str, record: LayerRecord) -> None:
        """Remove all of a layer; its store, which remembers it, comes last."""
        place = ("rest", "workspaces", workspace)
        group = documents.group_name(record)
        if self.rest.get(*place, "layergroups", f"{group}.json") is not None:
            self.rest.delete(*place, "layergroups", group)
        is_series_gone = self._leave_series(workspace, record)
        name, kind = record.layer.name, documents.kind_of(record)
        store = (*place, kind.stores, name)
        self.rest.delete(*store, kind.contents, name, recurse="true")
        if not documents.is_shared(record):
            self._remove_styles(workspace, record, all_of_kind=is_series_gone)
        self.granules.withdraw(workspace, record)
        self.rest.delete(*store, recurse="true")
        self._known.pop((workspace, kind, name), None)

    def _remove_styles(self, workspace: str, record: LayerRecord, *, all_of_kind: bool) -> None:
        """Remove the style of a layer, or all that its series may have had, if nobody uses it."""
        names = [documents.style_of(record)[0]]
        place = ("rest", "workspaces", workspace, "styles")
        if all_of_kind:
            there = listed(self.rest.get(*place[:-1], "styles.json"), "styles", "style")
            names = [item["name"] for item in there if documents.is_of_kind(item["name"], record)]
        for name in names:
            if self.rest.delete_unless_used(*place, name, purge="true"):
                # NOTE: purge leaves a copy of the file behind.
                folder = ("rest", "resource", "workspaces", workspace, "styles")
                self.rest.delete(*folder, f"{name}.sld.bak")

    def _served_records(self) -> list[LayerRecord]:
        """Return what has a layer, in the order of publication."""
        found = []
        for workspace in self._workspaces():
            names = set()
            for kind in KINDS:
                document = self.rest.get("rest", "workspaces", workspace, f"{kind.contents}.json")
                names |= {
                    item["name"] for item in listed(document, kind.content_list, kind.content)
                }
            found += [r for _, r in self._records(workspace) if r.layer.name in names]
        return sorted(found, key=lambda record: (record.published, record.layer.name))

    def _all_records(self) -> list[tuple[str, LayerRecord]]:
        return [item for workspace in self._workspaces() for item in self._records(workspace)]

    def _workspaces(self) -> list[str]:
        document = self.rest.get("rest", "workspaces.json")
        names = [str(item["name"]) for item in listed(document, "workspaces", "workspace")]
        return [name for name in names if name.startswith(f"{self.site.prefix}_")]

    def _records(self, workspace: str) -> Iterator[tuple[str, LayerRecord]]:
        """Return what the stores of a workspace remember; each is asked once."""
        for kind in KINDS:
            place = ("rest", "workspaces", workspace, kind.stores)
            document = self.rest.get(*place[:-1], f"{kind.stores}.json")
            names = [str(s["name"]) for s in listed(document, kind.store_list, kind.store)]
            for key in list(self._known):  # other threads change it meanwhile
                if key[:2] == (workspace, kind) and key[2] not in names:
                    self._known.pop(key, None)
                    self._unreadable.pop(key, None)
            for name in names:
                key = (workspace, kind, name)
                if key not in self._known:
                    found = self.rest.get(*place, f"{name}.json") or {}
                    store = found.get(kind.store) or {}
                    self._known[key] = _record_of(store)
                    text = entries(store).get(documents.RECORD_KEY)
                    if text and self._known[key] is None:
                        logger.error("Layer %s:%s is not served: no valid record", workspace, name)
                        self._unreadable[key] = job_told(name, text)
                record = self._known[key]
                if record is not None:
                    yield workspace, record


def _record_of(store: Document) -> LayerRecord | None:
    """Return what a store remembers, or None where it is not ours."""
    text = entries(store).get(documents.RECORD_KEY)
    try:
        return LayerRecord.read(text) if text else None
    except PublicationError:
        return None
