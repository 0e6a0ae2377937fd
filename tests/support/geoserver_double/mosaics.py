"""Image mosaics, and what is left of them: files in the data directory and tables of indexes.

All was seen on 2.26.0; what is known to differ on 2.21 is told apart by ``version``.
"""

import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from geoserver_double.readers import describe, path_of, read_header, time_in_name
from geoserver_double.refusals import RefusalError

Bounds = tuple[float, float, float, float]
NO_READER = "Failed to create reader from {} and hints Hints:"


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
    database: str = ""  # of the index
    granules: dict[str, dict] = field(default_factory=dict)  # by id
    is_broken: bool = False  # no reader will come any more

    @property
    def is_mosaic(self) -> bool:
        return self.document["type"] == "ImageMosaic"


class Mosaics:
    """The part of a catalog that is about mosaics."""

    version: tuple[int, ...]
    workspaces: dict
    url_checks: list[str]
    resources: set[str]  # files in the data directory
    tables: dict[tuple[str, str], dict]  # granules by database and table
    spoiled: set[tuple[str, str]]  # names for which no mosaic can be made any more
    last_granule: int

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
        if configure != "none":
            raise RefusalError(500, "Could not list layers for this store, it has no granules")
        if (workspace, name) in self.spoiled:
            raise RefusalError(500, "Error while storing uploaded file")
        indexer, index = (
            properties(files.get(f"{kind}.properties", "")) for kind in ("indexer", "datastore")
        )
        self.resources |= {f"data/{workspace}/{name}/{file}" for file in files}
        self.workspaces[workspace].stores[name] = Store(
            {"name": name, "type": "ImageMosaic", "url": f"file:data/{workspace}/{name}"},
            indexer=indexer, timeregex=files["timeregex.properties"].strip(),
            database=index.get("StoreName") or index.get("SPI", ""),
        )  # fmt: skip

    def harvest(self, workspace: str, name: str, method: str, location: str, *, box: bool) -> None:
        store = self.store(workspace, name)
        if not store.is_mosaic:
            raise RefusalError(
                405, "Coverage store found, but it does not support resource harvesting"
            )
        is_cog = store.indexer.get("Cog") == "true"
        if (method == "remote") != is_cog or method not in {"remote", "external"}:
            raise RefusalError(500, f"cannot harvest {location} as {method}")
        if not is_cog:
            self._check_location(location)
            location = path_of(location)
        self._open_index(workspace, name, store)
        self.last_granule += 1
        store.granules[f"{name}.{self.last_granule}"] = {
            "location": location, "time": time_in_name(store.timeregex, location),
            "bounds": read_header(location)["bounds"],
        }  # fmt: skip
        if box:
            for coverage in store.coverages.values():
                self._calculate(store, coverage)

    def _check_location(self, location: str) -> None:
        is_checked = self.version >= (2, 26) and location.startswith("file:")
        is_let = any(re.fullmatch(check, location) for check in self.url_checks)
        if is_checked and not is_let:
            raise RefusalError(400, f"Failed to locate the input file {location}")
        if not Path(path_of(location)).is_file():
            raise RefusalError(500, "Error while storing uploaded file:")

    def _open_index(self, workspace: str, name: str, store: Store) -> None:
        """Make the table of granules, or find the one that is there."""
        index_workspace, _, index = store.database.partition(":")
        database = store.database
        if index:  # a StoreName
            document = self.datastore(index_workspace, index).document
            entries = document["connectionParameters"]["entry"]
            database = {entry["@key"]: entry["$"] for entry in entries}["database"]
            self.resources.add(database.removeprefix("file:"))
        if not database or store.is_broken:
            raise RefusalError(500, NO_READER.format(store.document["url"]))
        table, native_name = (database, store.indexer["Name"]), store.indexer["Name"]
        known = f"data/{workspace}/{name}/{native_name}.properties"
        if table in self.tables and known not in self.resources:
            store.is_broken = True  # as is seen when a coverage is made
        else:
            self.resources.add(known)
        store.granules = self.tables.setdefault(table, store.granules)

    def add_coverage_of_mosaic(self, store: Store, native_name: str) -> dict:
        """Check that a coverage can be made; return what is found in its first raster."""
        if not store.granules:
            store.is_broken = True
        if store.is_broken or native_name != store.indexer["Name"]:
            raise RefusalError(500, "The specified coverageName is unavailable")
        return describe(next(iter(store.granules.values()))["location"])

    def forget_mosaic(self, workspace: str, name: str, store: Store, purge: str) -> None:
        """Do with index and files what the removal of a store does, which is gone already."""
        if purge == "all":
            for granule in store.granules.values():
                Path(granule["location"]).unlink(missing_ok=True)
        if purge in {"all", "metadata"}:
            if not store.database:
                raise RefusalError(500, NO_READER.format(store.document["url"]))
            if ":" in store.database:
                self.spoiled.add((workspace, name))
                raise RefusalError(500, 'because "spi" is null')
            for table in [table for table in self.tables if table[0] == store.database]:
                del self.tables[table]  # the whole database is dropped
            self.delete_resources(f"data/{workspace}/{name}")

    def delete_resources(self, path: str) -> bool:
        """Remove files of the data directory; return whether there were any."""
        gone = {item for item in self.resources if item == path or item.startswith(f"{path}/")}
        self.resources -= gone
        for table in [table for table in self.tables if table[0].removeprefix("file:") in gone]:
            del self.tables[table]
        return bool(gone)

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


def properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _location(wanted: str | None) -> str | None:
    if wanted is None:
        return None
    match = re.fullmatch(r"location\s*=\s*'((?:[^']|'')*)'", wanted)
    if match is None:
        raise RefusalError(400, f"cannot parse {wanted}")
    return match.group(1).replace("''", "'")
