"""Exception reports of WPS 1.0.0 (OGC 06-121r3, 8.2)."""

from pywps.exceptions import NoApplicableCode

from candela.gateway.problems import Kind, Problem
from candela.gateway.protocols.reports import Reports
from candela.gateway.protocols.wps10.xml import OWS

CODES = {  # which WPS 1.0.0 does not have
    "NotFound": "InvalidParameterValue",
    "JobDismissed": "InvalidParameterValue",
    "JobExpired": "InvalidParameterValue",
}

REPORTS = Reports(OWS, "1.0.0", lambda problem: CODES.get(problem.code, problem.code))


def problem_of_pywps(error: NoApplicableCode) -> Problem:
    """Return the problem that PyWPS's parser has found."""
    return Problem(Kind(error.name, 400), str(error.description), str(error.locator or ""))
