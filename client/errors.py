"""The errors of the client; this module imports nothing.

ClientError
├── InputValueError             an input cannot be sent as it is: found before sending
├── ServerUnreachableError      no answer, or none that can be used at the moment
├── ServerAnswerError           an answer that the client does not understand
├── NotOfferedError             the server lacks what CANDELA servers have (job list, logs ...)
├── NotFoundError               no such process, job, output or layer
├── MissingPackageError         a package is needed that is not installed: says which extra has it
├── OutputFormError             an output is not of the kind that was asked for
├── WaitTimeoutError            the job goes on, but the time to wait for it is over
└── ProcessError                the server says what is wrong: code, locator, message
    ├── RequestRefusedError         ... with the request; there is no job
    │   └── AccessDeniedError           it needs credentials, or others (HTTP 401, 403)
    ├── JobFailedError              ... with a job, which has ended
    └── JobDismissedError           the job was dismissed
"""


class ClientError(Exception):
    """Base of all errors that the client raises on purpose."""


class InputValueError(ClientError, ValueError):
    """An input cannot be sent as it is, or the address of a server is none."""


class ServerUnreachableError(ClientError):
    """The server does not answer, or cannot at the moment.

    Attributes
    ----------
    retry_after_s : float, optional
        How long the server asks to wait, if it does.
    """

    retry_after_s: float | None = None


class ServerAnswerError(ClientError):
    """The server answers, but not as a processing service does."""


class NotOfferedError(ClientError):
    """The server does not offer this; CANDELA's own servers do."""


class NotFoundError(ClientError):
    """There is no such process, job, output or layer."""


class MissingPackageError(ClientError):
    """A package is needed that the thin installation does not have.

    Parameters
    ----------
    what : str
        What was to be done.
    package : str
        What it needs.
    extra : str
        The extra of this distribution that brings the package.
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {package}, which is not installed: pip install 'candela-eo[{extra}]'"
        )


class OutputFormError(ClientError):
    """An output is not of the kind that was asked for."""


class WaitTimeoutError(ClientError):
    """The time to wait is over; the job goes on."""


class ProcessError(ClientError):
    """The server says what is wrong.

    Parameters
    ----------
    message : str
        The server's sentence.
    code : str
        The exception code of OWS Common, such as ``InvalidParameterValue``.
    locator : str
        The input or output to blame; empty if none is.
    status : int
        Of HTTP; 0 if the answer was no error of HTTP.
    instance : str
        The occurrence (RFC 9457), by which the operator finds it in the log; empty if unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        locator: str = "",
        status: int = 0,
        instance: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.locator = locator
        self.status = status
        self.instance = instance


class RequestRefusedError(ProcessError):
    """The server did not accept the request; there is no job."""


class AccessDeniedError(RequestRefusedError):
    """The server wants credentials, or does not allow this to those that were given."""


class JobFailedError(ProcessError):
    """A job ended without success."""


class JobDismissedError(ProcessError):
    """A job was dismissed."""
