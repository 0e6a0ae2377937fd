"""Where warm pods ask for their job: the answer is held back until there is one, or for a while."""

import threading
from typing import Protocol, runtime_checkable

from flask import Blueprint, Response, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from candela.contract.job import Assignment
from candela.errors import TokenError
from candela.jobs.tokens import NO_ATTEMPT, is_valid

HOLD_S = 8.0  # shorter than a gateway that stops waits for its requests
HELD = 16  # at the same time, of the threads that answer requests
AGAIN_S = 1  # until a pod asks again whose answer was not held back


@runtime_checkable
class Assigner(Protocol):
    """A runner that has warm pods."""

    def assignment(self, pod: str, timeout_s: float) -> Assignment | None:
        """Return the attempt of a pod, as soon as it has one."""

    def warm_pods(self) -> dict[tuple[str, str], int]:
        """Count pods that wait for jobs, by process and state."""


def blueprint(runner: Assigner, key: bytes) -> Blueprint:
    """Return the route."""
    routes = Blueprint("warm_pods", __name__)
    held = threading.BoundedSemaphore(HELD)

    @routes.get("/warm/<name>")
    def assignment(name: str) -> BaseResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not is_valid(key, name, NO_ATTEMPT, token):
            raise TokenError("this token does not belong to the pod", "Authorization")
        is_held = held.acquire(blocking=False)
        try:
            given = runner.assignment(name, HOLD_S if is_held else 0.0)
        finally:
            if is_held:
                held.release()
        if given is not None:
            return jsonify(given._asdict())
        return Response(status=204, headers={} if is_held else {"Retry-After": str(AGAIN_S)})

    return routes
