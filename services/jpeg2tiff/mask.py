"""The mask that goes with a band stack."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rasterio.enums import Resampling

from candela.eo.raster.blocks import split
from candela.eo.raster.grid import Grid
from candela.eo.raster.images import add_overviews, create_image, open_image
from candela.eo.s2.mask import Usability, grow_clouds, validity
from candela.eo.s2.product import Granule
from candela.models.clouds import CloudSource, open_cloud_mask

BLOCK_PIXELS = 1024  # two tiles of the GeoTIFF: all bands of a block fit into memory
NOTHING = 255  # declared as nodata, so that 0 (usable) is shown


def write_mask(
    path: Path,
    stack: Path,
    granule: Granule,
    grid: Grid,
    *,
    clouds: CloudSource | None,
    cloud_margin: int = 0,
) -> None:
    """Write values of ``Usability`` on the grid of a band stack.

    Parameters
    ----------
    path : Path
        The GeoTIFF to make: uint8.
    stack : Path
        The image that the mask is for.
    granule : Granule
        Where cloud information is.
    grid : Grid
        The grid of the stack.
    clouds : {"cloud", "model", "both"}, optional
        Also clouds, shadows, cirrus and snow, by ``open_cloud_mask``; else only nodata and
        saturation.
    cloud_margin : int
        How many pixels clouds, shadows and cirrus reach further than the product says.

    Raises
    ------
    InputError
        If clouds are wanted and nothing tells where they are.
    """
    with ExitStack() as opened:
        read_clouds = (
            opened.enter_context(open_cloud_mask(granule, grid, clouds, stack)) if clouds else None
        )
        image = opened.enter_context(open_image(stack))
        mask = opened.enter_context(
            create_image(
                path, grid, dtype="uint8", nodata=NOTHING, bands=["mask"],
                tags=granule.metadata.to_tags(),
            )
        )  # fmt: skip
        for block in split(grid.shape, BLOCK_PIXELS, halo=cloud_margin):
            usability = validity(image.read(window=block.inner))
            if read_clouds is not None:
                cloudy = grow_clouds(read_clouds(block.outer), cloud_margin)[block.crop]
                usability = np.where(usability == Usability.USABLE, cloudy, usability)
            mask.write(usability, 1, window=block.inner)
    add_overviews(path, resampling=Resampling.nearest)
