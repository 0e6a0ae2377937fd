"""Check whether the process made what its description says."""

import datetime as dt
import math
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path

from candela.contract.job import Box, Literal_
from candela.contract.names import SUFFIXES
from candela.eo.raster.grid import Area
from candela.errors import LimitError, OutputError
from candela.spec import MIXED, OutputSpec, ProcessSpec
from candela.worker.formats import check_format

LITERAL_LENGTH = 128 * 2**10  # characters: literals stand in the result and the job's row

Checked = Literal_ | Box | Path


def check_outputs(
    spec: ProcessSpec, returned: Mapping[str, object], folder: Path
) -> dict[str, Checked]:
    """Check what ``run`` returned against the description.

    Parameters
    ----------
    spec : ProcessSpec
        The description.
    returned : mapping of str to object
        The outputs; None stands for one that was not made.
    folder : Path
        Where output files must be.

    Returns
    -------
    dict
        The outputs that were made, in the order of the description.

    Raises
    ------
    OutputError
        If the process broke its own description.
    LimitError
        If a literal is too long for a result.
    """
    if not isinstance(returned, Mapping):
        raise OutputError(f"{spec.identifier} returned {type(returned).__name__}, not a dict")
    unknown = sorted(set(returned) - set(spec.outputs))
    if unknown:
        raise OutputError(f"{spec.identifier} has no output {unknown[0]!r}")
    checked = {}
    for name, described in spec.outputs.items():
        value = returned.get(name)
        if value is not None:
            checked[name] = _check(
                f"output {name!r} of {spec.identifier}", described, value, folder
            )
        elif not described.optional:
            raise OutputError(f"{spec.identifier} did not make its output {name!r}")
    return checked


def _check(where: str, described: OutputSpec, value: object, folder: Path) -> Checked:
    if described.is_literal:
        return _check_literal(where, described.type, value)
    if described.is_bbox:
        if not isinstance(value, Area):
            raise OutputError(f"{where}: expected an Area, found {value!r}")
        return Box(bbox=tuple(value.bounds), crs=value.crs)
    if not isinstance(value, Path):
        raise OutputError(f"{where}: expected a Path, found {value!r}")
    kind = kind_of_file(described, value)
    if kind is None:
        raise OutputError(f"{where}: {value.name} is none of {', '.join(described.kinds)}")
    return _check_file(where, kind, value, folder)


def kind_of_file(described: OutputSpec, path: Path) -> str | None:
    """Return the complex type of an output; of mixed the one that its suffix stands for."""
    if described.type != MIXED:
        return described.type
    return next((kind for kind in described.kinds if SUFFIXES[kind] == path.suffix), None)


def _check_literal(where: str, kind: str, value: object) -> Literal_:
    is_number = not isinstance(value, bool)
    if kind == "string" and isinstance(value, str):
        if len(value) > LITERAL_LENGTH:
            raise LimitError(
                f"{where} has {len(value)} characters, a literal has at most {LITERAL_LENGTH}"
            )
        return value
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "integer" and isinstance(value, Integral) and is_number:
        return int(value)
    if kind == "float" and isinstance(value, Real) and is_number and math.isfinite(value):
        return float(value)
    if kind == "datetime" and isinstance(value, dt.datetime):
        return value.isoformat()
    if kind == "date" and isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value.isoformat()
    raise OutputError(f"{where}: expected a value of type {kind}, found {value!r}")


def _check_file(where: str, kind: str, path: Path, folder: Path) -> Path:
    if not path.is_absolute():
        path = folder / path
    if not path.is_file():
        raise OutputError(f"{where}: there is no file {path.name}")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{where}: {path} leads out of the work folder")
    try:
        check_format(kind, path)
    except ValueError as error:
        raise OutputError(f"{where}: {path.name} is not of type {kind}: {error}") from None
    return path.resolve()
