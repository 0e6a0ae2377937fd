"""What an error becomes at the edge: the only table from error to code and HTTP status."""

from typing import NamedTuple

from pywps import exceptions as pywps_exceptions

from candela import errors
from candela.worker.contract import Failure


class Fault(NamedTuple):
    """An error as a client sees it."""

    code: str  # an OWS exception code
    status: int  # HTTP
    message: str
    locator: str = ""


TABLE: dict[type[errors.PublicError], tuple[str, int]] = {
    errors.MissingValueError: ("MissingParameterValue", 400),
    errors.InvalidValueError: ("InvalidParameterValue", 400),
    errors.UnsupportedError: ("OperationNotSupported", 400),
    errors.VersionError: ("VersionNegotiationFailed", 400),
    errors.TooLargeError: ("FileSizeExceeded", 400),
    errors.BusyError: ("ServerBusy", 400),
    errors.NotFoundError: ("InvalidParameterValue", 400),
    errors.InputError: ("InvalidParameterValue", 400),
    errors.ReferenceUnavailableError: ("InvalidParameterValue", 400),
    errors.PublicError: ("NoApplicableCode", 400),
}
# NOTE: clients such as OWSLib show the text of a 400 and hide that of any other status; resources
# with an address of their own (jobs, files) answer 404 instead, see jobs_api and outputs.

_KINDS = {kind.__name__: code for kind, (code, _) in TABLE.items()}


def fault_of(error: errors.PublicError) -> Fault:
    """Return what a client sees of an error; subclasses share the entry of their parent."""
    kind = next(kind for kind in type(error).__mro__ if kind in TABLE)
    return Fault(*TABLE[kind], error.message, error.locator)


def fault_of_pywps(error: pywps_exceptions.NoApplicableCode) -> Fault:
    """Return what a client sees of an error of PyWPS's parser."""
    return Fault(error.name, 400, str(error.description), str(error.locator or ""))


def fault_of_failure(failure: Failure) -> Fault:
    """Return what a client sees of a job that failed."""
    return Fault(
        _KINDS.get(failure.kind, "NoApplicableCode"), 400, failure.message, failure.locator
    )
