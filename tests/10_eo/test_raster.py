import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioIOError

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import (
    Source,
    add_overviews,
    band_indexes,
    create_image,
    gdal_environment,
    open_image,
)
from candela.errors import InputError, ReferenceUnavailableError

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


@pytest.fixture
def named(image):
    """Return an image under a name that says nothing, and a VRT that shows it."""
    vrt = image.with_name("virtual.tif")
    vrt.write_text(
        '<VRTDataset rasterXSize="1100" rasterYSize="1200">'
        "<GeoTransform>0, 10, 0, 0, 0, -10</GeoTransform>"
        '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{image}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with rasterio.open(vrt) as dataset:  # it would open
        assert dataset.driver == "VRT"
    return image.rename(image.with_name("image")), vrt


def test_an_image_is_what_its_content_says(named):
    image, vrt = named
    with open_image(image) as dataset:
        assert dataset.driver == "GTiff"
    with pytest.raises(InputError, match=r"virtual\.tif cannot be read"), open_image(vrt):
        pass


@pytest.mark.parametrize(
    "content",
    [
        "<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1/</ServerUrl></Service></GDAL_WMS>",
        "<WCS_GDAL><ServiceURL>http://127.0.0.1/wcs?</ServiceURL></WCS_GDAL>",
        "<GDALTileIndexDataset><IndexDataset>/vsicurl/http://127.0.0.1/</IndexDataset>"
        "</GDALTileIndexDataset>",
        '{"type": "FeatureCollection", "features": [{"stac_version": "1.0.0", "assets": {}}]}',
    ],
)
def test_a_file_that_names_other_files_is_no_image(tmp_path, content):
    path = tmp_path / "x.tif"
    path.write_text(content)
    with pytest.raises(InputError, match="cannot be read as an image"), open_image(path):
        pass


def test_a_name_that_is_a_connection_is_no_image(tmp_path):
    for name in ("WMS:http://127.0.0.1/", "/vsicurl/http://127.0.0.1:9/x.tif", "VRT://x.tif"):
        with gdal_environment(), pytest.raises(InputError), open_image(name):
            pass


def test_overviews_in_another_file_are_refused(image):
    """GDAL would open any file or address that the image names."""
    with rasterio.open(image, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/etc/passwd")
    with pytest.raises(InputError, match="overviews in another file"), open_image(image):
        pass


@pytest.mark.parametrize("suffix", ["ovr", "msk", "aux.xml"])
def test_files_beside_an_image_are_not_looked_at(named, suffix):
    image, vrt = named
    vrt.rename(f"{image}.{suffix}")
    with gdal_environment(), open_image(image) as dataset:
        assert dataset.overviews(1) == []
        assert dataset.files == [str(image)]
        dataset.dataset_mask()


def test_an_image_is_read_from_what_the_worker_hands_over(image):
    opened = []

    def content():
        opened.append(image.open("rb"))
        return opened[-1]

    with gdal_environment(), open_image(Source("http://host/a", "a.tif", content)) as dataset:
        assert dataset.tags()["TILE_ID"] == "T31TCJ"
        assert dataset.read(1).shape == GRID.shape
    assert all(file.closed for file in opened)


def test_what_the_worker_cannot_hand_over_is_told():
    def content():
        raise ReferenceUnavailableError("http://host/a.tif cannot be fetched: 404")

    with (
        pytest.raises(ReferenceUnavailableError, match="404"),
        open_image(Source("http://host/a", "a.tif", content)),
    ):
        pass


@pytest.mark.parametrize(
    ("dtype", "bands", "predictor"),
    [("uint16", 1, 2), ("float32", 1, 3), ("uint16", 2, 1), ("float32", 2, 1)],
)
def test_bands_that_lie_apart_have_no_predictor_since_geoserver_cannot_read_both(
    tmp_path, dtype, bands, predictor
):
    path = tmp_path / "image.tif"
    write(path, np.ones((bands, *GRID.shape), dtype), bands=["a", "b"][:bands], dtype=dtype)
    with rasterio.open(path) as dataset:
        structure = dataset.tags(ns="IMAGE_STRUCTURE")
    assert structure["INTERLEAVE"] == "BAND"
    assert structure.get("PREDICTOR", "1") == str(predictor)


def test_gdal_has_no_network():
    with gdal_environment(), pytest.raises(RasterioIOError, match="does not exist"):
        rasterio.open("/vsicurl/http://127.0.0.1:9/x.tif")


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
