"""Where the result of a job lies."""

import pytest

from candela.contract.job import Box, OutputFile, OutputLiteral, ResultDocument
from candela.contract.layers import LayerContent, RasterHeader
from candela.jobs.footprints import footprint_of


def raster(*bounds):
    header = RasterHeader(
        epsg=32632, extent=(0, 0, 1, 1), bounds=bounds, rows=1, cols=1, dtype="uint8",
        nodata=None, bands=("b",),
    )  # fmt: skip
    return OutputFile(
        file="a.tif", media_type="image/tiff", size=1, sha256="", layer=LayerContent(header=header)
    )


def place(**outputs):
    return footprint_of(ResultDocument(job="1", status="succeeded", outputs=outputs))


def test_a_footprint_goes_around_all_layers_and_boxes():
    box = Box(bbox=(12, 44, 13, 45))
    assert place(a=raster(9, 45, 10, 46), b=box, c=OutputLiteral(value=1)) == (9, 44, 13, 46)


def test_a_box_in_metres_is_brought_to_degrees():
    west, south, east, north = place(a=Box(bbox=(6e5, 5.4e6, 6.1e5, 5.41e6), crs="EPSG:32632"))
    assert (west, south) == pytest.approx((10.36, 48.74), abs=0.02)
    assert (east, north) == pytest.approx((10.50, 48.84), abs=0.02)


def test_a_place_across_the_antimeridian_goes_beyond_180_degrees():
    assert place(a=raster(177, -20, -178, -15)) == (177, -20, 182, -15)


@pytest.mark.parametrize(
    "box",
    [
        Box(bbox=(345345345,) * 4, crs="urn:ogc:def:crs:EPSG:6.6:4326"),
        Box(bbox=(0, 0, 1, 1), crs="no system"),
    ],
)
def test_what_is_not_on_earth_has_no_footprint(box):
    assert place(a=box) is None
    assert place(a=box, b=raster(9, 45, 10, 46)) == (9, 45, 10, 46)
    assert place() is None
