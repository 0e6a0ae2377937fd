"""ChangeFromProducts: the change between two Sentinel-2 products, in one job."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from candela.eo.progress import Progress
from candela.eo.raster.grid import Area
from candela.eo.raster.images import gdal_environment
from candela.eo.s2.product_pair import PIXEL_M, ProductMask, open_product_pair
from candela.models.change.mapping import map_pair, model_bands
from candela.models.clouds import CloudSource, open_cloud_mask


def run(
    *,
    before: Path,
    after: Path,
    area: Area | None,
    mask: Literal["none", "validity"] | CloudSource,
    cloud_margin: float,
    model: str,
    runtime: str,
    scale: float | None,
    parcels: Path | None,
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Map the change between two products.

    Parameters
    ----------
    before, after : Path
        SAFEs of one tile: zip files or folders.
    area : Area, optional
        The part of the tile that is wanted, widened to whole pixels.
    mask : str
        What is left out: see process.yaml.
    cloud_margin : float
        How far clouds, shadows and cirrus reach beyond what the mask says, metres.
    model, runtime, scale, parcels, workdir, progress
        See ``map_pair``.

    Returns
    -------
    dict
        As of ``map_pair``.

    Raises
    ------
    InputError
        If a product cannot be used, or both cannot be compared.
    """
    with (
        gdal_environment(),
        TemporaryDirectory(dir=workdir) as scratch,
        open_product_pair(
            before,
            after,
            model_bands(model),
            area=area,
            mask=_mask(mask, round(cloud_margin / PIXEL_M)),
            scratch=Path(scratch),
        ) as pair,
    ):
        return map_pair(
            pair,
            model=model,
            runtime=runtime,
            scale=scale,
            parcels=parcels,
            workdir=workdir,
            progress=progress,
        )


def _mask(mask: Literal["none", "validity"] | CloudSource, cloud_margin: int) -> ProductMask | None:
    if mask == "none":
        return None
    if mask == "validity":
        return ProductMask()
    return ProductMask(partial(open_cloud_mask, source=mask), cloud_margin)
