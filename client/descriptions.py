"""Descriptions of processes, as servers give them."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from candela.client.display import Table, html_table, text_table
from candela.client.wps import ProcessingService

UNBOUNDED = 2**31 - 1  # WPS has no value for "any number of values"
FILE = "file"
BOX = "bbox"
TYPES = {
    "ComplexData": FILE,
    "BoundingBoxData": BOX,
    "LiteralData": "string",
    "dateTime": "datetime",
    "double": "float",
}  # OWSLib's names, where ours differ


@dataclass(frozen=True)
class ProcessSummary:
    """A process in the list of those that a server offers."""

    identifier: str
    title: str
    abstract: str
    version: str


class ProcessList(tuple[ProcessSummary, ...]):
    """The processes of a server; shown as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        return text_table(self._table())

    def _repr_html_(self) -> str:
        return html_table(self._table())

    def _table(self) -> Table:
        rows = [(entry.identifier, entry.version, entry.title) for entry in self]
        return Table("Processes", ("identifier", "version", "title"), rows)


@dataclass(frozen=True)
class InputDescription:
    """An input of a process.

    Attributes
    ----------
    type : str
        ``string``, ``integer``, ``float``, ``boolean``, ``date``, ``datetime``, ``bbox`` or
        ``file``.
    media_types : tuple of str
        Of a file; the first one is the default.
    allowed : tuple
        The values to choose from; empty if there is no such list.
    minimum, maximum : float, optional
        The limits of a number.
    """

    name: str
    title: str
    abstract: str
    type: str
    media_types: tuple[str, ...] = ()
    allowed: tuple[object, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    default: object = None
    unit: str = ""
    crs: tuple[str, ...] = ()
    min_occurs: int = 1
    max_occurs: int = 1

    @property
    def is_required(self) -> bool:
        """Whether a request must have a value."""
        return self.min_occurs > 0 and self.default is None

    @property
    def is_text(self) -> bool:
        """Whether a file of this kind may be written out as text."""
        words = ("json", "xml", "csv", "text/")
        return self.type == FILE and any(word in self.media_types[0] for word in words)

    @property
    def occurrence(self) -> str:
        """The number of values, as text."""
        if self.max_occurs == 1:
            return "required" if self.is_required else "optional"
        most = "any number" if self.max_occurs >= UNBOUNDED else f"up to {self.max_occurs}"
        return f"{most}, at least {self.min_occurs}" if self.min_occurs else most

    @property
    def choice(self) -> str:
        """The values allowed, as text."""
        if self.allowed:
            return ", ".join(str(value) for value in self.allowed)
        limits = [
            f"{word} {limit:g}"
            for word, limit in (("from", self.minimum), ("to", self.maximum))
            if limit is not None
        ]
        return " ".join(limits) or ", ".join(self.media_types or self.crs)


@dataclass(frozen=True)
class OutputDescription:
    """An output of a process; ``type`` as for inputs."""

    name: str
    title: str
    abstract: str
    type: str
    media_type: str = ""


@dataclass(frozen=True)
class ProcessDescription:
    """The description of a process; shown as tables."""

    identifier: str
    title: str
    abstract: str
    version: str
    inputs: Mapping[str, InputDescription]
    outputs: Mapping[str, OutputDescription]

    def __repr__(self) -> str:
        head = f"{self.identifier} {self.version}: {self.title}\n\n{self.abstract}\n"
        return "\n".join([head, *(text_table(table) for table in self.tables())])

    def _repr_html_(self) -> str:
        head = html_table(Table(f"{self.identifier} {self.version}: {self.title}", (), []))
        head += f"<p>{escape(self.abstract)}</p>"
        return head + "".join(html_table(table) for table in self.tables())

    def tables(self) -> tuple[Table, Table]:
        """Return the inputs and the outputs as tables."""
        inputs = [
            (
                given.name,
                f"{given.type} ({given.unit})" if given.unit else given.type,
                given.occurrence,
                "" if given.default is None else str(given.default),
                given.choice,
                _title_and_abstract(given),
            )
            for given in self.inputs.values()
        ]
        outputs = [
            (made.name, made.media_type or made.type, _title_and_abstract(made))
            for made in self.outputs.values()
        ]
        return (
            Table("Inputs", ("name", "type", "values", "default", "choice", "title"), inputs, 2),
            Table("Outputs", ("name", "type", "title"), outputs),
        )


def _title_and_abstract(described: InputDescription | OutputDescription) -> str:
    """Return the title, and what the abstract adds to it."""
    if not described.abstract or described.abstract == described.title:
        return described.title
    return f"{described.title}. {described.abstract}"


def list_processes(service: ProcessingService) -> ProcessList:
    """Ask for the processes of a server."""
    return ProcessList(
        ProcessSummary(
            found.identifier, found.title or "", found.abstract or "", found.processVersion or ""
        )
        for found in service.processes()
    )


def describe_process(service: ProcessingService, identifier: str) -> ProcessDescription:
    """Ask for the description of a process.

    Raises
    ------
    RequestRefusedError, NotFoundError
        If there is no such process.
    """
    found = service.process(identifier)
    elements = {element.findtext("{*}Identifier"): element for element in found._root.iter("Input")}
    return ProcessDescription(
        found.identifier,
        found.title or "",
        found.abstract or "",
        found.processVersion or "",
        {given.identifier: _input(given, elements[given.identifier]) for given in found.dataInputs},
        {made.identifier: _output(made) for made in found.processOutputs},
    )


def _type(found: Any) -> str:  # noqa: ANN401 - OWSLib has no types
    name = str(found.dataType or "string")
    return TYPES.get(name, name)


def _input(found: Any, element: Any) -> InputDescription:  # noqa: ANN401
    """Put together what OWSLib reads and what it leaves out: ranges and units."""
    kind = _type(found)
    is_literal = kind not in {FILE, BOX}
    return InputDescription(
        found.identifier,
        found.title or "",
        found.abstract or "",
        kind,
        media_types=_media_types(found) if kind == FILE else (),
        allowed=tuple(found.allowedValues),
        minimum=_number(element.findtext(".//{*}Range/{*}MinimumValue")),
        maximum=_number(element.findtext(".//{*}Range/{*}MaximumValue")),
        default=found.defaultValue if is_literal else None,
        unit=element.findtext(".//{*}UOMs/Default/{*}UOM") or "",
        crs=tuple(found.supportedValues) if kind == BOX else (),
        min_occurs=found.minOccurs,
        max_occurs=found.maxOccurs,
    )


def _output(found: Any) -> OutputDescription:  # noqa: ANN401
    kind = _type(found)
    media_type = _media_types(found)[0] if kind == FILE else ""
    return OutputDescription(
        found.identifier, found.title or "", found.abstract or "", kind, media_type
    )


def _media_types(found: Any) -> tuple[str, ...]:  # noqa: ANN401
    names = [found.defaultValue, *found.supportedValues]
    return tuple(dict.fromkeys(str(each.mimeType) for each in names if each is not None)) or ("",)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
