"""The versions of WPS on one address: who answers a request is negotiated.

- A document is answered by the version whose namespace its root has.
- ``AcceptVersions`` of GetCapabilities: the first version that is offered.
- ``version``: that one. It is refused where it is not offered.
- An operation that WPS 1.0.0 does not have (GetStatus, GetResult, Dismiss) is one of 2.0.
- All others are WPS 1.0.0: its capabilities list no other version, as OWS Common wants the highest
  version that is listed to be the one that is answered by default.
"""

from typing import NamedTuple, Protocol

from flask import Blueprint, Request, g, request
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import InvalidValueError, PublicError, VersionError
from candela.gateway.problems import Problem
from candela.gateway.protocols.body import root_namespace
from candela.gateway.protocols.reports import Reports, answer_in_reports


class Codec(Protocol):
    """A version of WPS."""

    reports: Reports

    def call(self, http_request: Request, *, endpoint: str = "") -> BaseResponse:
        """Answer any request; the capabilities lead to ``endpoint``, if it is another address."""


class Version(NamedTuple):
    """A version with its codec.

    Attributes
    ----------
    numbers : tuple of str
        The version numbers that stand for it.
    namespace : str
        That of its documents.
    operations : frozenset of str
        Operations that only this version has, in lower case.
    """

    codec: Codec
    numbers: tuple[str, ...]
    namespace: str
    operations: frozenset[str] = frozenset()


class Versions:
    """The versions that are offered; the first one is that of requests that name none."""

    def __init__(self, *versions: Version) -> None:
        self._versions = versions

    def call(self, http_request: Request, *, endpoint: str = "") -> BaseResponse:
        """Answer any request.

        Raises
        ------
        PublicError, StorageError
            What becomes an exception report.
        """
        version = g.wps_version = self._version_of(http_request)
        return version.codec.call(http_request, endpoint=endpoint)

    @property
    def reports(self) -> Reports:
        """How the version of the present request writes exception reports."""
        version: Version | None = g.get("wps_version")
        if version is None:  # the request was refused before it came here
            try:
                version = self._version_of(request)
            except PublicError:
                version = self._versions[0]
        return version.codec.reports

    def report(self, problem: Problem) -> BaseResponse:
        """Answer with an exception report of the request's version."""
        return self.reports.answer(problem)

    def _version_of(self, http_request: Request) -> Version:
        if http_request.method == "POST":
            namespace = root_namespace(http_request)
            for version in self._versions:
                if version.namespace == namespace:
                    return version
        parameters = {name.lower(): value for name, value in http_request.args.items()}
        operation = parameters.get("request", "").lower()
        accepted = parameters.get("acceptversions", "")
        if operation == "getcapabilities" and accepted:
            return self._accepted([number.strip() for number in accepted.split(",")])
        if number := parameters.get("version"):
            return self._named(number)
        for version in self._versions:
            if operation in version.operations:
                return version
        return self._versions[0]

    def _accepted(self, numbers: list[str]) -> Version:
        for number in numbers:
            for version in self._versions:
                if number in version.numbers:
                    return version
        raise VersionError(
            f"none of the versions {', '.join(numbers)} is offered ({self._offered})",
            "AcceptVersions",
        )

    def _named(self, number: str) -> Version:
        for version in self._versions:
            if number.strip() in version.numbers:
                return version
        raise InvalidValueError(f"version {number!r} is not offered ({self._offered})", "version")

    @property
    def _offered(self) -> str:
        return "versions: " + ", ".join(version.numbers[0] for version in self._versions)


def blueprint(versions: Versions) -> Blueprint:
    """Return the route of all versions."""
    routes = Blueprint("wps", __name__)

    @routes.route("/wps", methods=["GET", "POST"])
    def wps() -> BaseResponse:
        return versions.call(request._get_current_object())  # type: ignore[attr-defined]

    answer_in_reports(routes, lambda: versions.reports)
    return routes
