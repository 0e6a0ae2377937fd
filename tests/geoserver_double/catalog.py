"""The state of a GeoServer, and what its operations do to it, oddities included."""

import datetime as dt
import io
import json
import re
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import rasterio
from lxml import etree
from rasterio.errors import RasterioIOError
from rasterio.warp import transform_bounds

from geoserver_double import api

Bounds = tuple[float, float, float, float]


class RefusalError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Coverage:
    name: str
    document: dict
    times: tuple[str, ...] = ()  # as advertised: remembered until the reader is thrown away
    bounds: Bounds | None = None  # as advertised: remembered until it is calculated


@dataclass
class Store:
    document: dict
    coverages: dict[str, Coverage] = field(default_factory=dict)
    indexer: dict[str, str] = field(default_factory=dict)
    timeregex: str = ""
    granules: dict[str, dict] = field(default_factory=dict)  # by id

    @property
    def is_mosaic(self) -> bool:
        return self.document["type"] == "ImageMosaic"


@dataclass
class DataStore:
    document: dict
    types: dict[str, dict] = field(default_factory=dict)  # documents by name


@dataclass
class Workspace:
    stores: dict[str, Store] = field(default_factory=dict)
    styles: dict[str, bytes] = field(default_factory=dict)
    groups: dict[str, dict] = field(default_factory=dict)
    datastores: dict[str, DataStore] = field(default_factory=dict)


