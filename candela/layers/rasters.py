"""What a map server must know of a raster."""

import contextlib
import datetime as dt
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import CRSError, RasterioIOError

from candela.contract.layers import Range, RasterHeader
from candela.eo.projection import check_place, geographic_bounds
from candela.errors import InputError, PublicationError

SAMPLE_PIXELS = 512  # side of the reduced copy from which the usual range of values is taken
USUAL_PERCENTILES = (2, 98)
TIME_TAGS = ("End_date", "SENSING_TIME")  # of a change map, of an image


def read_header(path: Path) -> RasterHeader:
    """Read what the map server must know of a raster.

    Raises
    ------
    PublicationError
        If the file cannot be read, or cannot be put on a map.
    """
    try:
        with rasterio.open(path, driver="GTiff") as dataset:
            return _header_of(dataset)
    except (RasterioIOError, CRSError) as error:
        raise PublicationError(f"{path.name} cannot be read as an image: {error}") from error


def _header_of(dataset: rasterio.DatasetReader) -> RasterHeader:
    name = Path(dataset.name).name
    if dataset.crs is None:
        raise PublicationError(f"{name} has no coordinate reference system")
    epsg = dataset.crs.to_epsg()
    if epsg is None:
        raise PublicationError(f"the coordinate reference system of {name} has no EPSG code")
    transform = dataset.transform
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise PublicationError(f"{name} is not north up (transform {tuple(transform)[:6]})")
    try:
        check_place(dataset, name)
        bounds = geographic_bounds(tuple(dataset.bounds), dataset.crs, name)
    except InputError as error:
        raise PublicationError(error.message) from None
    return RasterHeader(
        epsg=epsg,
        extent=tuple(dataset.bounds),
        bounds=bounds,
        rows=dataset.height,
        cols=dataset.width,
        dtype=dataset.dtypes[0],
        nodata=None if dataset.nodata is None else f"{dataset.nodata:.17g}",
        bands=_band_names(dataset.descriptions),
        time=_time(dataset.tags()),
        usual=tuple(_usual_range(dataset, band) for band in dataset.indexes),
    )


def _time(tags: Mapping[str, str]) -> dt.datetime | None:
    """Return the time of the newest image in a raster, to the second."""
    for name in TIME_TAGS:
        with contextlib.suppress(KeyError, ValueError):
            time = dt.datetime.fromisoformat(tags[name])
            if time.tzinfo is None:
                time = time.replace(tzinfo=dt.UTC)
            return time.astimezone(dt.UTC).replace(microsecond=0)
    return None


def _band_names(descriptions: tuple[str | None, ...]) -> tuple[str, ...]:
    """Make XML names of descriptions; where that leaves two alike, number all."""
    names = [
        re.sub(r"^(?=[^A-Za-z_])", "_", re.sub(r"[^A-Za-z0-9_.-]", "_", description))
        if description
        else f"band_{position}"
        for position, description in enumerate(descriptions, 1)
    ]
    if len(set(names)) < len(names):
        names = [f"band_{position}" for position in range(1, len(names) + 1)]
    return tuple(names)


def _usual_range(dataset: rasterio.DatasetReader, band: int) -> Range:
    """Return the values between which most of a band lies, from a reduced copy."""
    shape = (min(SAMPLE_PIXELS, dataset.height), min(SAMPLE_PIXELS, dataset.width))
    values = dataset.read(band, out_shape=shape, masked=True).compressed()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, USUAL_PERCENTILES))
    if low >= high:
        high = max(low + 1, math.nextafter(low, math.inf))  # 1 is nothing to a large number
    # Between the largest numbers there are is an infinite one.
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (0.0, 1.0)
