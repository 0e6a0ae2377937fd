"""The errors of CANDELA; this module imports nothing and everything may import it.

CandelaError
├── PublicError                 its sentence is shown to the user
│   ├── RequestError            the request cannot be accepted
│   │   ├── MissingValueError       a mandatory parameter is absent
│   │   ├── InvalidValueError       a parameter has a value that is not allowed
│   │   │   ├── NoSuchInputError        the process has no such input
│   │   │   ├── NoSuchOutputError       the process has no such output
│   │   │   ├── NoSuchFormatError       an input or output is not offered in this format
│   │   │   ├── NoSuchModeError         no such way to execute
│   │   │   ├── TooManyInputsError      an input has more values than it takes
│   │   │   └── TooManyOutputsError     more outputs than the response can have
│   │   ├── UnsupportedError        an operation, method or option that is not offered
│   │   ├── VersionError            no common protocol version
│   │   ├── TooLargeError           a body or an input above the limit
│   │   ├── BusyError               a limit on concurrent work was reached
│   │   ├── ConflictError           what is there already does not allow it
│   │   ├── OtherSiteError          a page of another site made the browser ask
│   │   └── TokenError              a token does not belong to what it is sent for
│   ├── NotFoundError           no such output, layer, patch ...
│   │   ├── NoSuchJobError          no such job
│   │   ├── ResultNotReadyError     a job has not ended yet
│   │   ├── NoSuchProcessError      no such process
│   │   └── GoneError               what was there is removed
│   │       ├── JobDismissedError       somebody dismissed the job
│   │       └── JobExpiredError         the time that results are kept is over
│   ├── InputError              a worker refuses the content of an input
│   ├── ReferenceUnavailableError  an input given by reference cannot be fetched
│   ├── LimitError              a job ran out of time or memory
│   ├── UnavailableError        a part that is needed does not answer for now
│   └── JobFailedError          a job ended without success (raised by waiters)
├── SpecError                   a process.yaml is wrong
├── OutputError                 a process broke its own description
├── RunnerError                 what runs jobs refuses one for good
├── PublicationError            the map server refused a layer
│   └── PublisherAwayError          it does not answer; the same may work later
└── StorageError                results cannot be stored
"""

from collections.abc import Iterator
from contextlib import contextmanager


class CandelaError(Exception):
    """Base of all errors raised on purpose."""


class PublicError(CandelaError):
    """An error whose sentence may be shown to the user.

    Parameters
    ----------
    message : str
        What was found, what was expected, and where.
    locator : str, optional
        The parameter, input or output that is to blame.
    """

    def __init__(self, message: str, locator: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.locator = locator

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Keep the locator when the error crosses a process border."""
        return type(self), (self.message, self.locator)


class RequestError(PublicError):
    """The request cannot be accepted."""


class MissingValueError(RequestError):
    """A mandatory parameter is absent."""


class InvalidValueError(RequestError):
    """A parameter has a value that is not allowed."""


class NoSuchInputError(InvalidValueError):
    """The process has no such input."""


class NoSuchOutputError(InvalidValueError):
    """The process has no such output."""


class NoSuchFormatError(InvalidValueError):
    """An input or output is not offered in this format."""


class NoSuchModeError(InvalidValueError):
    """There is no such way to execute."""


class TooManyInputsError(InvalidValueError):
    """An input has more values than it takes."""


class TooManyOutputsError(InvalidValueError):
    """More outputs are asked for than the response can have."""


class UnsupportedError(RequestError):
    """An operation, method or option that is not offered."""


class VersionError(RequestError):
    """Client and server share no protocol version."""


class TooLargeError(RequestError):
    """A body or an input is above the limit."""


class BusyError(RequestError):
    """A limit on concurrent work was reached."""


class ConflictError(RequestError):
    """What is there already does not allow it."""


class OtherSiteError(RequestError):
    """A page of another site made the browser send this."""


class TokenError(RequestError):
    """A token does not belong to what it is sent for."""


class NotFoundError(PublicError):
    """There is no such output, layer or patch; a locator names the parameter that asked for it."""


class NoSuchJobError(NotFoundError):
    """There is no such job."""


class NoSuchProcessError(NotFoundError):
    """There is no such process."""


class ResultNotReadyError(NotFoundError):
    """A job has not ended yet."""


class GoneError(NotFoundError):
    """What was there is removed, for good."""


class JobDismissedError(GoneError):
    """Somebody has dismissed the job."""


class JobExpiredError(GoneError):
    """The time that the results of the job are kept is over."""


class InputError(PublicError):
    """A worker refuses the content of an input."""


class ReferenceUnavailableError(PublicError):
    """An input given by reference cannot be fetched."""


class LimitError(PublicError):
    """A job ran out of time or memory."""


class UnavailableError(PublicError):
    """A part that is needed, such as the job database, does not answer for now."""


class JobFailedError(PublicError):
    """A job ended without success."""


class SpecError(CandelaError):
    """A process.yaml is wrong."""


class OutputError(CandelaError):
    """A process broke its own description."""


class RunnerError(CandelaError):
    """What runs jobs refuses one for good."""


class PublicationError(CandelaError):
    """The map server refused a layer."""


class PublisherAwayError(PublicationError):
    """The map server does not answer, or not in a way that is final."""


class StorageError(CandelaError):
    """Results cannot be stored."""


@contextmanager
def blamed_on(locator: str) -> Iterator[None]:
    """Give public errors raised inside the name of the input that is to blame."""
    try:
        yield
    except PublicError as error:
        if not error.locator:
            error.locator = locator
        raise
