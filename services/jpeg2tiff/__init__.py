"""Jpeg2Tiff: the bands of one Sentinel-2 product in one GeoTIFF."""

import logging
from pathlib import Path
from typing import Literal

from candela.eo.file_names import output_file
from candela.eo.progress import Progress, part
from candela.eo.raster.grid import Area, Grid
from candela.eo.raster.images import add_overviews, gdal_environment
from candela.eo.raster.resample import Method
from candela.eo.s2.bands import open_band
from candela.eo.s2.metadata import DEFAULT_BANDS
from candela.eo.s2.product import Granule, granule_grid, open_product
from candela.errors import blamed_on
from candela.models.clouds import CloudSource, open_cloud_mask
from candela.services.jpeg2tiff.mask import write_mask
from candela.services.jpeg2tiff.preview import preview_bands, write_preview
from candela.services.jpeg2tiff.stack import write_stack

logger = logging.getLogger(__name__)


def run(
    *,
    product: Path,
    bands: list[str],
    area: Area | None,
    resolution: int,
    resampling: Method,
    mask: Literal["none", "validity"] | CloudSource,
    cloud_margin: float,
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Put the bands of a Sentinel-2 product into one GeoTIFF.

    Parameters
    ----------
    product : Path
        A SAFE: zip file or folder.
    bands : list of str
        ESA's names, in the order wanted; empty for the ten bands of 10 m and 20 m.
    area : Area, optional
        The part of the tile that is wanted, widened to whole pixels.
    resolution : int
        Pixel size: 10, 20 or 60 m.
    resampling : str
        ``nearest``, ``bilinear`` or ``cubic``, for bands of another pixel size.
    mask : str
        ``none``, ``validity``, ``cloud``, ``model`` or ``both``.
    cloud_margin : float
        How far clouds, shadows and cirrus reach beyond what the product says, metres.
    workdir : Path
        Where the outputs go.
    progress : Progress
        Told what is under way.

    Returns
    -------
    dict of str to Path
        ``image``, ``preview``, and ``mask`` if wanted.

    Raises
    ------
    InputError
        If the product or the area cannot be used; the message says why.
    """
    progress(0, "Reading the product's metadata")
    names = list(dict.fromkeys(bands)) or list(DEFAULT_BANDS)
    with gdal_environment(), blamed_on("product"):
        opened = open_product(product)
        with blamed_on("area"):
            granule = opened.granule(area)
        grid = granule_grid(granule, resolution, area)
        identifier = granule.metadata.image_id
        logger.info("%s: %d bands of %d x %d pixels", identifier, len(names), *grid.shape)
        clouds: CloudSource | None = None if mask == "none" or mask == "validity" else mask
        _judge(granule, names, grid, resampling, clouds)
        outputs = {"image": output_file(workdir, identifier, ".tif")}
        write_stack(outputs["image"], granule, names, grid, resampling, part(progress, 1, 86))
        progress(86, "Making overviews for fast display")
        add_overviews(outputs["image"])
        if mask != "none":
            progress(95, "Making the mask")
            outputs["mask"] = output_file(workdir, identifier, "_mask.tif")
            write_mask(
                outputs["mask"],
                outputs["image"],
                granule,
                grid,
                clouds=clouds,
                cloud_margin=round(cloud_margin / resolution),
            )
        progress(98, "Making the preview")
        outputs["preview"] = output_file(workdir, identifier, "_preview.png")
        write_preview(outputs["preview"], granule, grid)
    progress(100, "Done")
    return outputs


def _judge(
    granule: Granule,
    names: list[str],
    grid: Grid,
    resampling: Method,
    clouds: CloudSource | None,
) -> None:
    """Open everything that will be needed, so that what is wrong is told before the work begins."""
    for name in dict.fromkeys((*names, *preview_bands(granule))):
        with open_band(granule, name, grid, resampling):
            pass
    if clouds:
        with open_cloud_mask(granule, grid, clouds):
            pass
