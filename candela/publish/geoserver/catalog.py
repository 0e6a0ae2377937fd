"""What is published in a GeoServer: each store remembers the record of its layer."""

import logging
from collections.abc import Iterator

from candela.errors import PublicationError
from candela.publish.geoserver.documents import KINDS, RECORD_KEY, Kind
from candela.publish.geoserver.rest import Document, GeoServerRest, entries, listed
from candela.publish.record import LayerRecord, job_of_invalid_record

logger = logging.getLogger(__name__)

StoreKey = tuple[str, Kind, str]  # workspace, kind and name of a store


class Catalog:
    """The stores of our workspaces; each is asked once for its record.

    Parameters
    ----------
    rest : GeoServerRest
        The server.
    prefix : str
        What the names of our workspaces begin with.
    """

    def __init__(self, rest: GeoServerRest, prefix: str) -> None:
        self._rest = rest
        self._prefix = prefix
        self._known: dict[StoreKey, LayerRecord | None] = {}  # None: nothing of ours
        self._unreadable: dict[StoreKey, str] = {}  # stores of ours, with their job

    def workspaces(self) -> list[str]:
        """Return the names of our workspaces."""
        document = self._rest.get("rest", "workspaces.json")
        names = [str(item["name"]) for item in listed(document, "workspaces", "workspace")]
        return [name for name in names if name.startswith(f"{self._prefix}_")]

    def records(self, workspace: str) -> Iterator[LayerRecord]:
        """Yield what the stores of a workspace remember."""
        for kind in KINDS:
            names = self._stores(workspace, kind)
            for key in list(self._known):  # other threads change it meanwhile
                if key[:2] == (workspace, kind) and key[2] not in names:
                    self.forget(key)
            for name in names:
                key = (workspace, kind, name)
                if key not in self._known:
                    self._look(key)
                record = self._known[key]
                if record is not None:
                    yield record

    def all_records(self) -> list[tuple[str, LayerRecord]]:
        """Return what all stores remember, with its workspace."""
        return [
            (workspace, record)
            for workspace in self.workspaces()
            for record in self.records(workspace)
        ]

    def served(self) -> list[LayerRecord]:
        """Return what has a layer, in the order of publication."""
        found = []
        for workspace in self.workspaces():
            names = set()
            for kind in KINDS:
                document = self._rest.get("rest", "workspaces", workspace, f"{kind.contents}.json")
                names |= {
                    item["name"] for item in listed(document, kind.content_list, kind.content)
                }
            found += [record for record in self.records(workspace) if record.layer.name in names]
        return sorted(found, key=lambda record: (record.published, record.layer.name))

    def unreadable(self) -> dict[StoreKey, str]:
        """Return the stores of ours without a valid record, as of the last look, by their job."""
        return dict(self._unreadable)

    def remember(self, key: StoreKey, record: LayerRecord) -> None:
        """Note what a store was just given to remember."""
        self._known[key] = record
        self._unreadable.pop(key, None)

    def forget(self, key: StoreKey) -> None:
        """Note that a store is gone."""
        self._known.pop(key, None)
        self._unreadable.pop(key, None)

    def _stores(self, workspace: str, kind: Kind) -> list[str]:
        document = self._rest.get("rest", "workspaces", workspace, f"{kind.stores}.json")
        return [str(store["name"]) for store in listed(document, kind.store_list, kind.store)]

    def _look(self, key: StoreKey) -> None:
        workspace, kind, name = key
        found = self._rest.get("rest", "workspaces", workspace, kind.stores, f"{name}.json") or {}
        store = found.get(kind.store) or {}
        self._known[key] = record_of(store)
        text = entries(store).get(RECORD_KEY)
        if text and self._known[key] is None:
            logger.error("Layer %s:%s is not served: no valid record", workspace, name)
            self._unreadable[key] = job_of_invalid_record(name, text)


def record_of(store: Document) -> LayerRecord | None:
    """Return what a store remembers, or None where it is not ours."""
    text = entries(store).get(RECORD_KEY)
    try:
        return LayerRecord.read(text) if text else None
    except PublicationError:
        return None
