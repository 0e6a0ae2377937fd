"""What a GeoServer finds in files: rasters, their pixels and times, tables of GeoPackages."""

import datetime as dt
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import rasterio
from rasterio.errors import RasterioIOError
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from geoserver_double.refusals import RefusalError


def path_of(url: str) -> str:
    return unquote(urlsplit(url).path) if url.startswith("file:") else url


def is_local(url: str) -> bool:
    return path_of(url).startswith("/")


def stem(url: str) -> str:
    return Path(path_of(url)).stem


def read_header(url: str) -> dict:
    """Return what its reader knows of a raster; which pixels it can decode is another thing."""
    if not is_local(url):
        return {"bounds": (0.0, 0.0, 1.0, 1.0), "srs": "EPSG:32632", "count": 1, "nodata": None}
    try:
        with rasterio.open(path_of(url)) as dataset:
            bounds = tuple(dataset.bounds)
            return {
                "bounds": bounds, "srs": f"EPSG:{dataset.crs.to_epsg()}", "count": dataset.count,
                "nodata": dataset.nodata,
                "degrees": transform_bounds(dataset.crs, "EPSG:4326", *bounds),
            }  # fmt: skip
    except RasterioIOError:
        raise RefusalError(500, f"Failed to create reader from {url} and hints Hints:") from None


def describe(url: str) -> dict:
    """Return the part of a coverage that comes from its raster: bands have names of its own."""
    header = read_header(url)
    names = ["GRAY_INDEX"] if header["count"] == 1 else [
        f"Band{index}" for index in range(1, header["count"] + 1)
    ]  # fmt: skip
    nodata = header["nodata"]
    null = {"double": "NaN" if nodata is None or nodata != nodata else nodata}
    dimensions = [
        {"name": name, "range": {"min": "-inf", "max": "inf"}, "nullValues": null}
        for name in names
    ]  # fmt: skip
    one_or_many = dimensions[0] if len(dimensions) == 1 else dimensions
    return {"srs": header["srs"], "dimensions": {"coverageDimension": one_or_many}}


def read_pixel(url: str, x: float, y: float) -> list[float] | None:
    """Return the values at a place, None outside.

    imageio-ext 1.4.14 and older takes tiles of one band for tiles of all where bands lie apart and
    a predictor was used.
    """
    if not is_local(url):
        return [0.5]
    with rasterio.open(path_of(url)) as image:
        structure = image.tags(ns="IMAGE_STRUCTURE")
        apart = structure.get("INTERLEAVE") == "BAND" and image.count > 1
        if apart and structure.get("PREDICTOR", "1") != "1":
            raise IndexError('Cannot invoke "java.awt.image.Raster.getPixel(int, int, double[])"')
        row, col = image.index(x, y)
        if not (0 <= row < image.height and 0 <= col < image.width):
            return None
        return [float(value) for value in image.read(window=Window(col, row, 1, 1))[:, 0, 0]]


def read_table(parameters: dict[str, str], table: str | None) -> dict | None:
    """Return what is found in a GeoPackage of a table, or None where it has none."""
    path = Path(path_of(parameters["database"]))
    if parameters["dbtype"] != "geopkg" or not path.is_file():
        raise RefusalError(500, "Failed to find the datastore factory, or to open the database")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        contents = database.execute(
            "SELECT min_x, min_y, max_x, max_y, srs_id FROM gpkg_contents"
            " WHERE data_type = 'features' AND table_name = ?", [table],
        ).fetchone()  # fmt: skip
        if contents is None:
            return None
        columns = database.execute("SELECT name FROM pragma_table_info(?)", [table]).fetchall()
    *box, epsg = contents
    return {
        "nativeName": table, "srs": f"EPSG:{epsg}",
        "nativeBoundingBox": dict(zip(("minx", "miny", "maxx", "maxy"), box, strict=True)),
        "attributes": {"attribute": [{"name": name} for (name,) in columns if name != "fid"]},
    }  # fmt: skip


def time_in_name(regex: str, location: str) -> str:
    """Return the time in a file's name, as TimestampFileNameExtractorSPI finds it."""
    pattern, _, form = regex.removeprefix("regex=").partition(",format=")
    match = re.search(pattern, Path(location).stem)
    if match is None:
        raise RefusalError(500, f"no time in {location}")
    for java, python in {
        "yyyy": "%Y", "MM": "%m", "dd": "%d", "'T'": "T", "HH": "%H", "mm": "%M", "ss": "%S",
    }.items():  # fmt: skip
        form = form.replace(java, python, 1)
    time = dt.datetime.strptime(match.group(), form).replace(tzinfo=dt.UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S.000Z}"
