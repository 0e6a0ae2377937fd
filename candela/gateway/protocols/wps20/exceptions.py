"""Exception reports of WPS 2.0 (OGC 14-065r2, tables 37 to 51; OGC 06-121r9, 8.2)."""

from candela.gateway.problems import Problem
from candela.gateway.protocols.reports import Reports
from candela.gateway.protocols.wps20.xml import OWS

CODES = {"NotFound": "InvalidParameterValue"}  # which WPS 2.0 does not have


def code_of(problem: Problem) -> str:
    """Return the exception code of a problem."""
    return problem.kind.wps20 or CODES.get(problem.code, problem.code)


REPORTS = Reports(OWS, "2.0.0", code_of)
