"""Jpeg2Tiff on real images and real metadata; skipped where the samples are absent."""

import datetime as dt
import shutil

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from candela.eo.progress import silent
from candela.eo.raster.grid import Area, Bounds, Grid
from candela.eo.raster.resample import enlarge
from candela.eo.s2.product import open_product
from candela.errors import InputError
from candela.services.jpeg2tiff import run
from candela.synthetic.sentinel2 import Tile, write_safe
from candela.synthetic.sentinel2_names import Identity

FINE, COARSE = ("B02", "B03", "B04", "B08"), ("B05", "B06", "B07", "B8A", "B11", "B12")


def convert(product, workdir, **options):
    settings = {
        "bands": [], "area": None, "resolution": 10, "resampling": "bilinear", "mask": "none",
        "cloud_margin": 0.0, "workdir": workdir, "progress": silent,
    }  # fmt: skip
    return run(product=product, **settings | options)


def read(path):
    with rasterio.open(path) as image:
        return image.read(1)


@pytest.fixture(scope="module", params=["199U/199U_1099R", "0U/0U_199R"])
def cell(request, shared_data):
    """A real Level-2A cell of 10.68 km: folder, bands, grid."""
    (folder,) = (shared_data("majortom-s2l2a") / request.param).iterdir()
    bands = {path.stem: read(path) for path in folder.glob("B*.tif")}
    with rasterio.open(folder / "B02.tif") as image:
        return folder.name, bands, Grid.of(image)


