"""What owners have used, for who watches the service; owners see their own."""

from flask import Blueprint, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from candela.gateway.access.identity import principal_of
from candela.gateway.parameters import query_of_request
from candela.gateway.results import usage_document
from candela.jobs.service import JobService


def blueprint(jobs: JobService) -> Blueprint:
    """Return the route."""
    routes = Blueprint("usage", __name__)

    @routes.get("/usage")
    def usage() -> BaseResponse:
        query = query_of_request("since", "until")
        since, until = query.instant("since"), query.instant("until")
        found = jobs.consumption(principal_of(request), since=since, until=until)
        return jsonify(
            usage=[
                {
                    "owner": each.owner,
                    "processID": each.process,
                    "jobs": each.jobs,
                    **usage_document(each),
                }
                for each in found
            ]
        )

    return routes
