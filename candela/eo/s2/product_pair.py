"""Pairs of Sentinel-2 products of one tile, decoded while they are read window by window."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from candela.eo.raster.grid import Area, Grid, Shape
from candela.eo.raster.resample import Method
from candela.eo.s2.bands import BandReader, open_band
from candela.eo.s2.mask import CloudReader, Mask, Usability, grow_clouds, validity
from candela.eo.s2.pair import Pair, Reflectance, check_grids
from candela.eo.s2.product import Granule, granule_grid, open_product
from candela.eo.threads import thread_count
from candela.errors import blamed_on

PIXEL_M = 10
METHOD: Method = "bilinear"  # Jpeg2Tiff's default

CloudOpener = Callable[[Granule, Grid], AbstractContextManager[CloudReader]]


@dataclass(frozen=True)
class ProductMask:
    """What of a product is left out.

    Attributes
    ----------
    open_clouds : callable, optional
        (granule, grid) -> context of a reader of clouds; none leaves out nodata and saturated
        pixels only.
    cloud_margin : int
        How many pixels clouds, shadows and cirrus reach further.
    """

    open_clouds: CloudOpener | None = None
    cloud_margin: int = 0


@dataclass(frozen=True)
class ProductImage:
    """The bands of a granule as one image of a pair."""

    tags: Mapping[str, str]
    name: str
    grid: Grid
    readers: Sequence[BandReader]
    pool: ThreadPoolExecutor
    mask: ProductMask | None
    clouds: CloudReader | None

    def read(self, window: Window) -> Reflectance:
        """Read all bands, decoded side by side, (bands, rows, cols), nodata 0."""
        bands = np.stack(list(self.pool.map(lambda reader: reader.read(window), self.readers)))
        if self.mask is not None:
            bands *= self._usability(bands, window, self.mask.cloud_margin) == Usability.USABLE
        return bands

    def read_small(self, window: Window, shape: Shape, bands: Sequence[str]) -> Reflectance:
        """Read some bands decimated for a picture, from lower resolutions of JPEG 2000."""
        chosen = {reader.band: reader for reader in self.readers if reader.band in bands}
        return np.stack([chosen[band].read_small(window, *shape) for band in bands])

    def _usability(self, bands: Reflectance, window: Window, margin: int) -> Mask:
        usability = validity(bands)
        if self.clouds is None:
            return usability
        (top, bottom), (left, right) = (
            (max(0, part.start - margin), min(side, part.stop + margin))
            for part, side in zip(window.toslices(), self.grid.shape, strict=True)
        )
        clouds = grow_clouds(
            self.clouds(Window(left, top, right - left, bottom - top)), margin
        )  # fmt: skip
        row, col = int(window.row_off) - top, int(window.col_off) - left
        inner = clouds[row : row + int(window.height), col : col + int(window.width)]
        return np.where(usability == Usability.USABLE, inner, usability)


@contextmanager
def open_product_pair(
    before: Path,
    after: Path,
    bands: tuple[str, ...],
    *,
    area: Area | None,
    mask: ProductMask | None,
    scratch: Path,
) -> Iterator[Pair]:
    """Open two products on the 10 m grid of their tile.

    Parameters
    ----------
    before, after : Path
        SAFEs, or what else ``open_product`` takes.
    bands : tuple of str
    area : Area, optional
        The part of the tile that is wanted.
    mask : ProductMask, optional
        What is nodata in the pair besides nodata of the products.
    scratch : Path
        Folder of the scratch files: as many bytes as the bands of both products have decoded.

    Raises
    ------
    InputError
        If a product cannot be used, or both are not of one tile.

    Notes
    -----
    The values are those of Jpeg2Tiff with its defaults, and with a mask those that are left where
    its mask is 0.
    """
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_NUM_THREADS=1))  # bands are decoded side by side
        pool = stack.enter_context(ThreadPoolExecutor(thread_count(), thread_name_prefix="band"))
        images: list[ProductImage] = []
        for name, path in (("before", before), ("after", after)):
            with blamed_on(name):
                granule = open_product(path).granule(area)
                grid = granule_grid(granule, PIXEL_M, area)
                if images:
                    check_grids(images[0].grid, grid)
                readers = [
                    stack.enter_context(open_band(granule, band, grid, METHOD, scratch))
                    for band in bands
                ]
                clouds = None
                if mask is not None and mask.open_clouds is not None:
                    clouds = stack.enter_context(mask.open_clouds(granule, grid))
            metadata = granule.metadata
            images.append(
                ProductImage(
                    metadata.to_tags(), metadata.image_id, grid, readers, pool, mask, clouds
                )
            )
        yield Pair(images[0].grid, images[0], images[1], bands)
