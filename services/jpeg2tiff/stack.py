"""Put the bands of a granule into one GeoTIFF, all cores at work, strip by strip."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import rasterio
from rasterio.windows import Window

from candela.eo.progress import Progress
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.raster.resample import Method
from candela.eo.s2.bands import NODATA, open_band
from candela.eo.s2.product import Granule
from candela.eo.threads import thread_count

STRIP_ROWS = 1024  # a row of JPEG 2000 tiles at 10 m, two rows of GeoTIFF tiles


def write_stack(
    path: Path,
    granule: Granule,
    bands: Sequence[str],
    grid: Grid,
    method: Method,
    progress: Progress,
) -> None:
    """Write the bands as reflectance x 10 000 on a grid.

    Parameters
    ----------
    path : Path
        The GeoTIFF to make: uint16, nodata 0, bands described by ESA's names, tagged.
    granule : Granule
        Where the bands are.
    bands : sequence of str
        Which, in this order.
    grid : Grid
        ``granule.grid(...)`` or a part of it.
    method : str
        How bands of another pixel size are brought to the grid.
    progress : Progress
        Told after each strip.

    Raises
    ------
    InputError
        If a band is missing, damaged, or does not fit the others.

    Notes
    -----
    Decoding JPEG 2000 takes nearly all the time and one core per file, so bands are decoded
    side by side, the largest first, and written under a lock.
    """
    strips = list(split_rows(grid.shape))
    lock, stop = threading.Lock(), threading.Event()
    done = 0

    def convert(index: int, band: str, image: rasterio.io.DatasetWriter) -> None:
        nonlocal done
        with rasterio.Env(GDAL_NUM_THREADS=spare), open_band(granule, band, grid, method) as reader:
            for window in strips:
                if stop.is_set():
                    return
                values = reader.read(window)
                with lock:
                    image.write(values, index, window=window)
                    done += 1
                    progress(100 * done / len(strips) / len(bands), f"Decoding band {band}")

    spare = max(1, thread_count() // len(bands))
    order = sorted(enumerate(bands, 1), key=lambda item: granule.image(item[1], 10).pixel_m)
    with (
        create_image(
            path, grid, dtype="uint16", nodata=NODATA, bands=bands, tags=granule.metadata.to_tags()
        ) as image,
        ThreadPoolExecutor(thread_count(), thread_name_prefix="band") as pool,
    ):
        futures = [pool.submit(convert, index, band, image) for index, band in order]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            stop.set()


def split_rows(shape: Shape) -> Iterator[Window]:
    """Split an image into strips over its whole width."""
    for row in range(0, shape.rows, STRIP_ROWS):
        yield Window(0, row, shape.cols, min(STRIP_ROWS, shape.rows - row))
