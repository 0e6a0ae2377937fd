"""The errors of the client; this module imports nothing.

ClientError
├── InputValueError             an input, address or credential is invalid; nothing was sent
├── ServerUnreachableError      no answer, or HTTP 429 or 5xx; retry_after_s, if the server says
├── ServerAnswerError           an answer that is no document of a processing service
├── NotOfferedError             the server lacks what CANDELA servers have (job list, logs ...)
├── NotFoundError               no such process, job, output or layer (HTTP 404, 410)
├── MissingPackageError         a package is needed that is not installed: says which extra has it
├── OutputFormError             an output is not of the kind that was asked for
├── WaitTimeoutError            the job goes on, but the time to wait for it is over
└── ProcessError                an exception or problem: message, code, locator, status, instance
    ├── RequestRefusedError         of the request (other HTTP 4xx); there is no job
    │   └── AccessDeniedError           it needs credentials, or others (HTTP 401, 403)
    ├── JobFailedError              of a job, which has ended
    └── JobDismissedError           the job was dismissed
"""


class ClientError(Exception):
    """Base of all errors that the client raises on purpose."""


class InputValueError(ClientError, ValueError):
    """An input, an address or a credential is invalid; nothing was sent."""


class ServerUnreachableError(ClientError):
    """The server does not answer, or cannot at the moment.

    Attributes
    ----------
    retry_after_s : float, optional
        How long the server asks to wait, if it does.
    """

    retry_after_s: float | None = None


class ServerAnswerError(ClientError):
    """The answer is no document of a processing service."""


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
    """An exception of the OGC, or a problem of RFC 9457, as the server reports it.

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
