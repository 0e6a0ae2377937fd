"""Heights of the ground from numbers, products and terrain models."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from candela.eo.ellipsoid import GEOGRAPHIC, project
from candela.eo.raster.grid import Grid, Shape
from candela.eo.s1.annotation import GeolocationGrid
from candela.eo.s1.heights import ConstantHeight, Dem, ProductHeights
from candela.errors import InputError

UTM = CRS.from_epsg(32631)
GRID = Grid(UTM, Affine(10, 0, 350000, 0, -10, 4830000), Shape(300, 320))


def places(grid):
    cols, rows = np.meshgrid(np.arange(grid.shape.cols) + 0.5, np.arange(grid.shape.rows) + 0.5)
    x, y = grid.transform @ (cols, rows)
    return project(grid.crs, GEOGRAPHIC, x, y)


def plane(longitudes, latitudes):
    return 300 + 4000 * (longitudes - 1.2) - 3000 * (latitudes - 43.6)


def write(path, values, transform, *, crs=GEOGRAPHIC, nodata=None, **options):
    bands = values[None] if values.ndim == 2 else values
    profile = {
        "driver": "GTiff", "dtype": bands.dtype, "count": len(bands), "crs": crs,
        "height": bands.shape[1], "width": bands.shape[2], "transform": transform,
        "nodata": nodata,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile | options) as dataset:
        dataset.write(bands)
    return path


def degrees_dem(path, *, left=1.1, top=43.7, step=1 / 3600, size=700, change=None, **options):
    transform = Affine(step, 0, left, 0, -step, top)
    cols, rows = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    values = plane(*(np.asarray(axis) for axis in transform @ (cols, rows)))
    values = (values if change is None else change(values)).astype(np.float32)
    return write(path, values, transform, **options)


def test_a_constant_is_everywhere():
    assert (ConstantHeight(12.5).read(GRID) == 12.5).all()
    assert ConstantHeight(12.5).tags()["HEIGHT_M"] == "12.5"


def test_a_dem_in_degrees_is_interpolated_onto_the_grid(tmp_path):
    dem = Dem(degrees_dem(tmp_path / "dem.tif"))
    assert np.abs(dem.read(GRID) - plane(*places(GRID))).max() < 0.02
    assert dem.tags()["DEM"] == "dem.tif"
    assert dem.tags()["DEM_HEIGHTS_ABOVE"] == "ellipsoid"


def test_parts_of_the_grid_have_the_heights_of_the_whole(tmp_path):
    dem = Dem(degrees_dem(tmp_path / "dem.tif"))
    part = GRID.cut(Window(37, 51, 130, 99))
    assert np.abs(dem.read(part) - dem.read(GRID)[51:150, 37:167]).max() < 1e-2


def test_a_fine_dem_is_averaged_not_picked(tmp_path):
    transform = Affine(2, 0, 349900, 0, -2, 4830100)
    rows, cols = np.mgrid[:1700, :1700]
    bumpy = (100 + 50.0 * ((rows + cols) % 2)).astype(np.float32)
    dem = Dem(write(tmp_path / "fine.tif", bumpy, transform, crs=UTM))
    assert np.abs(dem.read(GRID) - 125).max() < 1.01  # 12 or 13 of 25 pixels are high


def test_pixels_without_data_are_sea(tmp_path):
    def flood(values):
        values[:, :210] = -32768
        return values

    dem = Dem(degrees_dem(tmp_path / "dem.tif", change=flood, nodata=-32768))
    heights, (longitudes, latitudes) = dem.read(GRID), places(GRID)
    shore = 1.1 + 210 / 3600
    land, sea = longitudes > shore + 1e-3, longitudes < shore - 1e-3
    assert land.any()
    assert sea.any()
    assert (heights[sea] == 0).all()
    assert np.abs(heights[land] - plane(longitudes, latitudes)[land]).max() < 0.02


def test_voids_that_are_not_declared_are_sea(tmp_path):
    def flood(values):
        values[:] = -32768
        return values

    assert (Dem(degrees_dem(tmp_path / "dem.tif", change=flood)).read(GRID) == 0).all()


def test_scaled_integers_are_metres(tmp_path):
    path = degrees_dem(tmp_path / "dem.tif", change=lambda values: values * 10 - 50)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.1,), (5.0,)
    assert np.abs(Dem(path).read(GRID) - plane(*places(GRID))).max() < 0.02


def test_a_geoid_is_added(tmp_path):
    geoid = write(
        tmp_path / "egm.tif", np.full((20, 20), 48.5, np.float32), Affine(0.1, 0, 0, 0, -0.1, 45)
    )
    dem = Dem(degrees_dem(tmp_path / "dem.tif"), geoid)
    assert np.abs(dem.read(GRID) - plane(*places(GRID)) - 48.5).max() < 0.02
    assert dem.tags()["DEM_HEIGHTS_ABOVE"] == "egm.tif"


def test_a_geoid_with_longitudes_beyond_180_is_understood(tmp_path):
    values = np.full((180, 360), 30, np.float32)
    geoid = write(tmp_path / "egm.tif", values, Affine(1, 0, 180, 0, -1, 90))
    dem = Dem(degrees_dem(tmp_path / "dem.tif"), geoid)
    dem.check_covers(*places(GRID))
    assert np.abs(dem.read(GRID) - plane(*places(GRID)) - 30).max() < 0.02


def test_beyond_the_dem_heights_are_unknown(tmp_path):
    dem = Dem(degrees_dem(tmp_path / "dem.tif", left=1.15))
    heights, (longitudes, _) = dem.read(GRID), places(GRID)
    assert np.isnan(heights[longitudes < 1.1499]).all()
    assert np.isfinite(heights[longitudes > 1.1501]).all()
    far = GRID._replace(transform=Affine(10, 0, 550000, 0, -10, 4830000))
    assert np.isnan(dem.read(far)).all()


def test_a_dem_that_does_not_cover_is_refused_with_both_extents(tmp_path):
    dem = Dem(degrees_dem(tmp_path / "dem.tif"))
    dem.check_covers(np.array([1.11, 1.29]), np.array([43.51, 43.69]))
    with pytest.raises(
        InputError, match=r"1\.100 to 1\.294 .* needed in longitudes 1\.110 to 1\.4"
    ):
        dem.check_covers(np.array([1.11, 1.4]), np.array([43.51, 43.69]))


def test_what_is_no_dem_is_refused(tmp_path):
    values = np.zeros((2, 5, 5), np.float32)
    two = write(tmp_path / "two.tif", values, Affine(1, 0, 5, 0, -1, 9))
    with pytest.raises(InputError, match=r"two\.tif has 2 bands"):
        Dem(two)
    nowhere = write(tmp_path / "nowhere.tif", values[0], Affine(1, 0, 5, 0, -1, 9), crs=None)
    with pytest.raises(InputError, match="no coordinate reference system"):
        Dem(nowhere)


def test_a_truncated_dem_is_refused(tmp_path):
    path = degrees_dem(tmp_path / "dem.tif")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(InputError, match=r"dem\.tif cannot be read"):
        Dem(path).read(GRID)


def product_points(longitudes, latitudes, heights):
    nothing = np.zeros(len(longitudes))
    times = np.zeros(len(longitudes), dtype="datetime64[us]")
    return GeolocationGrid(
        times, nothing, nothing, nothing, longitudes, latitudes, heights, nothing
    )


def test_a_products_own_heights_are_interpolated_between_its_points():
    longitudes, latitudes = (a.ravel() for a in np.meshgrid([1.0, 1.2, 1.4], [43.4, 43.6, 43.8]))
    heights = ProductHeights(
        product_points(longitudes, latitudes, plane(longitudes, latitudes))
    ).read(GRID)
    assert np.abs(heights - plane(*places(GRID))).max() < 0.5


def test_parts_have_the_heights_that_a_product_gives_the_whole():
    random = np.random.default_rng(5)
    longitudes, latitudes, heights = random.uniform([1.1, 43.5, 0], [1.3, 43.7, 2000], (40, 3)).T
    own = ProductHeights(product_points(longitudes, latitudes, heights))
    window = Window(37, 51, 130, 99)
    difference = own.read(GRID, window) - own.read(GRID)[51:150, 37:167]
    assert np.abs(difference).max() < 1e-3


def test_beyond_a_products_points_the_nearest_holds():
    grid = product_points(
        np.array([8.0, 8.1, 8.0]), np.array([43.6, 43.6, 43.7]), np.array([10.0, 20.0, 30.0])
    )
    assert np.abs(ProductHeights(grid).read(GRID) - np.full(GRID.shape, 10)).max() < 1e-4
