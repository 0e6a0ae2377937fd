"""Time series as image mosaics: rasters come and go while the layer is served."""

from urllib.parse import unquote, urlsplit

from candela.publish.geoserver import documents
from candela.publish.geoserver.rest import Document, GeoServerRest, listed
from candela.publish.series import Series


class Mosaics:
    """The mosaics of a GeoServer.

    Parameters
    ----------
    is_cog : bool
        Whether rasters have addresses, not paths.
    datastore : str
        datastore.properties: where their indexes are kept.
    """

    def __init__(self, rest: GeoServerRest, *, is_cog: bool, datastore: str = "") -> None:
        self._rest = rest
        self._is_cog = is_cog
        self._datastore = datastore

    def add(self, workspace: str, series: Series, url: str, style: str) -> None:
        """Make a raster part of its series; the series is made with the first one."""
        store = ("rest", "workspaces", workspace, "coveragestores", series.name)
        coverage = (*store, "coverages", f"{series.name}.json")
        found = self._rest.get(*coverage)
        if found is None:
            self._make(store, series.name, url)
            found = self._rest.get(*coverage) or {}
        if not self._has(store, series.name, url):  # or another gateway was faster
            self._harvest(store, url)
        self._refresh(store, series, found)
        self._rest.put(
            "rest", "layers", f"{workspace}:{series.name}",
            document=documents.layer_document(style, workspace),
        )  # fmt: skip

    def drop(self, workspace: str, name: str, url: str) -> bool:
        """Take a raster out of its series; return whether it was the last, and the series gone."""
        store = ("rest", "workspaces", workspace, "coveragestores", name)
        coverage = (*store, "coverages", f"{name}.json")
        if self._rest.get(*coverage) is None:
            self._rest.delete(*store, purge="metadata")  # it never was complete
            return True
        index = (*store, "coverages", name, "index")
        self._rest.delete(*index, "granules", filter=_is_at(url), purge="none")
        left = self._rest.get(*index, "granules.json", limit="1")
        if listed({"all": left or {}}, "all", "features"):
            self._rest.put(
                *store, "coverages", name,
                document={"coverage": {"enabled": True}}, calculate="nativebbox,latlonbbox",
            )  # fmt: skip
            return False
        self._rest.delete(*store, recurse="true", purge="metadata")  # not its rasters
        return True

    def _make(self, store: tuple[str, ...], name: str, url: str) -> None:
        """Make a mosaic of one raster, anew if half of it is there.

        NOTE: without ``recurse`` GeoServer refuses to remove a mosaic that another gateway has
        completed in the meantime.
        """
        self._rest.delete(*store, purge="metadata")
        content = documents.mosaic_archive(name, is_cog=self._is_cog, datastore=self._datastore)
        self._rest.send(
            "PUT", *store, "file.imagemosaic",
            content=content, media_type="application/zip", configure="none",
        )  # fmt: skip
        self._harvest(store, url)
        document = documents.coverage_document(name, name)
        self._rest.post(*store, "coverages", document=document)

    def _harvest(self, store: tuple[str, ...], url: str) -> None:
        way = "remote" if self._is_cog else "external"
        location = url.removeprefix("cog://")
        self._rest.send(
            "POST", *store, f"{way}.imagemosaic",
            content=location.encode(), media_type="text/plain", updateBBox="true",
        )  # fmt: skip

    def _has(self, store: tuple[str, ...], name: str, url: str) -> bool:
        granules = (*store, "coverages", name, "index", "granules.json")
        found = self._rest.get(*granules, filter=_is_at(url), limit="1")
        return bool(listed({"all": found or {}}, "all", "features"))

    def _refresh(self, store: tuple[str, ...], series: Series, found: Document) -> None:
        """Make GeoServer forget the times and the box that it remembers."""
        document = documents.described_series(series, found)
        query = {"calculate": "nativebbox,latlonbbox"}
        self._rest.put(*store, "coverages", series.name, document=document, **query)


def _is_at(url: str) -> str:
    """Write the filter for the granule of a raster."""
    location = url.removeprefix("cog://")
    if location.startswith("file:"):
        location = unquote(urlsplit(location).path)
    quoted = location.replace("'", "''")
    return f"location = '{quoted}'"
