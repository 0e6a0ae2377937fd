import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from candela.eo.grid import Grid, Shape
from candela.eo.raster import add_overviews, band_indexes, create_image, open_image
from candela.errors import InputError

GRID = Grid(CRS.from_epsg(32631), Affine(10, 0, 300_000, 0, -10, 4_900_020), Shape(1200, 1100))


def write(path, values, bands=("B02", "B04"), **options):
    settings = {"dtype": "uint16", "nodata": 0} | options
    with create_image(path, GRID, bands=bands, tags={"TILE_ID": "T31TCJ"}, **settings) as image:
        image.write(values)


@pytest.fixture
def image(tmp_path):
    values = np.random.default_rng(1).integers(1, 5000, (2, *GRID.shape), dtype=np.uint16)
    path = tmp_path / "image.tif"
    write(path, values)
    return path


def test_an_image_keeps_grid_names_tags_and_nodata(image):
    with open_image(image) as dataset:
        assert Grid.of(dataset).matches(GRID)
        assert dataset.descriptions == ("B02", "B04")
        assert dataset.tags()["TILE_ID"] == "T31TCJ"
        assert dataset.nodata == 0


def test_an_image_is_tiled_and_compressed_without_loss(tmp_path):
    values = np.random.default_rng(2).integers(0, 65535, (1, *GRID.shape), dtype=np.uint16)
    path = tmp_path / "image.tif"
    write(path, values, bands=["B02"])
    with rasterio.open(path) as dataset:
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.compression.name == "zstd"
        np.testing.assert_array_equal(dataset.read(), values)


def test_bands_are_found_by_name_in_the_order_wanted(image):
    with open_image(image) as dataset:
        assert band_indexes(dataset, ["B04", "B02"]) == [2, 1]


def test_a_missing_band_is_named_with_those_that_are_there(image):
    with (
        open_image(image) as dataset,
        pytest.raises(InputError, match=r"band B08 missing in image\.tif \(bands: B02, B04\)"),
    ):
        band_indexes(dataset, ["B02", "B08"])


def test_a_file_that_is_no_image_is_refused_without_telling_where_it_lies(tmp_path):
    path = tmp_path / "notes.tif"
    path.write_text("no image")
    with (
        pytest.raises(InputError, match=r"notes\.tif cannot be read as an image") as caught,
        open_image(path),
    ):
        pass
    assert str(tmp_path) not in caught.value.message


def test_nothing_is_left_where_writing_failed(tmp_path):
    path = tmp_path / "image.tif"
    with (
        pytest.raises(RuntimeError),
        create_image(path, GRID, dtype="uint8", nodata=0, bands=["a"]),
    ):
        raise RuntimeError
    assert not path.exists()


def test_overviews_go_down_to_about_one_block(image):
    add_overviews(image)
    with rasterio.open(image) as dataset:
        assert dataset.overviews(1) == [2, 4]


def test_overviews_average_valid_pixels_only(tmp_path):
    values = np.full((1, *GRID.shape), 1000, dtype=np.uint16)
    values[:, ::2, ::2] = 0
    path = tmp_path / "image.tif"
    write(path, values, bands=["B02"])
    add_overviews(path)
    with rasterio.open(path, overview_level=0) as dataset:
        assert (dataset.read() == 1000).all()


def test_a_small_image_needs_no_overviews(tmp_path):
    grid = GRID._replace(shape=Shape(300, 300))
    path = tmp_path / "image.tif"
    with create_image(path, grid, dtype="uint8", nodata=0, bands=["a"]) as image:
        image.write(np.ones((1, 300, 300), dtype=np.uint8))
    add_overviews(path)
    with rasterio.open(path) as dataset:
        assert dataset.overviews(1) == []
