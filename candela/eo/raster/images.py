"""Read and write images: band names, tags, tiled GeoTIFF."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import rasterio
from rasterio.dtypes import complex_int16
from rasterio.enums import Interleaving, Resampling
from rasterio.errors import RasterioIOError

from candela.eo.projection import check_place
from candela.eo.raster.band_names import band_of
from candela.eo.raster.grid import Grid
from candela.eo.raster.values import alpha_bands
from candela.eo.threads import thread_count
from candela.errors import InputError

CACHE_BYTES = 256 * 2**20  # GDAL takes small numbers as megabytes, rasterio always as bytes
NOWHERE = "http://127.0.0.1:9"  # the discard port
BLOCK = 512
ZSTD_LEVEL = 1  # fastest: higher levels save a few per cent
OVERVIEW_FACTORS = (2, 4, 8, 16, 32, 64)
# What images of users may be. Other drivers read files that name other files and addresses (VRT,
# WMS, STACIT ...), and an image is what its content says, not what its name ends in.
READ_DRIVERS = ("GTiff", "JP2OpenJPEG")
MOST_PIXELS = 2**36  # of a band: 50 times the largest scene; a few bytes may claim 2**62
MOST_BLOCK_BYTES = 2**30  # what is read at once, however little of it is wanted
_READ_FAILED = "Read failed"  # rasterio: of reading, not of writing
_UNRECOGNISED = "not recognized as being in a supported file format"


class Source(NamedTuple):
    """An image that a job may look at without fetching it whole.

    Attributes
    ----------
    href : str
        The address without its secrets: what results refer to.
    location : str
        The path; where there is ``content``, just a name.
    content : callable, optional
        Opens the image as a binary file, of which only what is read needs to be fetched. It may be
        called several times, and raises a ``PublicError`` if the image cannot be had.
    """

    href: str
    location: str
    content: Callable[[], BinaryIO] | None = None


@contextmanager
def gdal_environment() -> Iterator[None]:
    """Give GDAL this process's threads, a bounded cache, no side-car files and no network.

    What comes from elsewhere is fetched by the worker, which checks addresses; GDAL would follow
    any that a file names.

    Raises
    ------
    InputError
        If pixels of an image cannot be read: it is damaged, or has other blocks than it claims.
    """
    with (
        _damage_as_input_error(),
        rasterio.Env(
            GDAL_CACHEMAX=CACHE_BYTES,
            GDAL_NUM_THREADS=thread_count(),
            GDAL_PAM_ENABLED=False,
            GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",
            CPL_VSIL_CURL_ALLOWED_FILENAME="none",
            GDAL_HTTP_PROXY=NOWHERE,
            GDAL_HTTPS_PROXY=NOWHERE,
        ),
    ):
        yield


@contextmanager
def _damage_as_input_error() -> Iterator[None]:
    try:
        yield
    except RasterioIOError as error:
        if not str(error).startswith(_READ_FAILED):
            raise
        raise InputError(f"an image is damaged: {error.__cause__ or error}") from error


@contextmanager
def open_image(image: Path | str | Source) -> Iterator[rasterio.DatasetReader]:
    """Open a GeoTIFF or JPEG 2000 image for reading, whatever its name ends in.

    Parameters
    ----------
    image : Path, str or Source
        A path, also a virtual one of GDAL's; or what the worker hands over instead of a file.

    Raises
    ------
    InputError
        If the file is no such image, a damaged one, one that refers to other files, claims to be
        larger than any scene, or lies nowhere on Earth.
    """
    source = image if isinstance(image, Source) else Source("", str(image))
    name = Path(source.location).name
    try:
        dataset = _open(source)
    except RasterioIOError as error:
        reason = str(error).replace(source.location, name)  # where we keep it is no one's business
        raise InputError(f"{name} cannot be read as an image: {reason}") from error
    with dataset:
        # NOTE: a GeoTIFF can name any file or address as its overviews, and GDAL would open it.
        if dataset.tags(ns="OVERVIEWS"):
            raise InputError(f"{name} refers to overviews in another file, which is not accepted")
        try:
            _check_claims(dataset)
        except ValueError as error:
            raise InputError(f"{name} {error}") from None
        check_place(dataset, name)
        yield dataset


def _check_claims(dataset: rasterio.DatasetReader) -> None:
    """Refuse sizes that nobody could work with; nothing that is in the file stands behind them."""
    if dataset.width * dataset.height > MOST_PIXELS:
        raise ValueError(
            f"claims {dataset.width} x {dataset.height} pixels; at most {MOST_PIXELS} are read"
        )
    rows, cols = dataset.block_shapes[0] if dataset.count else (0, 0)
    together = dataset.count if dataset.interleaving is Interleaving.pixel else 1
    block_bytes = rows * cols * together * max(map(_bytes_of, set(dataset.dtypes)), default=0)
    if block_bytes > MOST_BLOCK_BYTES:
        raise ValueError(f"has blocks of {block_bytes} bytes; at most {MOST_BLOCK_BYTES} are read")


def _bytes_of(dtype: str) -> int:
    return 4 if dtype == complex_int16 else np.dtype(dtype).itemsize


def _open(source: Source) -> rasterio.DatasetReader:
    *first, last = READ_DRIVERS
    for driver in first:
        try:
            return _open_with(source, driver)
        except RasterioIOError as error:
            if _UNRECOGNISED not in str(error):
                raise
    return _open_with(source, last)


def _open_with(source: Source, driver: str) -> rasterio.DatasetReader:
    content, name = source.content, source.location
    if content is None:
        return rasterio.open(name, driver=driver)

    def reopen(path: str, mode: str = "rb") -> BinaryIO:  # noqa: ARG001 - so rasterio calls it
        if path != name:  # GDAL looks for files beside it
            raise FileNotFoundError(path)
        return content()

    content().close()  # what is wrong is told here; out of GDAL comes little of it
    return rasterio.open(name, driver=driver, opener=reopen)


def band_indexes(
    dataset: rasterio.DatasetReader, names: Sequence[str], given: Sequence[str] = ()
) -> list[int]:
    """Find bands by their names.

    Parameters
    ----------
    dataset : rasterio dataset
    names : sequence of str
        What is looked for, as ESA calls it.
    given : sequence of str
        What the bands of the file are called, in its order, with or without alpha bands at the
        end; by default their descriptions, in any spelling of ``band_of``, and for a file of one
        band without one its own name.

    Returns
    -------
    list of int
        The 1-based indexes, in the order of ``names``.

    Raises
    ------
    InputError
        If a band is missing or there twice; the message says how to name bands.
    """
    file = Path(dataset.name)
    present = list(given) or [description or "" for description in dataset.descriptions]
    if given and len(given) not in {dataset.count, _opaque_bands(dataset)}:
        raise InputError(
            f"{len(given)} names of bands are given ({', '.join(given)}), but {file.name} has "
            f"{dataset.count} bands"
        )
    if present == [""]:
        present = [file.stem]
    known = [band_of(name) or name for name in present]
    missing = [name for name in names if name not in known]
    if missing:
        found = ", ".join(name or "(no name)" for name in present)
        hint = (
            "; give the names in the order of the file as the input bands, or write them into it "
            "as descriptions"
        )
        raise InputError(
            f"band {', '.join(missing)} missing in {file.name} (bands: {found})"
            f"{hint if '' in present else ''}"
        )
    twice = [name for name in names if known.count(name) > 1]
    if twice:
        raise InputError(
            f"band {', '.join(twice)} stands twice in {file.name} (bands: {', '.join(present)})"
        )
    return [known.index(name) + 1 for name in names]


def _opaque_bands(dataset: rasterio.DatasetReader) -> int:
    """Return the number of bands without those of opacity at the end."""
    alphas, count = alpha_bands(dataset), dataset.count
    while count in alphas:
        count -= 1
    return int(count)


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

    Notes
    -----
    Bands lie apart: most readers want a few of them. Images of several bands have no predictor,
    since GeoServer's TIFF reader (imageio-ext to 1.4.14, in GeoServer 2.26) cannot decode both
    together. They are about a tenth larger, and faster to write and to read (docs/performance.md).
    """
    predictor = 1 if len(bands) > 1 else 3 if dtype.startswith("float") else 2
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
        "predictor": predictor,
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
