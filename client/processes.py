"""The processes of a server as functions: names complete and have docs in notebooks."""

import keyword
from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from typing import Protocol

from candela.client.descriptions import InputDescription, ProcessDescription, ProcessList
from candela.client.errors import ClientError, NotFoundError, RequestRefusedError
from candela.client.job import Job


class Executor(Protocol):
    """What lists, describes and executes processes."""

    def list_processes(self) -> ProcessList:
        """List the processes that the server offers."""

    def describe(self, identifier: str) -> ProcessDescription:
        """Return the description of a process."""

    def execute(self, identifier: str, /, *, title: str = "", **inputs: object) -> Job:
        """Start a job."""


class Processes:
    """The processes of a server: a call lists them, an attribute is the function of one.

    Parameters
    ----------
    executor : Executor

    Examples
    --------
    >>> client.processes()  # doctest: +SKIP
    >>> client.processes.Echo(literal="hello").wait()  # doctest: +SKIP
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __call__(self) -> ProcessList:
        """List the processes that the server offers."""
        return self._executor.list_processes()

    def __dir__(self) -> list[str]:
        try:
            names = [found.identifier for found in self()]
        except ClientError:  # who completes names wants no error
            names = []
        return [*super().__dir__(), *names]

    def __getattr__(self, name: str) -> Callable[..., Job]:
        if name.startswith("_"):  # notebooks ask for many
            raise AttributeError(name)
        try:
            described = self._executor.describe(name)
        except (NotFoundError, RequestRefusedError) as error:
            raise AttributeError(f"no process {name!r}: {error}") from error
        return process_function(self._executor, described)


def process_function(executor: Executor, described: ProcessDescription) -> Callable[..., Job]:
    """Return a function that executes a process, with its signature and documentation."""

    def execute(*, title: str = "", **inputs: object) -> Job:
        return executor.execute(described.identifier, title=title, **inputs)

    execute.__name__ = execute.__qualname__ = described.identifier
    execute.__doc__ = documentation(described)
    parameters = sorted(
        _parameters(described), key=lambda each: each.default is not Parameter.empty
    )
    execute.__signature__ = Signature(parameters, return_annotation=Job)  # type: ignore[attr-defined]
    return execute


def _parameters(described: ProcessDescription) -> Iterator[Parameter]:
    for given in described.inputs.values():
        if given.name.isidentifier() and not keyword.iskeyword(given.name):
            default = Parameter.empty if given.is_required else given.default
            yield Parameter(given.name, Parameter.KEYWORD_ONLY, default=default)
    if "title" not in described.inputs:
        yield Parameter("title", Parameter.KEYWORD_ONLY, default="")


def documentation(described: ProcessDescription) -> str:
    """Return the description of a process as a docstring."""
    lines = [f"{described.title}.".replace("..", "."), ""]
    if described.abstract:
        lines += [described.abstract, ""]
    lines += ["Parameters", "----------"]
    for given in described.inputs.values():
        lines += [f"{given.name} : {_kind(given)}", f"    {_text(given.title, given.abstract)}"]
        if given.choice:
            lines.append(f"    Values: {given.choice}.")
    lines += ["", "Returns", "-------", "Job", "    Its outputs:", ""]
    lines += [
        f"    {made.name} : {made.media_type or made.type}: {_text(made.title, made.abstract)}"
        for made in described.outputs.values()
    ]
    return "\n".join(lines)


def _kind(given: InputDescription) -> str:
    unit = f" ({given.unit})" if given.unit else ""
    default = "" if given.default is None else f", default {given.default}"
    return f"{given.type}{unit}, {given.occurrence}{default}"


def _text(title: str, abstract: str) -> str:
    words = title if not abstract or abstract == title else f"{title}. {abstract}"
    return " ".join(words.split())
