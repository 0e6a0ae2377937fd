"""Power as decibels, for a map server that knows no logarithms: a virtual raster with a table."""

import math
from pathlib import Path
from xml.sax.saxutils import escape

from candela.contract.layers import RasterHeader

RANGE_DB = (-60, 40)  # what is beyond is as the end
STEPS_PER_DB = 2  # between them linear: wrong by at most 0.01 dB
NODATA = -9999


def virtual_raster(path: Path, header: RasterHeader, band: int) -> str:
    """Return a raster in GDAL's virtual format: one band of decibels.

    Parameters
    ----------
    path : Path
        The raster with linear power.
    header : RasterHeader
        Of that raster.
    band : int
        Which of its bands, from 1.
    """
    low, high = (level * STEPS_PER_DB for level in RANGE_DB)
    levels = [step / STEPS_PER_DB for step in range(low, high + 1)]
    table = ",".join(f"{10 ** (level / 10):.9g}:{level:g}" for level in levels)
    left, _, _, top = header.extent
    width, height = header.resolution
    size = f"rasterXSize='{header.cols}' rasterYSize='{header.rows}'"
    nodata = f"<NODATA>{header.nodata}</NODATA>" if has_number(header.nodata) else ""
    return (
        f"<VRTDataset {size}><SRS>EPSG:{header.epsg}</SRS>"
        f"<GeoTransform>{left!r},{width!r},0,{top!r},0,{-height!r}</GeoTransform>"
        f"<VRTRasterBand dataType='Float32' band='1'><NoDataValue>{NODATA}</NoDataValue>"
        f"<ComplexSource><SourceFilename relativeToVRT='0'>{escape(str(path))}</SourceFilename>"
        f"<SourceBand>{band}</SourceBand>{nodata}<LUT>{table}</LUT></ComplexSource>"
        "</VRTRasterBand></VRTDataset>"
    )


def has_number(nodata: str | None) -> bool:
    """Tell whether a raster's value of nodata is a number."""
    return nodata is not None and not math.isnan(float(nodata))
