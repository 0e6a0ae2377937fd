"""Whether the gateway lives, and whether what it needs answers."""

import logging
from collections.abc import Callable, Mapping

from flask import Blueprint, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import CandelaError, StorageError
from candela.gateway.access.identity import principal_of
from candela.jobs.service import JobService
from candela.storage import Storage

logger = logging.getLogger(__name__)

MOST_TOLD = 20  # layers


def blueprint(jobs: JobService) -> Blueprint:
    """Return the probes."""
    routes = Blueprint("probes", __name__)
    publisher = jobs.publisher
    needed: dict[str, Callable[[], object]] = {
        "database": jobs.ping,
        "storage": lambda: _look_at(jobs.storage),
    }
    useful: dict[str, Callable[[], object]] = {}  # jobs go on without
    (needed if publisher.is_embedded else useful)["map server"] = publisher.ping

    @routes.get("/healthz")
    def alive() -> BaseResponse:
        return jsonify(status="alive")

    @routes.get("/readyz")
    def ready() -> tuple[BaseResponse, int]:
        away, missed = _away(needed), _away(useful)
        sees_all = principal_of(request).scope is None  # names of layers have ids of jobs
        unreadable = publisher.unreadable()[:MOST_TOLD] if sees_all else []
        told = {"degraded": missed, "unreadableLayers": unreadable}
        told = {key: names for key, names in told.items() if names}
        if away:
            return jsonify(status="not ready", away=away, **told), 503
        return jsonify(status="ready", **told), 200

    return routes


def _away(parts: Mapping[str, Callable[[], object]]) -> list[str]:
    return [name for name, probe in parts.items() if not _answers(name, probe)]


def _look_at(storage: Storage) -> None:
    """Ask the storage for nothing, and see whether it is the one that was opened."""
    storage.list("probe")
    if storage.is_lost():
        raise StorageError(f"{storage.url} was removed or replaced: put it back, or restart")


def _answers(name: str, probe: Callable[[], object]) -> bool:
    try:
        probe()
    except CandelaError as error:
        logger.warning("The gateway is not ready, %s: %s", name, error)
        return False
    return True
