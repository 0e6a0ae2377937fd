"""A copy of some objects of a cluster, kept up to date by one list and watch.

The model is the reflector of client-go and kubespawner: list, watch from there on, list again when
the watch is told that it is too old, and now and then anyway.
"""

import json
import logging
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from candela.backoff import Backoff

logger = logging.getLogger(__name__)

WATCH_S = 300  # then everything is listed again, in case a watch has missed something
CONNECT_S = 5.0
SILENCE_S = 45.0  # a watch without even a bookmark for so long is taken for broken
BACKOFF = Backoff(0.2, 15.0)

Object = Mapping[str, Any]


class Reflector:
    """Follows what one list call of the API returns.

    Parameters
    ----------
    name : str
        For the log.
    list_objects : callable
        A list method of the API, with all arguments but those of the watch; it must return the
        answer as it came (``_preload_content=False``).
    group_of : callable
        Tells to which group an object belongs; it may change.
    changed : callable, optional
        Is told after each change, in the thread that follows.
    """

    def __init__(
        self,
        name: str,
        list_objects: Callable[..., Any],
        *,
        group_of: Callable[[Object], str],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._list = list_objects
        self._group_of = group_of
        self._changed = changed
        self._all: dict[str, Object] = {}  # by name
        self._groups: dict[str, dict[str, Object]] = {}  # never changed deeper than one level
        self._is_listed = threading.Event()
        self._closing = threading.Event()
        self._answer: Any = None
        self._thread = threading.Thread(target=self._follow, name=f"reflect-{name}", daemon=True)

    def start(self) -> None:
        """Begin to follow, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Follow no longer."""
        self._closing.set()
        answer = self._answer
        if answer is not None:
            answer.shutdown()  # ends a read that may wait for long
        if self._thread.is_alive():
            self._thread.join(CONNECT_S)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the objects were listed once; tell whether they were."""
        return self._is_listed.wait(timeout_s)

    def group(self, name: str) -> list[Object]:
        """Return the objects of a group."""
        return list(self._groups.get(name, {}).values())

    def groups(self) -> list[str]:
        """Return the names of all groups."""
        return list(self._groups)

    def all(self) -> list[Object]:
        """Return all objects."""
        return list(self._all.values())

    def find(self, name: str) -> Object | None:
        """Return an object by its name."""
        return self._all.get(name)

    def _follow(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self._watch(self._list_all())
                failures = 0
            except (ApiException, HTTPError, OSError, ValueError, AttributeError) as error:
                # NOTE: an AttributeError is what http.client raises when another thread closes it.
                if self._closing.is_set():
                    return
                logger.warning("The %s cannot be followed: %s; trying again", self._name, error)
                failures += 1
                self._closing.wait(BACKOFF.pause_s(failures) * random.uniform(0.8, 1.2))

    def _list_all(self) -> str:
        """List everything; return the version to watch from."""
        answer = self._list(_request_timeout=(CONNECT_S, SILENCE_S))
        document = json.loads(answer.data)
        found: dict[str, dict[str, Object]] = {}
        for each in document["items"]:
            found.setdefault(self._group_of(each), {})[each["metadata"]["name"]] = each
        self._groups = found
        self._all = {name: each for group in found.values() for name, each in group.items()}
        self._is_listed.set()
        self._changed()
        return str(document["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> None:
        """Follow changes until the server ends the watch."""
        answer = self._list(
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_S,
            _request_timeout=(CONNECT_S, WATCH_S + SILENCE_S),
        )
        self._answer = answer
        try:
            for line in _lines(answer):
                if self._closing.is_set():
                    return
                event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") != 410:  # too old: list again at once
                        logger.warning("A watch of %s ended: %s", self._name, event["object"])
                    return
                if event["type"] != "BOOKMARK":
                    self._apply(event["type"], event["object"])
        finally:
            self._answer = None
            answer.close()
            answer.release_conn()

    def _apply(self, kind: str, changed: Object) -> None:
        group, name = self._group_of(changed), changed["metadata"]["name"]
        before = self._all.get(name)
        if kind == "DELETED":
            self._all.pop(name, None)
        else:
            self._groups[group] = {**self._groups.get(group, {}), name: changed}
            self._all[name] = changed
        if before is not None and (kind == "DELETED" or self._group_of(before) != group):
            self._leave(self._group_of(before), name)
        self._changed()

    def _leave(self, group: str, name: str) -> None:
        others = {key: each for key, each in self._groups.get(group, {}).items() if key != name}
        if others:
            self._groups[group] = others
        else:
            self._groups.pop(group, None)


def _lines(answer: Any) -> Any:  # noqa: ANN401 - urllib3's answer; bytes by line
    """Yield the lines of an answer as they come."""
    pending = b""
    for piece in answer.stream(None, decode_content=False):
        *lines, pending = (pending + piece).split(b"\n")
        yield from (line for line in lines if line)
