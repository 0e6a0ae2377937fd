"""What a worker tells a map server of its rasters and polygons; the pixels stay where they are."""

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict

from candela.errors import PublicationError

Range = tuple[float, float]
ID = "feature_id"  # counts the features of the result; patches have the number that vectors name
GEOMETRY = "geom"
DEGREE_DIGITS, METRE_DIGITS = 15, 9  # of coordinates, after the point: as exact as they are kept


class Header(BaseModel):
    """Place of a raster, or of polygons.

    Attributes
    ----------
    epsg : int
        The EPSG code of the coordinate reference system.
    extent : tuple of float
        Left, bottom, right and top edge, in units of the CRS.
    bounds : tuple of float
        West, south, east and north edge in degrees (WGS 84).
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    epsg: int
    extent: tuple[float, float, float, float]
    bounds: tuple[float, float, float, float]


class RasterHeader(Header):
    """Place, size and bands of a raster.

    Attributes
    ----------
    rows, cols : int
        Size in pixels.
    dtype : str
        The data type, as numpy names it.
    nodata : str or None
        The value of pixels without data, as text (``nan``, ``0``).
    bands : tuple of str
        Unique names of the bands, fit for XML.
    time : datetime or None
        When what it shows was seen last, from the dataset tags that processes write.
    usual : tuple of (float, float)
        For each band the values between which most of its pixels lie (2nd and 98th percentile).
    """

    rows: int
    cols: int
    dtype: str
    nodata: str | None
    bands: tuple[str, ...]
    time: dt.datetime | None = None
    usual: tuple[Range, ...] = ()

    @property
    def resolution(self) -> tuple[float, float]:
        """Width and height of a pixel, in units of the CRS."""
        left, bottom, right, top = self.extent
        return (right - left) / self.cols, (top - bottom) / self.rows

    def band_position(self, band: str | int) -> int:
        """Return the position of a band, from 1.

        Raises
        ------
        PublicationError
            If the raster has no such band.
        """
        if isinstance(band, int) and 1 <= band <= len(self.bands):
            return band
        if band in self.bands:
            return self.bands.index(str(band)) + 1
        raise PublicationError(f"band {band} missing (bands: {', '.join(self.bands)})")


class VectorHeader(Header):
    """Place, kind and attributes of polygons.

    Attributes
    ----------
    geometry : {"Polygon", "MultiPolygon"}
        What all are, or can be taken for.
    count : int
        How many there are with a place.
    attributes : tuple of str
        Their names as they are served.
    """

    geometry: Literal["Polygon", "MultiPolygon"]
    count: int
    attributes: tuple[str, ...]

    @property
    def digits(self) -> int:
        """How many digits of coordinates after the point are served."""
        return DEGREE_DIGITS if max(map(abs, self.extent)) <= 360 else METRE_DIGITS


class LayerContent(BaseModel):
    """What an output that becomes a layer shows.

    Attributes
    ----------
    features : str
        The file under ``outputs/`` with the polygons as map servers want them: a GeoPackage with
        one table, called like the layer. Empty for a raster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: RasterHeader | VectorHeader
    features: str = ""
