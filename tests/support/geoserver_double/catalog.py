"""The state of a GeoServer, and what its operations do to it, oddities included."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from geoserver_double import api
from geoserver_double.mosaics import Coverage, Mosaics, Store
from geoserver_double.readers import describe, path_of, read_header, read_table, stem
from geoserver_double.refusals import RefusalError
from geoserver_double.tiles import new_tile_layer


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


class Catalog(Mosaics):
    """Workspaces, stores, coverages, layers, styles, groups and rules."""

    def __init__(self, version: tuple[int, ...]) -> None:
        self.version = version
        self.url_checks: list[str] = []
        self.resources: set[str] = set()
        self.tables: dict[tuple[str, str], dict] = {}
        self.spoiled: set[tuple[str, str]] = set()
        self.tile_layers: dict[str, str] = {}  # documents by workspace:name
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
        for store in list(place.stores.values()):
            for coverage in list(store.coverages):
                self._delete_layer(name, coverage)
        del self.workspaces[name]  # the files of mosaics stay

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
        if not document.get("workspace"):
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
        for coverage in list(store.coverages):
            self.delete_coverage(workspace, name, coverage, recurse=True)
        del self.workspaces[workspace].stores[name]
        if store.is_mosaic:
            self.forget_mosaic(workspace, name, store, purge)

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
        name, native_name = document.get("name"), document.get("nativeName")
        if not name:
            raise RefusalError(500, "Resource name must not be null")
        self._check_new_resource(workspace, name)
        native_name = document.get("nativeCoverageName") or native_name
        if not native_name:
            raise RefusalError(500, "Resource native name must not be null")
        if store.is_mosaic:
            found = self.add_coverage_of_mosaic(store, native_name)
        else:
            found = describe(store.document["url"])
            if native_name != stem(store.document["url"]):
                raise RefusalError(500, f"The specified coverageName {native_name}is not supported")
        told = {key: value for key, value in document.items() if key != "title"}
        found = {**found, **told, "title": name, "nativeName": native_name, "enabled": True}
        store.coverages[name] = Coverage(name, found)
        self._forget(store, store.coverages[name])
        self._calculate(store, store.coverages[name])
        self._add_layer(workspace, name, "RASTER", "raster")
        return name

    def native_names(self, workspace: str, store_name: str) -> list[str]:
        """Return what a store's reader could make coverages of."""
        store = self.store(workspace, store_name)
        if store.is_mosaic:
            return [store.indexer["Name"]] if store.granules else []
        try:
            read_header(store.document["url"])
        except RefusalError:
            raise RefusalError(500, "Error getting coverages from coverage reader.") from None
        return [stem(store.document["url"])]

    def _add_layer(self, workspace: str, name: str, kind: str, style: str) -> None:
        layer = f"{workspace}:{name}"
        self.layers[layer] = {
            "name": name, "type": kind, "defaultStyle": {"name": style}, "enabled": True,
        }  # fmt: skip
        self.tile_layers[layer] = new_tile_layer(layer)

    def change_coverage(
        self, workspace: str, store_name: str, name: str, document: dict, calculate: str
    ) -> None:
        store = self.store(workspace, store_name)
        if name not in store.coverages:
            raise RefusalError(404, f"No such coverage: {workspace},{name}")
        coverage = store.coverages[name]
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
        self.tile_layers.pop(layer, None)
        for group in list(self.workspaces[workspace].groups.values()):
            group["publishables"]["published"] = [
                item for item in group["publishables"]["published"] if item["name"] != layer
            ]
            if not group["publishables"]["published"]:
                self.delete_group(workspace, group["name"])

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
            boxes = [read_header(store.document["url"])["bounds"]]
        if not boxes:
            raise RefusalError(500, "Unable to compute the native bounds of an empty mosaic")
        lefts, bottoms, rights, tops = zip(*boxes, strict=True)
        coverage.bounds = (min(lefts), min(bottoms), max(rights), max(tops))

    def _upload_geotiff(self, workspace: str, name: str, url: str) -> None:
        """Configure the first coverage, under the name of the file: that is the default."""
        if not Path(path_of(url)).exists():
            raise RefusalError(400, f"Failed to locate the input file {url}")
        self.workspaces[workspace].stores.setdefault(
            name, Store({"name": name, "type": "GeoTIFF", "url": url})
        )
        self.add_coverage(workspace, name, {"name": stem(url), "nativeName": stem(url)})

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
        entries = [
            *(document.get("connectionParameters") or {}).get("entry", []),
            {"@key": "namespace", "$": f"http://{workspace}"},
        ]
        self.workspaces[workspace].datastores[name] = DataStore(
            {**document, "enabled": True, "connectionParameters": {"entry": entries}}
        )
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
        found = read_table(_parameters(store), document.get("nativeName") or name)
        if found is None and not (name and document.get("attributes")):
            raise RefusalError(
                400,
                "Trying to create new feature type inside the store, but no attributes were given",
            )
        if found is None:
            raise RefusalError(500, "attempt to write a readonly database")
        self._check_new_resource(workspace, name)
        store.types[name] = {**found, **document, "enabled": True}
        self._add_layer(workspace, name, "VECTOR", "polygon")

    def change_type(
        self, workspace: str, store: str, name: str, document: dict, recalculate: str
    ) -> None:
        told = self.feature_type(workspace, store, name)
        told.update(document)
        if "nativebbox" in recalculate.split(","):
            found = read_table(_parameters(self.datastore(workspace, store)), told["nativeName"])
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
        self.resources.add(f"workspaces/{workspace}/styles/{name}.sld.bak")

    def change_layer(self, name: str, document: dict) -> None:
        if name not in self.layers:
            called = "org.geoserver.catalog.LayerInfo.getResource()"
            raise RefusalError(500, f'Cannot invoke "{called}" because "original" is null')
        style = (document.get("defaultStyle") or {}).get("name", "raster")
        workspace, _, plain = style.rpartition(":")
        if workspace and plain not in self.workspace(workspace).styles:
            document = {key: value for key, value in document.items() if key != "defaultStyle"}
        self.layers[name].update(document)

    def add_group(self, workspace: str, document: dict) -> str:
        groups = self.workspace(workspace).groups
        members = (document.get("publishables") or {}).get("published") or []
        if not members:
            raise RefusalError(400, "layer group must not be empty")
        if document["name"] in groups:
            raise RefusalError(500, f"Layer group named '{document['name']}' already exists")
        there = [member for member in members if member["name"] in self.layers]
        groups[document["name"]] = {**document, "publishables": {"published": there}}
        layer = f"{workspace}:{document['name']}"
        self.tile_layers[layer] = new_tile_layer(layer)
        return document["name"]

    def delete_group(self, workspace: str, name: str) -> None:
        if name not in self.workspace(workspace).groups:
            raise RefusalError(500)  # a null pointer in GeoServer
        del self.workspaces[workspace].groups[name]
        self.tile_layers.pop(f"{workspace}:{name}", None)

    def set_rules(self, rules: dict[str, str], *, new: bool) -> None:
        if any((rule in self.rules) == new for rule in rules):
            raise RefusalError(409, "a rule exists already" if new else "a rule does not exist")
        self.rules.update(rules)

    def truncate(self, content: bytes) -> None:
        name = etree.fromstring(content).findtext("layerName")
        if name not in self.tile_layers:
            told = "org.geowebcache.rest.exception.RestException 400 BAD_REQUEST: Could not find"
            raise RefusalError(400, f"{told} layer {name}")
        self.truncated.append(name)


def checked(kind: str, body: bytes, *, new: bool) -> dict:
    """Read a document as XStream would: strictly."""
    try:
        document = json.loads(body)[kind]
    except (ValueError, KeyError, TypeError):
        raise RefusalError(400, f"expected a {kind}") from None
    unknown = set(document) - api.PROPERTIES[kind]
    if unknown and kind != "workspace":
        raise RefusalError(500, f"No such field {kind}.{sorted(unknown)[0]}")
    missing = api.REQUIRED.get(kind, set()) - set(document) if new else set()
    if missing:
        raise RefusalError(400, f"{kind} has no {sorted(missing)[0]}")
    return document


def _parameters(store: DataStore) -> dict[str, str]:
    entries = store.document["connectionParameters"]["entry"]
    return {entry["@key"]: entry["$"] for entry in entries}
