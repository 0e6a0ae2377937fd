"""What map servers must know of outputs that become layers, read where the pixels are."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from candela.contract.layers import RasterHeader, VectorHeader
from candela.contract.names import layer_name
from candela.layers.polygons import read_polygons, write_geopackage
from candela.layers.rasters import read_header
from candela.spec import ProcessSpec
from candela.worker.checking import Checked

logger = logging.getLogger(__name__)


class LayerFacts(NamedTuple):
    """What an output shows, and the file with its polygons as map servers want them."""

    header: RasterHeader | VectorHeader
    features: Path | None = None


def describe_layers(
    spec: ProcessSpec, job_id: str, checked: Mapping[str, Checked], folder: Path
) -> dict[str, LayerFacts]:
    """Look at the outputs that become layers; their polygons are written into ``folder``.

    Raises
    ------
    PublicationError
        If one cannot be put on a map.
    """
    facts = {}
    for output, described in spec.layers.items():
        path = checked.get(output)
        if not isinstance(path, Path):
            continue
        if described.type == "raster":
            facts[output] = LayerFacts(read_header(path))
            continue
        polygons = read_polygons(path)
        name = layer_name(spec.identifier, job_id, output)
        features = folder / f"{name}.gpkg"
        write_geopackage(polygons, features, name)
        facts[output] = LayerFacts(polygons.header, features)
    return facts
