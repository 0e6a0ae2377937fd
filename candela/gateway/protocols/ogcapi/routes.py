"""The routes of OGC API - Processes as one blueprint."""

from flask import Blueprint

from candela.gateway.protocols.ogcapi.job_list import add_job_list
from candela.gateway.protocols.ogcapi.jobs import add_job_routes
from candela.gateway.protocols.ogcapi.processes import add_process_routes
from candela.gateway.protocols.ogcapi.service import OgcApi, add_service_routes


def blueprint(api: OgcApi) -> Blueprint:
    """Return the routes of the protocol; their errors are those of all JSON routes."""
    routes = Blueprint("ogcapi", __name__)
    add_service_routes(routes, api)
    add_process_routes(routes, api)
    add_job_list(routes, api)
    add_job_routes(routes, api)
    return routes
