"""Run a process without a server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from candela.client.assignments import read_assignments
from candela.client.descriptions import (
    BOX,
    FILE,
    InputDescription,
    OutputDescription,
    ProcessDescription,
)
from candela.client.display import Table, rich_table
from candela.client.inputs import Content, encode_inputs
from candela.client.inputs import Reference as FileReference
from candela.client.progress import progress_bars
from candela.commands.screen import console
from candela.contract.job import Box, Inline, Reference, Value
from candela.spec import Described, InputSpec, ProcessSpec, find_spec, load_specs
from candela.worker.local_run import run_locally


def run(process: str, assignments: Sequence[str], outputs: Path) -> None:
    """Run a process, put its output files into a folder, and list them."""
    spec = find_spec(load_specs(), process)
    inputs = job_inputs(spec, assignments)
    with progress_bars() as bars:
        bar = bars.add(process)

        def progress(percent: float, message: str) -> None:
            bar.move(percent, message)

        made = run_locally(spec, inputs, outputs, progress=progress)
    rows = [
        (name, str(list(value.bbox)) if isinstance(value, Box) else str(value))
        for name, value in made.items()
    ]
    console().print(rich_table(Table("", ("output", "value"), rows)))


def job_inputs(spec: ProcessSpec, assignments: Sequence[str]) -> dict[str, list[Value]]:
    """Read ``name=value`` as ``candela execute`` does, for a job of this program.

    Raises
    ------
    InputValueError
        If an input is unknown or missing, or a value does not fit.
    """
    described = description(spec)
    values = read_assignments(described, assignments)
    inputs: dict[str, list[Value]] = {}
    for name, value in encode_inputs(described, values, files="reference"):
        inputs.setdefault(name, []).append(_job_value(value))
    return inputs


def description(spec: ProcessSpec) -> ProcessDescription:
    """Return a process.yaml as the client describes a process."""
    return ProcessDescription(
        spec.identifier,
        spec.title,
        spec.abstract,
        spec.version,
        {name: _input(name, given) for name, given in spec.inputs.items()},
        {
            name: OutputDescription(
                name,
                made.title,
                made.abstract,
                _kind(made),
                made.media_types[0] if made.is_complex else "",
            )
            for name, made in spec.outputs.items()
        },
    )


def _input(name: str, given: InputSpec) -> InputDescription:
    return InputDescription(
        name,
        given.title,
        given.abstract,
        _kind(given),
        media_types=given.media_types if given.is_complex else (),
        allowed=given.allowed or (),
        minimum=given.minimum,
        maximum=given.maximum,
        default=given.default,
        unit=given.unit,
        crs=given.crs if given.is_bbox else (),
        min_occurs=0 if given.default is not None else given.min_occurs,
        max_occurs=given.max_occurs,
    )


def _kind(described: Described) -> str:
    if described.is_complex:
        return FILE
    return BOX if described.is_bbox else described.type


def _job_value(value: Any) -> Value:  # noqa: ANN401 - OWSLib has no types
    """Return what an Execute request carries as a value of a job."""
    if isinstance(value, str):
        return value
    if isinstance(value, FileReference):
        return Reference(href=value.href, type=value.media_type)
    if isinstance(value, Content):
        assert isinstance(value.data, str)  # bytes are not typed
        return Inline(value=value.data, media_type=value.media_type)
    return Box(bbox=(*value.lower_corner, *value.upper_corner), crs=value.crs)