class Catalog:
    """Workspaces, stores, coverages, layers, styles, groups and rules."""

    def __init__(self) -> None:
        self.workspaces: dict[str, Workspace] = {}
        self.layers: dict[str, dict] = {}  # by workspace:name
        self.rules = {"*.*.r": "*", "*.*.w": "GROUP_ADMIN,ADMIN"}
        self.truncated: list[str] = []
        self.last_granule = 0

    # workspaces

    def workspace(self, name: str) -> Workspace:
        if name not in self.workspaces:
            raise RefusalError(404, f"No such workspace: '{name}' found")
        return self.workspaces[name]

    def add_workspace(self, document: dict) -> str:
        name = document["name"]
        if name in self.workspaces:
            raise RefusalError(409, f"Workspace '{name}' already exists")
        self.workspaces[name] = Workspace()
        return name

    def delete_workspace(self, name: str, *, recurse: bool) -> None:
        place = self.workspace(name)
        if (place.stores or place.datastores) and not recurse:
            raise RefusalError(403, "Workspace not empty")
        for store in list(place.datastores):
            self.delete_datastore(name, store, recurse=True)
        for store in list(self.workspaces[name].stores):
            self.delete_store(name, store, recurse=True)
        del self.workspaces[name]

    # stores

    def store(self, workspace: str, name: str) -> Store:
        stores = self.workspaces[workspace].stores if workspace in self.workspaces else {}
        if name not in stores:
            raise RefusalError(404, f"No such coverage store: {workspace},{name}")
        return stores[name]

    def add_store(self, workspace: str, document: dict) -> str:
        name = document["name"]
        if workspace not in self.workspaces:
            raise RefusalError(500, "Store must be part of a workspace")
        if name in self.workspaces[workspace].stores:
            raise RefusalError(500, f"Store '{name}' already exists in workspace '{workspace}'")
        self.workspaces[workspace].stores[name] = Store(dict(document))
        return name

    def change_store(self, workspace: str, name: str, document: dict) -> None:
        self.store(workspace, name).document.update(document)

    def delete_store(
        self, workspace: str, name: str, *, recurse: bool, purge: str = "none"
    ) -> None:
        store = self.store(workspace, name)
        if store.coverages and not recurse:
            raise RefusalError(401, "coveragestore not empty")
        if purge == "all":
            for granule in store.granules.values():
                Path(granule["location"]).unlink(missing_ok=True)
        for coverage in list(store.coverages):
            self.delete_coverage(workspace, name, coverage, recurse=True)
        del self.workspaces[workspace].stores[name]

    # coverages

    def coverage(self, workspace: str, store: str, name: str) -> Coverage:
        coverages = self.store(workspace, store).coverages
        if name not in coverages:
            raise RefusalError(404, f"No such coverage: {workspace},{store},{name}")
        return coverages[name]

    def add_coverage(self, workspace: str, store_name: str, document: dict) -> str:
        if store_name not in self.workspaces.get(workspace, Workspace()).stores:
            raise RefusalError(500, "coverage store is null")  # a null pointer in GeoServer
        store = self.store(workspace, store_name)
        name = document.get("name")
        if not name:
            raise RefusalError(500, "Resource name must not be null")
        self._check_new_resource(workspace, name)
        native = document.get("nativeCoverageName")
        if store.is_mosaic and not store.granules:
            raise RefusalError(500, "Unable to acquire a reader for this coverage with format")
        if store.is_mosaic and native not in {None, store.indexer["Name"]}:
            raise RefusalError(500, f"The specified coverageName {native} is not supported")
        found = {**_look_at(store), **document, "enabled": True}
        store.coverages[name] = Coverage(name, found)
        self._forget(store, store.coverages[name])
        self._calculate(store, store.coverages[name])
        self.layers[f"{workspace}:{name}"] = {
            "name": name, "type": "RASTER", "defaultStyle": {"name": "raster"}, "enabled": True,
        }  # fmt: skip
        return name

    def change_coverage(
        self, workspace: str, store_name: str, name: str, document: dict, calculate: str
    ) -> None:
        coverage = self.coverage(workspace, store_name, name)
        store = self.store(workspace, store_name)
        coverage.document.update(document)
        self._forget(store, coverage)
        if "nativebbox" in calculate.split(","):
            self._calculate(store, coverage)

    def delete_coverage(self, workspace: str, store: str, name: str, *, recurse: bool) -> None:
        self.coverage(workspace, store, name)
        if f"{workspace}:{name}" in self.layers and not recurse:
            raise RefusalError(403, "coverage referenced by layer(s)")
        self._delete_layer(workspace, name)
        del self.store(workspace, store).coverages[name]

    def _check_new_resource(self, workspace: str, name: str) -> None:
        place = self.workspaces[workspace]
        known = [store.coverages for store in place.stores.values()]
        known += [store.types for store in place.datastores.values()]
        if any(name in contents for contents in known):
            raise RefusalError(
                500, f"Resource named '{name}' already exists in namespace '{workspace}'"
            )

    def _delete_layer(self, workspace: str, name: str) -> None:
        """Remove a layer, and it from groups: those that are empty then go."""
        layer = f"{workspace}:{name}"
        self.layers.pop(layer, None)
        for group in list(self.workspaces[workspace].groups.values()):
            group["publishables"]["published"] = [
                item for item in group["publishables"]["published"] if item["name"] != layer
            ]
            if not group["publishables"]["published"]:
                del self.workspaces[workspace].groups[group["name"]]

    def _forget(self, store: Store, coverage: Coverage) -> None:
        """Throw the reader away: times are read again."""
        entries = (coverage.document.get("metadata") or {}).get("entry") or []
        time = [entry for entry in entries if entry["@key"] == "time"]
        is_shown = bool(time) and time[0]["dimensionInfo"]["enabled"]
        times = {granule["time"] for granule in store.granules.values()}
        coverage.times = tuple(sorted(times)) if is_shown else ()

    def _calculate(self, store: Store, coverage: Coverage) -> None:
        if store.is_mosaic:
            boxes = [granule["bounds"] for granule in store.granules.values()]
        else:
            boxes = [_header(store.document["url"])["bounds"]]
        if not boxes:
            raise RefusalError(500, "Unable to compute the native bounds of an empty mosaic")
        lefts, bottoms, rights, tops = zip(*boxes, strict=True)
        coverage.bounds = (min(lefts), min(bottoms), max(rights), max(tops))

    # mosaics

    def upload(
        self, workspace: str, name: str, method: str, form: str, content: bytes, configure: str
    ) -> None:
        if workspace not in self.workspaces:
            raise RefusalError(500, "Store must be part of a workspace")
        if form == "geotiff":
            self._upload_geotiff(workspace, name, content.decode())
            return
        if form != "imagemosaic" or method != "file":
            raise RefusalError(400, f"Unsupported format: {form}")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {item: archive.read(item).decode() for item in archive.namelist()}
        indexer = dict(
            line.split("=", 1) for line in files["indexer.properties"].splitlines() if "=" in line
        )
        if configure != "none":
            raise RefusalError(500, "Could not list layers for this store, it has no granules")
        document = {"name": name, "type": "ImageMosaic", "url": f"file:data/{workspace}/{name}"}
        store = Store(document, indexer=indexer, timeregex=files["timeregex.properties"].strip())
        self.workspaces[workspace].stores[name] = store

    def _upload_geotiff(self, workspace: str, name: str, url: str) -> None:
        """Configure the first coverage, under the name of the file: that is the default."""
        path = Path(unquote(urlsplit(url).path))
        if not path.exists():
            raise RefusalError(400, f"Failed to locate the input file {url}")
        self.workspaces[workspace].stores.setdefault(
            name, Store({"name": name, "type": "GeoTIFF", "url": url})
        )
        self.add_coverage(workspace, name, {"name": path.stem})

    def harvest(self, workspace: str, name: str, method: str, location: str, *, box: bool) -> None:
        store = self.store(workspace, name)
        if not store.is_mosaic:
            raise RefusalError(
                405, "Coverage store found, but it does not support resource harvesting"
            )
        is_cog = store.indexer.get("Cog") == "true"
        if (method == "remote") != is_cog or method not in {"remote", "external"}:
            raise RefusalError(500, f"cannot harvest {location} as {method}")
        if method == "external":
            location = unquote(urlsplit(location).path)
            if not Path(location).is_file():
                raise RefusalError(400, f"Failed to locate the input file {location}")
        header = {"bounds": (0.0, 0.0, 1.0, 1.0)} if is_cog else _header(location)
        self.last_granule += 1
        store.granules[f"{name}.{self.last_granule}"] = {
            "location": location, "time": _time(store.timeregex, location),
            "bounds": header["bounds"],
        }  # fmt: skip
        if box:
            for coverage in store.coverages.values():
                self._calculate(store, coverage)

    def granules(self, workspace: str, store: str, coverage: str, wanted: str | None) -> dict:
        self.coverage(workspace, store, coverage)
        granules = self.store(workspace, store).granules
        location = _location(wanted)
        return {k: g for k, g in granules.items() if location in {None, g["location"]}}

    def delete_granules(
        self, workspace: str, store: str, coverage: str, wanted: str | None, purge: str
    ) -> None:
        for key, granule in self.granules(workspace, store, coverage, wanted).items():
            if purge == "all":
                Path(granule["location"]).unlink(missing_ok=True)
            del self.store(workspace, store).granules[key]

    # data stores and feature types

    def datastore(self, workspace: str, name: str) -> DataStore:
        stores = self.workspaces[workspace].datastores if workspace in self.workspaces else {}
        if name not in stores:
            raise RefusalError(404, f"No such datastore: {workspace},{name}")
        return stores[name]

    def add_datastore(self, workspace: str, document: dict) -> str:
        """Make a store; whether its file can be read is not looked at yet."""
        name = document["name"]
        if workspace not in self.workspaces:
            raise RefusalError(500, "Store must be part of a workspace")
        if (document.get("workspace") or {"name": workspace})["name"] != workspace:
            raise RefusalError(403, f"Expected workspace {workspace}")
        if name in self.workspaces[workspace].datastores:
            raise RefusalError(500, f"Store '{name}' already exists in workspace '{workspace}'")
        self.workspaces[workspace].datastores[name] = DataStore({**document, "enabled": True})
        return name

    def delete_datastore(self, workspace: str, name: str, *, recurse: bool) -> None:
        store = self.datastore(workspace, name)
        if store.types and not recurse:
            raise RefusalError(403, f"Unable to delete non-empty store '{name}'")
        for type_name in list(store.types):
            self.delete_type(workspace, name, type_name, recurse=True)
        del self.workspaces[workspace].datastores[name]

    def feature_type(self, workspace: str, store: str, name: str) -> dict:
        types = self.datastore(workspace, store).types
        if name not in types:
            raise RefusalError(404, f"No such feature type: {workspace},{store},{name}")
        return types[name]

    def add_type(self, workspace: str, store_name: str, document: dict) -> None:
        """Configure a table; one that is not there would be made, of the attributes given."""
        store, name = self.datastore(workspace, store_name), document.get("name")
        found = _table(store, document.get("nativeName") or name)
        if found is None and not (name and document.get("attributes")):
            raise RefusalError(400, "Trying to create new feature type inside the store")
        if found is None:
            raise RefusalError(500, "attempt to write a readonly database")
        self._check_new_resource(workspace, name)
        store.types[name] = {**found, **document, "enabled": True}
        self.layers[f"{workspace}:{name}"] = {
            "name": name, "type": "VECTOR", "defaultStyle": {"name": "polygon"}, "enabled": True,
        }  # fmt: skip

    def change_type(
        self, workspace: str, store: str, name: str, document: dict, recalculate: str
    ) -> None:
        told = self.feature_type(workspace, store, name)
        told.update(document)
        if "nativebbox" in recalculate.split(","):
            found = _table(self.datastore(workspace, store), told["nativeName"])
            if found is None:
                raise RefusalError(500, "Failed to recalculate the native bounds")
            told["nativeBoundingBox"] = found["nativeBoundingBox"]

    def delete_type(self, workspace: str, store: str, name: str, *, recurse: bool) -> None:
        self.feature_type(workspace, store, name)
        if f"{workspace}:{name}" in self.layers and not recurse:
            raise RefusalError(403, "feature type referenced by layer(s)")
        self._delete_layer(workspace, name)
        del self.datastore(workspace, store).types[name]

    # styles, layers, groups, rules

    def add_style(self, workspace: str, name: str, content: bytes) -> str:
        styles = self.workspace(workspace).styles
        if name in styles:
            raise RefusalError(403, f"Style {name} already exists.")
        try:
            root = etree.fromstring(content)
        except etree.XMLSyntaxError as error:
            raise RefusalError(400, f"Invalid style: {error}") from None
        if etree.QName(root).localname != "StyledLayerDescriptor":
            raise RefusalError(400, "Invalid style: no StyledLayerDescriptor")
        styles[name] = content
        return name

    def delete_style(self, workspace: str, name: str) -> None:
        if name not in self.workspace(workspace).styles:
            raise RefusalError(404, f"Style {name} not found")
        used = {layer["defaultStyle"]["name"].split(":")[-1] for layer in self.layers.values()}
        if name in used:
            raise RefusalError(403, "Can't delete style referenced by existing layers.")
        del self.workspaces[workspace].styles[name]

    def change_layer(self, name: str, document: dict) -> None:
        if name not in self.layers:
            raise RefusalError(500, "null")  # a null pointer in GeoServer
        style = (document.get("defaultStyle") or {}).get("name", "raster")
        workspace, _, plain = style.rpartition(":")
        if workspace and plain not in self.workspace(workspace).styles:
            raise RefusalError(500, f"No such style: {style}")
        self.layers[name].update(document)

    def add_group(self, workspace: str, document: dict) -> str:
        groups = self.workspace(workspace).groups
        members = (document.get("publishables") or {}).get("published") or []
        if not members:
            raise RefusalError(400, "layer group must not be empty")
        if document["name"] in groups or any(m["name"] not in self.layers for m in members):
            raise RefusalError(500, f"Layer group named '{document['name']}' is not valid")
        groups[document["name"]] = document
        return document["name"]

    def delete_group(self, workspace: str, name: str) -> None:
        if name not in self.workspace(workspace).groups:
            raise RefusalError(500, "null")  # a null pointer in GeoServer
        del self.workspaces[workspace].groups[name]

    def set_rules(self, rules: dict[str, str], *, new: bool) -> None:
        if any((rule in self.rules) == new for rule in rules):
            raise RefusalError(409, "a rule exists already" if new else "a rule does not exist")
        self.rules.update(rules)

    def truncate(self, content: bytes) -> None:
        name = etree.fromstring(content).findtext("layerName")
        if name not in self.layers:
            raise RefusalError(400, f"Could not find layer {name}")
        self.truncated.append(name)


