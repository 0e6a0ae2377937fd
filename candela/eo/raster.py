"""Read and write images: band names, tags, tiled GeoTIFF."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError

from candela.eo.grid import Grid
from candela.eo.threads import thread_count
from candela.errors import InputError

CACHE_BYTES = 256 * 2**20  # GDAL takes small numbers as megabytes, rasterio always as bytes
BLOCK = 512
ZSTD_LEVEL = 1  # fastest: higher levels save a few per cent
OVERVIEW_FACTORS = (2, 4, 8, 16, 32, 64)


class Source(NamedTuple):
    """An image that a job may look at without fetching it whole.

    Attributes
    ----------
    href : str
        The address as the user gave it: what results refer to.
    location : str
        What rasterio opens: a path, or a GDAL virtual file such as ``/vsicurl/...``.
    """

    href: str
    location: str


@contextmanager
def gdal_environment() -> Iterator[None]:
    """Give GDAL this process's threads, a bounded cache and no side-car files."""
    with rasterio.Env(
        GDAL_CACHEMAX=CACHE_BYTES,
        GDAL_NUM_THREADS=thread_count(),
        GDAL_PAM_ENABLED=False,
        GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",
    ):
        yield


@contextmanager
def open_image(path: Path | str) -> Iterator[rasterio.DatasetReader]:
    """Open an image for reading, whatever its name ends in.

    Raises
    ------
    InputError
        If the file is no image, or a damaged one.
    """
    name = Path(path).name
    try:
        dataset = rasterio.open(path)
    except RasterioIOError as error:
        reason = str(error).replace(str(path), name)  # where we keep it is no one's business
        raise InputError(f"{name} cannot be read as an image: {reason}") from error
    with dataset:
        yield dataset


def band_indexes(dataset: rasterio.DatasetReader, names: Sequence[str]) -> list[int]:
    """Find bands by their descriptions.

    Returns
    -------
    list of int
        The 1-based indexes, in the order of ``names``.

    Raises
    ------
    InputError
        If a band is missing.
    """
    present = list(dataset.descriptions)
    missing = [name for name in names if name not in present]
    if missing:
        found = ", ".join(description or "(no name)" for description in present)
        raise InputError(
            f"band {', '.join(missing)} missing in {Path(dataset.name).name} (bands: {found})"
        )
    return [present.index(name) + 1 for name in names]


@contextmanager
def create_image(
    path: Path,
    grid: Grid,
    *,
    dtype: str,
    nodata: float,
    bands: Sequence[str],
    tags: Mapping[str, str] | None = None,
) -> Iterator[rasterio.io.DatasetWriter]:
    """Create a tiled GeoTIFF (ZSTD, 512 blocks) with named bands and tags.

    Parameters
    ----------
    path : Path
        The file; it is removed again if the body of the ``with`` raises.
    grid : Grid
        Size and place of the image.
    dtype : str
        ``uint8``, ``uint16``, ``float32`` ...
    nodata : float
        The value of pixels without data.
    bands : sequence of str
        The description of each band.
    tags : mapping of str to str, optional
        Dataset tags.
    """
    profile = {
        "driver": "GTiff",
        "dtype": dtype,
        "nodata": nodata,
        "count": len(bands),
        "height": grid.shape.rows,
        "width": grid.shape.cols,
        "crs": grid.crs,
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "band",
        "compress": "ZSTD",
        "zstd_level": ZSTD_LEVEL,
        "predictor": 3 if dtype.startswith("float") else 2,
        "bigtiff": "IF_SAFER",
        "num_threads": thread_count(),
    }
    try:
        with rasterio.open(path, "w", **profile) as dataset:
            for index, name in enumerate(bands, 1):
                dataset.set_band_description(index, name)
            dataset.update_tags(**(tags or {}))
            yield dataset
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def add_overviews(path: Path, *, resampling: Resampling = Resampling.average) -> None:
    """Add reduced-resolution copies, down to about one block, for fast display."""
    # NOTE: GDAL forgets the level that the image was written with; its own is five times slower
    with rasterio.Env(ZSTD_LEVEL_OVERVIEW=ZSTD_LEVEL), rasterio.open(path, "r+") as dataset:
        longest = max(dataset.shape)
        factors = [factor for factor in OVERVIEW_FACTORS if longest // (factor // 2) > BLOCK]
        if factors:
            dataset.build_overviews(factors, resampling)
