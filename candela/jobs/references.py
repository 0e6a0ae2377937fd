"""References of a request to what this gateway stores: outputs of jobs, and uploads.

A worker takes these from storage, where nobody asks whose they are, so it is checked at submit.
"""

from collections.abc import Callable, Iterable, Iterator

from candela.contract.job import Reference
from candela.contract.names import parts_below, without_secrets
from candela.errors import InvalidValueError
from candela.jobs.request import SCHEMES_OF_WEB, ExecuteRequest


def references(request: ExecuteRequest) -> Iterator[tuple[str, str]]:
    """Yield the addresses that a request refers to, each after the name of its input."""
    for name, values in request.inputs.items():
        for value in values:
            if isinstance(value, Reference):
                yield name, value.href
                if value.body_reference:
                    yield name, value.body_reference


def check_outputs(
    request: ExecuteRequest, outputs_url: str, may_use: Callable[[str], bool]
) -> None:
    """Check that outputs of jobs that a request refers to may be used.

    Parameters
    ----------
    outputs_url : str
        What the addresses of outputs begin with.
    may_use : callable
        Whether outputs of a job, by its id, may be used.

    Raises
    ------
    InvalidValueError
        If there is no such job, or it is not to be seen.
    """
    for name, href in references(request):
        parts = parts_below(href, outputs_url)
        if parts is not None and not may_use(parts[0]):
            raise InvalidValueError(
                f"input {name!r}: there is no output {without_secrets(href)}", name
            )


def refuse_web(request: ExecuteRequest, stored: Iterable[str], process: str) -> None:
    """Refuse references that the jobs of a process without network cannot fetch.

    Parameters
    ----------
    stored : iterable of str
        What the addresses begin with that are read from storage.

    Raises
    ------
    InvalidValueError
        If there is one.
    """
    for name, href in references(request):
        is_stored = any(parts_below(href, address) is not None for address in stored)
        if href.lower().startswith(SCHEMES_OF_WEB) and not is_stored:
            raise InvalidValueError(
                f"input {name!r}: jobs of {process} have no network and cannot fetch "
                f"{without_secrets(href)}; upload the file, or give the output of a job",
                name,
            )
