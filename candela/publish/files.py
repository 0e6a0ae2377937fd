"""Files of results where a map server reads them."""

import os
import shutil
import uuid
from pathlib import Path

from candela.layers.polygons import read_polygons, write_geopackage
from candela.publish.base import Layer


def provide_features(layer: Layer, target: Path) -> None:
    """Put a layer's polygons where a map server reads them, as its worker wrote them.

    Raises
    ------
    PublisherAwayError
        If they cannot be written now: the disk may be full.
    OSError
        If the file cannot be linked or copied.
    """
    if layer.features is not None:
        link_file(layer.features, target)
    else:  # a result of before 0.2
        write_geopackage(read_polygons(layer.path), target, layer.name)


def link_file(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the two are on different file systems."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
