"""What an error becomes at the edge: the only table from error to code and HTTP status."""

import logging
from typing import NamedTuple

from pywps import exceptions as pywps_exceptions

from candela import errors
from candela.contract.job import Failure

logger = logging.getLogger(__name__)


class Fault(NamedTuple):
    """An error as a client sees it."""

    code: str  # an OWS exception code
    status: int  # HTTP
    message: str
    locator: str = ""
    details: str = ""  # more lines, for people

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with it."""
        return {"Retry-After": str(RETRY_AFTER_S)} if self.status == 503 else {}


INTERNAL = Fault("NoApplicableCode", 500, "internal error; the log of the gateway has the reason")

TABLE: dict[type[errors.PublicError], tuple[str, int]] = {
    errors.MissingValueError: ("MissingParameterValue", 400),
    errors.InvalidValueError: ("InvalidParameterValue", 400),
    errors.UnsupportedError: ("OperationNotSupported", 400),
    errors.VersionError: ("VersionNegotiationFailed", 400),
    errors.TooLargeError: ("FileSizeExceeded", 400),
    errors.BusyError: ("ServerBusy", 400),
    errors.OtherSiteError: ("NoApplicableCode", 403),
    errors.NotFoundError: ("InvalidParameterValue", 400),
    errors.InputError: ("InvalidParameterValue", 400),
    errors.ReferenceUnavailableError: ("InvalidParameterValue", 400),
    errors.UnavailableError: ("NoApplicableCode", 503),
    errors.PublicError: ("NoApplicableCode", 400),
}
# NOTE: clients such as OWSLib show the text of a 400 and hide that of any other status; resources
# with an address of their own (jobs, files) answer 404 instead, see jobs_api and outputs.

_KINDS = {kind.__name__: code for kind, (code, _) in TABLE.items()}


RETRY_AFTER_S = 10  # after a 503
STORAGE_AWAY = errors.UnavailableError("the storage does not answer; please try again later")


def fault_of(error: errors.PublicError | errors.StorageError) -> Fault:
    """Return what a client sees of an error; subclasses share the entry of their parent."""
    if isinstance(error, errors.StorageError):  # its text names files and hosts: for the log alone
        logger.warning("The storage does not work: %s", error)
        return fault_of(STORAGE_AWAY)
    kind = next(kind for kind in type(error).__mro__ if kind in TABLE)
    return Fault(*TABLE[kind], error.message, error.locator)


def fault_of_pywps(error: pywps_exceptions.NoApplicableCode) -> Fault:
    """Return what a client sees of an error of PyWPS's parser."""
    return Fault(error.name, 400, str(error.description), str(error.locator or ""))


def fault_of_failure(failure: Failure) -> Fault:
    """Return what a client sees of a job that failed."""
    code = _KINDS.get(failure.kind, "NoApplicableCode")
    return Fault(code, 400, failure.message, failure.locator, failure.log or "")