def checked(kind: str, body: bytes, *, new: bool) -> dict:
    """Read a document as XStream would: strictly."""
    try:
        document = json.loads(body)[kind]
    except (ValueError, KeyError, TypeError):
        raise RefusalError(400, f"expected a {kind}") from None
    unknown = set(document) - api.PROPERTIES[kind]
    if unknown:
        raise RefusalError(500, f"No such field {kind}.{sorted(unknown)[0]}")
    missing = api.REQUIRED.get(kind, set()) - set(document) if new else set()
    if missing:
        raise RefusalError(400, f"{kind} has no {sorted(missing)[0]}")
    return document


def _header(url: str) -> dict:
    try:
        with rasterio.open(unquote(urlsplit(url).path)) as dataset:
            bounds = tuple(dataset.bounds)
            return {
                "bounds": bounds, "srs": f"EPSG:{dataset.crs.to_epsg()}", "count": dataset.count,
                "nodata": dataset.nodata,
                "degrees": transform_bounds(dataset.crs, "EPSG:4326", *bounds),
            }  # fmt: skip
    except RasterioIOError:
        raise RefusalError(500, "Error auto-configuring coverage") from None


def _table(store: DataStore, table: str | None) -> dict | None:
    """Return what GeoServer finds in a GeoPackage of a table, or None where it has none."""
    entries = store.document["connectionParameters"]["entry"]
    parameters = {entry["@key"]: entry["$"] for entry in entries}
    path = Path(unquote(urlsplit(parameters["database"]).path))
    if parameters["dbtype"] != "geopkg" or not path.is_file():
        raise RefusalError(500, "Failed to find the datastore factory, or to open the database")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        contents = database.execute(
            "SELECT min_x, min_y, max_x, max_y, srs_id FROM gpkg_contents"
            " WHERE data_type = 'features' AND table_name = ?", [table],
        ).fetchone()  # fmt: skip
        if contents is None:
            return None
        columns = database.execute("SELECT name FROM pragma_table_info(?)", [table]).fetchall()
    *box, epsg = contents
    return {
        "nativeName": table, "srs": f"EPSG:{epsg}",
        "nativeBoundingBox": dict(zip(("minx", "miny", "maxx", "maxy"), box, strict=True)),
        "attributes": {"attribute": [{"name": name} for (name,) in columns if name != "fid"]},
    }  # fmt: skip


