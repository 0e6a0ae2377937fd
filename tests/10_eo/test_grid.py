import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from candela.eo.raster.grid import Area, Bounds, Grid, Shape

UTM = CRS.from_epsg(32631)
TILE = Grid(UTM, Affine(10, 0, 300_000, 0, -10, 4_900_020), Shape(100, 200))


def test_bounds_are_the_outer_edges():
    assert TILE.bounds == Bounds(300_000, 4_899_020, 302_000, 4_900_020)


def test_grids_match_up_to_a_hundredth_of_a_pixel():
    nearly = TILE._replace(transform=Affine(10, 0, 300_000.05, 0, -10, 4_900_020))
    shifted = TILE._replace(transform=Affine(10, 0, 300_001, 0, -10, 4_900_020))
    assert TILE.matches(nearly)
    assert not TILE.matches(shifted)


def test_grids_of_different_size_or_crs_do_not_match():
    assert not TILE.matches(TILE._replace(shape=Shape(100, 199)))
    assert not TILE.matches(TILE._replace(crs=CRS.from_epsg(32632)))


def test_a_cut_lies_where_its_window_says():
    part = TILE.cut(Window(20, 10, 50, 40))
    assert part.shape == Shape(40, 50)
    assert part.bounds == Bounds(300_200, 4_899_520, 300_700, 4_899_920)


def test_an_area_on_pixel_edges_selects_exactly_these_pixels():
    area = Area(Bounds(300_200, 4_899_520, 300_700, 4_899_920), "EPSG:32631")
    assert TILE.window(area) == Window(20, 10, 50, 40)


def test_an_area_between_pixel_edges_is_widened_to_whole_pixels():
    area = Area(Bounds(300_201, 4_899_521, 300_699, 4_899_919), "EPSG:32631")
    assert TILE.window(area) == Window(20, 10, 50, 40)


def test_an_area_beyond_the_edge_is_clipped():
    area = Area(Bounds(299_000, 4_899_520, 300_100, 4_999_000), "EPSG:32631")
    assert TILE.window(area) == Window(0, 0, 10, 50)


@pytest.mark.parametrize("left", [200_000, 400_000])
def test_an_area_elsewhere_selects_nothing(left):
    area = Area(Bounds(left, 4_899_520, left + 1000, 4_899_920), "EPSG:32631")
    assert TILE.window(area).width == 0


def test_an_area_in_degrees_covers_at_least_itself():
    wanted = Bounds(300_500, 4_899_300, 301_000, 4_899_700)
    degrees = Bounds(*transform_bounds(UTM, "EPSG:4326", *wanted))
    found = TILE.cut(TILE.window(Area(degrees, "EPSG:4326"))).bounds
    assert found.left <= wanted.left and found.right >= wanted.right
    assert found.bottom <= wanted.bottom and found.top >= wanted.top
    assert found.right - found.left < 2 * (wanted.right - wanted.left)
