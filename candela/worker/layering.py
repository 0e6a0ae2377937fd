"""What map servers must know of outputs that become layers, read where the pixels are."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from candela.contract.layers import RasterHeader, VectorHeader
from candela.contract.names import layer_name
from candela.eo.raster.grid import Grid
from candela.eo.raster.values import is_placed
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

    A raster without a reference system and transform, made of images that have none, becomes none.

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
        if described.type == "raster" and not _has_place(path):
            logger.info("Output %s is in pixel coordinates and becomes no layer", output)
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


def _has_place(path: Path) -> bool:
    """Tell whether a raster says where it lies, at least in part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path, driver="GTiff") as dataset:
                return dataset.crs is not None or is_placed(Grid.of(dataset))
        except RasterioIOError:
            return True  # what is wrong with it is told by who reads its header
