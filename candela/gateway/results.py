"""The outcome of a job for every codec and page: its outputs, and the addresses that belong to it.

A codec decides how an output is written; which outputs there are, with which titles, media types
and addresses, and whether one stands in the response or is a reference, is decided here.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import NamedTuple
from urllib.parse import quote

from candela.contract.job import OUTPUTS_FOLDER, Box, Literal_, Output, OutputFile, job_key
from candela.errors import InvalidValueError
from candela.jobs.accounting import Consumption
from candela.jobs.model import JobOutcome, State
from candela.jobs.request import OutputRequest
from candela.spec import TEXT_MEDIA_TYPES, ProcessSpec
from candela.storage.base import Storage

STATUS = {
    State.ACCEPTED: "accepted",
    State.DISPATCHING: "accepted",
    State.RUNNING: "running",
    State.PUBLISHING: "running",
    State.SUCCEEDED: "successful",
    State.FAILED: "failed",
    State.DISMISSED: "dismissed",
}  # OGC 18-062r2, 7.12
INLINE_TEXT_BYTES = 2**20  # a text output above this is a reference unless asked for inline
INLINE_BYTES = 8 * 2**20  # above this an output is always a reference


@dataclass(frozen=True)
class Addresses:
    """The public addresses of a gateway's jobs and their outputs."""

    base_url: str

    @property
    def jobs(self) -> str:
        """The address of the list of jobs."""
        return f"{self.base_url}/jobs"

    def job(self, job_id: str) -> str:
        """Return the address of a job."""
        return f"{self.base_url}/jobs/{job_id}"

    def process(self, identifier: str) -> str:
        """Return the address of the description of a process."""
        return f"{self.base_url}/processes/{identifier}"

    def results(self, job_id: str) -> str:
        """Return the address of the results of a job."""
        return f"{self.base_url}/jobs/{job_id}/results"

    def status(self, job_id: str) -> str:
        """Return the address of a job's status document of WPS 1.0.0."""
        return f"{self.base_url}/wps/status/{job_id}"

    def output(self, job_id: str, file: str) -> str:
        """Return the address of an output file."""
        return f"{self.base_url}/outputs/{job_id}/{quote(file)}"


class OfferedOutput(NamedTuple):
    """An output that a process describes, or a layer link that follows from one."""

    title: str
    abstract: str = ""


@dataclass(frozen=True)
class JobOutput:
    """An output of a job that has succeeded: a value, a file or the link to a layer.

    Attributes
    ----------
    title, abstract : str
        As the process describes them.
    media_type : str
        Of the file, or of what the link leads to; ``text/plain`` for a value.
    value : float, str, bool or Box, optional
        The value of an output that is no file.
    href : str
        The address of a file or a layer; empty for a value.
    file : OutputFile, optional
        The file, where the output is one.
    is_text : bool
        Whether the file is text, such as JSON or CSV.
    """

    name: str
    title: str
    abstract: str = ""
    media_type: str = "text/plain"
    value: Literal_ | Box | None = None
    href: str = ""
    file: OutputFile | None = None
    is_text: bool = False

    def is_inline(self, requested: OutputRequest | None) -> bool:
        """Tell whether a file stands in the response: as requested, within the size limits."""
        if self.file is None or self.file.size > INLINE_BYTES:
            return False
        if requested and requested.transmission_mode:
            return requested.transmission_mode == "value"
        return self.is_text and self.file.size <= INLINE_TEXT_BYTES

    def content(self, storage: Storage, job_id: str) -> bytes:
        """Read the file of an output."""
        assert self.file is not None
        return storage.read(job_key(job_id, OUTPUTS_FOLDER, self.file.file))


def states_of(statuses: Iterable[str]) -> frozenset[State]:
    """Return the states that are meant by the statuses of OGC API - Processes, or by ours.

    What both name, such as ``running``, has the meaning of the former.

    Raises
    ------
    InvalidValueError
        If there is no such status.
    """
    found: set[State] = set()
    for status in statuses:
        named = {state for state, name in STATUS.items() if name == status}
        if not named and status not in set(State):
            known = ", ".join(dict.fromkeys([*STATUS.values(), *State]))
            raise InvalidValueError(f"{status!r} is no status (known: {known})", "status")
        found |= named or {State(status)}
    return frozenset(found)


def offered_outputs(spec: ProcessSpec) -> dict[str, OfferedOutput]:
    """Return what a process offers by name: described outputs, then the links to their layers."""
    offered = {
        name: OfferedOutput(output.title, output.abstract) for name, output in spec.outputs.items()
    }
    return offered | {name: OfferedOutput(title) for name, (_, _, title) in spec.links.items()}


def outputs_of(
    job: JobOutcome, spec: ProcessSpec | None, addresses: Addresses
) -> dict[str, JobOutput]:
    """Return the outputs of a job by name: those that were made, then the links to its layers.

    Parameters
    ----------
    spec : ProcessSpec, optional
        The process; without it outputs have their names as titles, and there are no links.
    """
    offered = offered_outputs(spec) if spec else {}
    made = job.result.outputs if job.result else {}
    outputs = [
        _made(name, offered.get(name, OfferedOutput(name)), output, job.id, addresses)
        for name, output in made.items()
    ]
    return {output.name: output for output in (*outputs, *_layer_links(job, spec))}


def _made(
    name: str, offered: OfferedOutput, output: Output, job_id: str, addresses: Addresses
) -> JobOutput:
    title, abstract = offered
    if isinstance(output, OutputFile):
        return JobOutput(
            name,
            title,
            abstract,
            media_type=output.media_type,
            href=addresses.output(job_id, output.file),
            file=output,
            is_text=output.media_type in TEXT_MEDIA_TYPES,
        )
    value = output if isinstance(output, Box) else output.value
    return JobOutput(name, title, abstract, value=value)


def _layer_links(job: JobOutcome, spec: ProcessSpec | None) -> Iterable[JobOutput]:
    """Return the links to the layers that were published: ``<output>_wms`` and so on."""
    for name, (output, media_type, title) in (spec.links if spec else {}).items():
        link = (job.links or {}).get(output)
        href = asdict(link)[name.rpartition("_")[2]] if link else ""
        if href:
            yield JobOutput(name, title, media_type=media_type, href=href)


def usage_document(used: Consumption) -> dict[str, float]:
    """Return what a job, or several, have used, as JSON."""
    return {
        "wallSeconds": used.wall_s,
        "cpuSeconds": used.cpu_s,
        "gigabyteSeconds": used.gb_s,
        "inputBytes": used.input_bytes,
        "outputBytes": used.output_bytes,
    }


def literal_text(value: object) -> str:
    """Return the text of a literal as XML Schema writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