@pytest.fixture(scope="module")
def product(cell, tmp_path_factory):
    """The cell in the shape of a SAFE, under its own name and date."""
    name, bands, grid = cell
    platform, _, start, baseline, orbit, tile, made = name.split("_")
    identity = Identity(
        sensing=dt.datetime.strptime(start, "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC),
        platform=platform,
        baseline="02.14" if baseline == "N9999" else f"{baseline[1:3]}.{baseline[3:]}",
        orbit=int(orbit[1:]),
        generated=dt.datetime.strptime(made, "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC),
    )
    wanted = {band: bands[band] for band in (*FINE, *COARSE)}
    folder = tmp_path_factory.mktemp("cell")
    return write_safe(folder, identity, [Tile(tile[1:], grid, wanted)]), identity


def expected_reflectance(numbers, identity):
    if not identity.has_offset:
        return numbers
    return np.where(numbers > 0, np.maximum(numbers, 1001) - 1000, 0)


def test_real_10_m_bands_are_bit_exact(cell, product, tmp_path):
    _, bands, grid = cell
    safe, identity = product
    outputs = convert(safe, tmp_path, bands=list(FINE))
    with rasterio.open(outputs["image"]) as image:
        assert Grid.of(image).matches(grid)
        for name, found in zip(FINE, image.read(), strict=True):
            np.testing.assert_array_equal(found, expected_reflectance(bands[name], identity))


def test_real_20_m_bands_are_aligned_to_the_blue_grid(cell, product, tmp_path):
    _, bands, _ = cell
    safe, identity = product
    outputs = convert(safe, tmp_path, bands=list(COARSE))
    with rasterio.open(outputs["image"]) as image:
        for name, found in zip(COARSE, image.read(), strict=True):
            fine = enlarge(bands[name], 2, "bilinear", bands[name] == 0)
            np.testing.assert_array_equal(found, expected_reflectance(fine, identity))


def test_a_real_jpeg_2000_band_of_60_m_is_read_bit_by_bit(shared_data, tmp_path):
    folder = shared_data("s2-safe-eodag")
    outputs = convert(folder, tmp_path, bands=["B01"], resolution=60)
    with rasterio.open(outputs["image"]) as image:
        found = image.read(1)
        tags = image.tags()
    np.testing.assert_array_equal(found, read(next(folder.rglob("*_B01.jp2"))))
    assert tags["PRODUCT_ID"] == "S2A_MSIL1C_20180101T105441_N0206_R051_T31TDH_20180101T124911"
    assert tags["SENSING_TIME"] == "2018-01-01T10:54:41Z"
    assert (tags["TILE_ID"], tags["RELATIVE_ORBIT"]) == ("T31TDH", "51")
    assert (tags["PLATFORM"], tags["PROCESSING_BASELINE"]) == ("S2A", "02.06")


def test_a_part_of_a_real_band_is_enlarged_to_10_m(shared_data, tmp_path):
    folder = shared_data("s2-safe-eodag")
    left, top = 399_960 + 60 * 900, 4_800_000 - 60 * 900
    area = Area(Bounds(left, top - 6000, left + 6000, top), "EPSG:32631")
    outputs = convert(folder, tmp_path, bands=["B01"], area=area, resampling="nearest")
    with rasterio.open(next(folder.rglob("*_B01.jp2"))) as image:
        coarse = image.read(1, window=Window(900, 900, 100, 100))
    np.testing.assert_array_equal(
        read(outputs["image"]), coarse.repeat(6, axis=0).repeat(6, axis=1)
    )


def test_the_default_bands_of_a_product_with_one_band_are_missing(shared_data, tmp_path):
    with pytest.raises(InputError, match=r"band B02 is missing in S2A_MSIL1C_20180101.*: B01$"):
        convert(shared_data("s2-safe-eodag"), tmp_path)


def test_real_metadata_without_images_is_refused(shared_data, tmp_path):
    folder = shared_data("s2-safe-metadata-stactools")
    granule = open_product(folder).granule()
    assert granule.metadata.tile_id == "T46RER"
    assert granule.metadata.relative_orbit == 133
    assert granule.geocoding[10].bounds == Bounds(499_980, 2_990_220, 609_780, 3_100_020)
    with pytest.raises(InputError, match="has no image of any band"):
        convert(folder, tmp_path)


def put_in_place_of_b01(shared_data, tmp_path, image):
    """Return the real product with another file in the place of its only band."""
    folder = tmp_path / "product"
    shutil.copytree(shared_data("s2-safe-eodag"), folder, copy_function=shutil.copyfile)
    band = next(folder.rglob("*_B01.jp2"))
    shutil.copyfile(image, band)
    return folder


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_real_band_without_georeference_lies_where_the_tile_lies(shared_data, tmp_path):
    other = shared_data("sentinelhub-jp2") / "img-16bit.jp2"  # 1830 x 1830 pixels
    folder = put_in_place_of_b01(shared_data, tmp_path, other)
    outputs = convert(folder, tmp_path, bands=["B01"], resolution=60)
    with rasterio.open(outputs["image"]) as image:
        assert image.bounds[:2] == (399_960, 4_690_200)
        np.testing.assert_array_equal(image.read(1), read(other))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_real_preview_in_the_place_of_a_band_is_refused(shared_data, tmp_path):
    preview = shared_data("s2-l1c-jp2-19UDP") / "tiles/19/U/DP/2017/7/29/0/preview/B02.jp2"
    folder = put_in_place_of_b01(shared_data, tmp_path, preview)
    with pytest.raises(InputError, match="no georeference, and its size of 687 x 687 pixels is"):
        convert(folder, tmp_path, bands=["B01"])


def test_a_real_preview_with_odd_pixels_is_refused(shared_data, tmp_path):
    preview = shared_data("s2-l1c-jp2-19UDP") / "tiles/19/U/DP/2017/7/29/0/preview/B01.jp2"
    folder = put_in_place_of_b01(shared_data, tmp_path, preview)
    with pytest.raises(InputError, match=r"has pixels of 159\.825 m, not a multiple of 10 m"):
        convert(folder, tmp_path, bands=["B01"])


def test_a_real_geotiff_that_is_called_jp2_is_read(shared_data, tmp_path):
    other = shared_data("s2-l1c-jp2-19UDP") / "tiles/19/U/DP/2017/7/29/0/B01.jp2"
    folder = put_in_place_of_b01(shared_data, tmp_path, other)
    area = Area(Bounds(399_960, 5_290_200 + 900, 399_960 + 9000, 5_290_200 + 9900), "EPSG:32619")
    outputs = convert(folder, tmp_path, bands=["B01"], area=area, resampling="nearest")
    with rasterio.open(other) as image:
        coarse = image.read(1, window=Window(0, 111, 10, 10))
    np.testing.assert_array_equal(
        read(outputs["image"]), coarse.repeat(90, axis=0).repeat(90, axis=1)
    )


@pytest.mark.parametrize("name", ["img-8bit.jp2"])
def test_a_real_colour_picture_in_the_place_of_a_band_is_refused(shared_data, tmp_path, name):
    folder = put_in_place_of_b01(shared_data, tmp_path, shared_data("sentinelhub-jp2") / name)
    with pytest.raises(InputError, match="channels of uint8, expected one of uint16"):
        convert(folder, tmp_path, bands=["B01"])


@pytest.mark.parametrize("sample", ["s1-safe-sarsen", "s1-safe-pyrosar-metadata"])
def test_a_real_sentinel_1_product_is_refused(shared_data, tmp_path, sample):
    product = next(p for p in shared_data(sample).iterdir() if p.name.startswith("S1"))
    with pytest.raises(InputError, match="expected a Sentinel-2 Level-1C or Level-2A product"):
        convert(product, tmp_path)


def test_a_folder_with_the_images_of_two_products_is_refused(shared_data, tmp_path):
    with pytest.raises(InputError, match=r"has several images of band B01 in 60 m: 0U/.*, 199U/"):
        convert(shared_data("majortom-s2l2a"), tmp_path)