def _look_at(store: Store) -> dict:
    """Return what GeoServer finds in a raster: bands have names of its own."""
    url = (
        next(iter(store.granules.values()))["location"]
        if store.is_mosaic
        else store.document["url"]
    )
    if not urlsplit(url).path.startswith("/") or url.startswith(("cog:", "s3:", "http")):
        return {"dimensions": {"coverageDimension": [{"name": "GRAY_INDEX"}]}}
    header = _header(url)
    names = ["GRAY_INDEX"] if header["count"] == 1 else [
        f"Band{index}" for index in range(1, header["count"] + 1)
    ]  # fmt: skip
    nodata = header["nodata"]
    null = {} if nodata is None or nodata != nodata else {"nullValues": {"double": [nodata]}}
    return {
        "srs": header["srs"],
        "dimensions": {"coverageDimension": [{"name": name, **null} for name in names]},
    }


def _time(regex: str, location: str) -> str:
    """Return the time in a file's name, as TimestampFileNameExtractorSPI finds it."""
    pattern, _, form = regex.removeprefix("regex=").partition(",format=")
    match = re.search(pattern, Path(location).stem)
    if match is None:
        raise RefusalError(500, f"no time in {location}")
    for java, python in {
        "yyyy": "%Y", "MM": "%m", "dd": "%d", "'T'": "T", "HH": "%H", "mm": "%M", "ss": "%S",
    }.items():  # fmt: skip
        form = form.replace(java, python, 1)
    time = dt.datetime.strptime(match.group(), form).replace(tzinfo=dt.UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S.000Z}"


def _location(wanted: str | None) -> str | None:
    if wanted is None:
        return None
    match = re.fullmatch(r"location\s*=\s*'((?:[^']|'')*)'", wanted)
    if match is None:
        raise RefusalError(400, f"cannot parse {wanted}")
    return match.group(1).replace("''", "'")
