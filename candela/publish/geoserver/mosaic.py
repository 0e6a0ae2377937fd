"""Time series as image mosaics: rasters come and go while the layer is served.

The index of a mosaic, which tells where its rasters are, is a GeoPackage in the mosaic's own folder
in GeoServer's data directory; or what ``datastore.properties`` of the operator says.
"""

import uuid
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from candela.publish.geoserver import documents
from candela.publish.geoserver.rest import Document, GeoServerRest, listed
from candela.publish.series import Series

LONGEST_NAME = 54  # PostgreSQL cuts names of tables after 63 letters; 8 and _ follow


class Place(NamedTuple):
    """Where a mosaic is: its workspace, and the name of its store and coverage."""

    workspace: str
    name: str

    @property
    def store(self) -> tuple[str, ...]:
        """The path of its store."""
        return ("rest", "workspaces", self.workspace, "coveragestores", self.name)

    @property
    def coverage(self) -> tuple[str, ...]:
        """The path of its coverage."""
        return (*self.store, "coverages", self.name)

    @property
    def granules(self) -> tuple[str, ...]:
        """The path of its granules."""
        return (*self.coverage, "index", "granules")

    @property
    def folder(self) -> str:
        """Its folder in the data directory, where GeoServer unpacks uploads."""
        return f"data/{self.workspace}/{self.name}"

    @property
    def index_store(self) -> str:
        """The name of the store of its index."""
        return f"{self.name}_index"


class Mosaics:
    """The mosaics of a GeoServer.

    Parameters
    ----------
    is_cog : bool
        Whether rasters have addresses, not paths.
    datastore : str
        datastore.properties: where their indexes are kept, if not in GeoPackages of their own.
    """

    def __init__(self, rest: GeoServerRest, *, is_cog: bool, datastore: str = "") -> None:
        self._rest = rest
        self._is_cog = is_cog
        self._datastore = datastore

    def add(self, workspace: str, series: Series, url: str, style: str) -> None:
        """Make a raster part of its series; the series is made with the first one."""
        place = Place(workspace, series.name)
        found = self._found(place)
        if found is None:
            self._make(place, url)
            found = self._found(place) or {}
        if not self._has(place, url):  # or another gateway was faster
            self._harvest(place, url)
        # NOTE: this makes GeoServer forget the times and the box that it remembers.
        self._put(place, documents.described_series(series, found))
        self._rest.put(
            "rest", "layers", f"{workspace}:{series.name}",
            document=documents.layer_document(style, workspace),
        )  # fmt: skip

    def drop(self, workspace: str, name: str, url: str, left: Series | None) -> bool:
        """Take a raster out of its series; return whether it was the last, and the series gone."""
        place = Place(workspace, name)
        found = self._found(place)
        if found is None:
            self._clear(place)  # it never was complete
            return True
        self._rest.delete(*place.granules, filter=_is_at(url), purge="none")
        others = self._rest.get(*place.granules[:-1], "granules.json", limit="1")
        if listed({"all": others or {}}, "all", "features"):
            same = {"coverage": {"enabled": True}}
            self._put(place, documents.described_series(left, found) if left else same)
            return False
        self._rest.delete(*place.store, recurse="true", purge="none")
        self._clear(place)
        return True

    def _found(self, place: Place) -> Document | None:
        return self._rest.get(*place.store, "coverages", f"{place.name}.json")

    def _put(self, place: Place, document: Document) -> None:
        self._rest.put(*place.coverage, document=document, calculate="nativebbox,latlonbbox")

    def _make(self, place: Place, url: str) -> None:
        """Make a mosaic of one raster, anew if half of it is there."""
        self._clear(place)
        # A table of that name may be somebody else's, or left from a mosaic that is gone.
        native_name = f"{place.name[:LONGEST_NAME]}_{uuid.uuid4().hex[:8]}"
        content = documents.mosaic_archive(
            native_name, is_cog=self._is_cog, datastore=self._datastore or self._new_index(place)
        )
        self._rest.send(
            "PUT", *place.store, "file.imagemosaic",
            content=content, media_type="application/zip", configure="none",
        )  # fmt: skip
        self._harvest(place, url)
        document = documents.coverage_document(place.name, native_name)
        self._rest.post(*place.store, "coverages", document=document)

    def _new_index(self, place: Place) -> str:
        """Make the store of an index; return the datastore.properties that name it."""
        document = documents.index_store_document(
            place.workspace, place.index_store, f"file:{place.folder}/index.gpkg"
        )
        self._rest.post("rest", "workspaces", place.workspace, "datastores", document=document)
        return f"StoreName={place.workspace}:{place.index_store}"

    def _clear(self, place: Place) -> None:
        """Remove what is left of a mosaic without a coverage: store, index and folder.

        NOTE: ``purge=metadata`` removes the whole database where the index is in PostGIS, and
        fails where it is a store. Without ``recurse`` GeoServer refuses to remove a mosaic that
        another gateway has completed in the meantime. Its folder outlives even the workspace.
        """
        self._rest.delete(*place.store, purge="none")
        if not self._datastore:
            index = ("rest", "workspaces", place.workspace, "datastores", place.index_store)
            self._rest.delete(*index, recurse="true")
        self._rest.delete("rest", "resource", *PurePosixPath(place.folder).parts)

    def _harvest(self, place: Place, url: str) -> None:
        """Add a raster to the index.

        NOTE: since 2.26 GeoServer takes ``file:`` addresses only if its URL checks allow them,
        plain paths always.
        """
        self._rest.send(
            "POST", *place.store, f"{'remote' if self._is_cog else 'external'}.imagemosaic",
            content=_location(url).encode(), media_type="text/plain", updateBBox="true",
        )  # fmt: skip

    def _has(self, place: Place, url: str) -> bool:
        granules = (*place.granules[:-1], "granules.json")
        found = self._rest.get(*granules, filter=_is_at(url), limit="1")
        return bool(listed({"all": found or {}}, "all", "features"))


def _location(url: str) -> str:
    """Return what the index calls the place of a raster: a path or an address."""
    location = url.removeprefix("cog://")
    return unquote(urlsplit(location).path) if location.startswith("file:") else location


def _is_at(url: str) -> str:
    """Write the filter for the granule of a raster."""
    quoted = _location(url).replace("'", "''")
    return f"location = '{quoted}'"
