"""Stage out: from checked outputs to files in storage."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from candela.contract.job import (
    OUTPUTS_FOLDER,
    Box,
    Output,
    OutputFile,
    OutputLiteral,
    job_key,
)
from candela.contract.layers import LayerContent
from candela.contract.names import safe_name
from candela.spec import MEDIA_TYPES, ProcessSpec
from candela.storage import Storage
from candela.worker.checking import Checked, kind_of_file
from candela.worker.layering import LayerFacts

logger = logging.getLogger(__name__)


def deliver(
    spec: ProcessSpec,
    job_id: str,
    checked: Mapping[str, Checked],
    storage: Storage,
    layers: Mapping[str, LayerFacts] | None = None,
) -> dict[str, Output]:
    """Store the output files of a job, and the polygons of its layers.

    Returns
    -------
    dict
        The outputs as ``result.json`` has them.

    Raises
    ------
    StorageError
        If a file cannot be stored.
    """
    outputs: dict[str, Output] = {}
    names: set[str] = set()
    for output, value in checked.items():
        if isinstance(value, Box):
            outputs[output] = value
        elif not isinstance(value, Path):
            outputs[output] = OutputLiteral(value=value)
        else:
            name = _free_name(safe_name(value.name, output), output, names)
            names.add(name)
            kind = kind_of_file(spec.outputs[output], value)
            assert kind is not None  # it was checked
            stored = _described(name, value, MEDIA_TYPES[kind][0])
            storage.put(job_key(job_id, OUTPUTS_FOLDER, name), value)
            logger.info("Stored output %s as %s: %s bytes", output, name, stored.size)
            if layers and (facts := layers.get(output)):
                content = _stored_content(job_id, facts, storage)
                stored = stored.model_copy(update={"layer": content})
            elif layers is not None and output in spec.layers:
                stored = stored.model_copy(update={"unplaced": True})
            outputs[output] = stored
    return outputs


def _stored_content(job_id: str, facts: LayerFacts, storage: Storage) -> LayerContent:
    if facts.features is None:
        return LayerContent(header=facts.header)
    storage.put(job_key(job_id, OUTPUTS_FOLDER, facts.features.name), facts.features)
    return LayerContent(header=facts.header, features=facts.features.name)


def _free_name(name: str, output: str, taken: set[str]) -> str:
    """Return a name that no other output of the job has; names of outputs are unique."""
    while name in taken:
        name = f"{output}-{name}"
    return name


def _described(name: str, path: Path, media_type: str) -> OutputFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return OutputFile(
        file=name, media_type=media_type, size=path.stat().st_size, sha256=digest.hexdigest()
    )
