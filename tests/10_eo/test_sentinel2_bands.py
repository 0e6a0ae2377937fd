import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from candela.eo.raster.resample import enlarge
from candela.eo.s2.bands import open_band, to_reflectance
from candela.eo.s2.metadata import BANDS, Radiometry
from candela.eo.s2.product import open_product
from candela.errors import InputError

WHOLE = Window(0, 0, 120, 120)


def radiometry(*, offset=0.0, quantification=10_000.0):
    return Radiometry(quantification, dict.fromkeys(BANDS, offset), 0, 65535)


def read(path, band, *, pixel_m=10, method="bilinear", window=None):
    granule = open_product(path).granule()
    grid = granule.grid(pixel_m)
    with open_band(granule, band, grid, method) as reader:
        return reader.read(window or Window(0, 0, grid.shape.cols, grid.shape.rows))


def as_array(*values):
    return np.array([values], dtype=np.uint16)


def test_without_offset_numbers_are_reflectance():
    numbers = as_array(0, 1, 999, 30_000, 65535)
    np.testing.assert_array_equal(to_reflectance(numbers, "B02", radiometry()), numbers)


def test_the_offset_is_removed_and_codes_stay():
    numbers = as_array(0, 1001, 1500, 65534, 65535)
    found = to_reflectance(numbers, "B02", radiometry(offset=-1000))
    np.testing.assert_array_equal(found, as_array(0, 1, 500, 64534, 65535))


def test_a_valid_pixel_that_falls_to_zero_or_below_becomes_one():
    numbers = as_array(1, 500, 999, 1000)
    found = to_reflectance(numbers, "B02", radiometry(offset=-1000))
    np.testing.assert_array_equal(found, as_array(1, 1, 1, 1))


def test_another_quantification_is_scaled():
    numbers = as_array(0, 100, 1000, 65535)
    found = to_reflectance(numbers, "B02", radiometry(quantification=1000))
    np.testing.assert_array_equal(found, as_array(0, 1000, 10_000, 65535))


def test_a_positive_offset_is_added():
    found = to_reflectance(as_array(0, 100), "B02", radiometry(offset=50))
    np.testing.assert_array_equal(found, as_array(0, 150))


def test_what_is_given_is_not_changed():
    numbers = as_array(0, 1500)
    to_reflectance(numbers, "B02", radiometry(offset=-1000))
    np.testing.assert_array_equal(numbers, as_array(0, 1500))


@pytest.mark.parametrize("archive", [False, True])
def test_a_10_m_band_is_read_bit_by_bit(write_product, archive):
    values = np.random.default_rng(1).integers(0, 32767, (120, 120), dtype=np.uint16)
    path = write_product(bands={"B03": values}, archive=archive)
    np.testing.assert_array_equal(read(path, "B03"), values)


@pytest.mark.parametrize(("band", "factor"), [("B05", 2), ("B01", 6)])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_a_coarser_band_is_enlarged_onto_the_blue_grid(write_product, band, factor, method):
    side = 120 // factor
    values = np.random.default_rng(2).integers(1, 9000, (side, side), dtype=np.uint16)
    path = write_product(bands={band: values})
    expected = enlarge(values, factor, method, values == 0)
    np.testing.assert_array_equal(read(path, band, method=method), expected)


@pytest.mark.parametrize("band", ["B02", "B05", "B01"])
@pytest.mark.parametrize("pixel_m", [10, 20, 60])
def test_a_window_shows_what_the_whole_shows(write_product, band, pixel_m):
    path = write_product()
    whole = read(path, band, pixel_m=pixel_m)
    side = len(whole)
    window = Window(side // 5, side // 3, side // 2 + 1, side // 4)
    np.testing.assert_array_equal(
        read(path, band, pixel_m=pixel_m, window=window), whole[window.toslices()]
    )


def test_a_part_of_the_grid_is_read_from_its_own_place(write_product):
    path = write_product()
    granule = open_product(path).granule()
    part = Window(33, 7, 20, 11)
    with open_band(granule, "B05", granule.base_grid.cut(part), "bilinear") as reader:
        found = reader.read(Window(0, 0, 20, 11))
    np.testing.assert_array_equal(found, read(path, "B05")[part.toslices()])


def test_a_finer_band_is_averaged(write_product):
    values = np.random.default_rng(4).integers(1, 9000, (120, 120), dtype=np.uint16)
    found = read(write_product(level="L1C", bands={"B08": values}), "B08", pixel_m=20)
    expected = values.reshape(60, 2, 60, 2).mean(axis=(1, 3))
    assert np.abs(found - expected).max() <= 0.5


def test_nodata_in_the_product_is_nodata(write_product):
    values = np.full((60, 60), 3000, dtype=np.uint16)
    values[10:20, :] = 0
    found = read(write_product(bands={"B11": values}, baseline="04.00"), "B11")
    assert (found[20:40] == 0).all()
    assert (found[:20] == 2000).all()
    assert (found[40:] == 2000).all()


def test_a_truncated_band_is_refused_by_name(write_product):
    path = write_product(size=600)
    band = next(path.rglob("*_B04_10m.jp2"))
    band.write_bytes(band.read_bytes()[: band.stat().st_size // 2])
    with pytest.raises(InputError, match=r"band B04 is damaged: GRANULE/.*B04_10m\.jp2 cannot"):
        read(path, "B04")


def test_a_band_that_is_no_image_is_refused(write_product):
    path = write_product()
    next(path.rglob("*_B04_10m.jp2")).write_bytes(b"no image at all")
    with pytest.raises(InputError, match=r"B04_10m\.jp2 cannot be read as an image"):
        read(path, "B04")


def replace_band(path, name, values, **options):
    """Put a GeoTIFF in the place of a JPEG 2000 file."""
    band = next(path.rglob(name))
    with rasterio.open(band) as image:
        profile = {"crs": image.crs, "transform": image.transform} | options
    planes = values if values.ndim == 3 else values[None]
    with rasterio.open(
        band, "w", driver="GTiff", dtype=values.dtype, count=len(planes),
        height=planes.shape[1], width=planes.shape[2], **profile,
    ) as image:  # fmt: skip
        image.write(planes)


def test_a_geotiff_that_is_called_jp2_is_read(write_product):
    path = write_product()
    values = np.random.default_rng(6).integers(1, 9000, (120, 120), dtype=np.uint16)
    replace_band(path, "*_B04_10m.jp2", values)
    np.testing.assert_array_equal(read(path, "B04"), values)


def test_a_band_of_another_place_is_refused(write_product):
    path = write_product()
    elsewhere = rasterio.Affine(10, 0, 400_000, 0, -10, 4_900_020)
    replace_band(path, "*_B04_10m.jp2", np.ones((120, 120), np.uint16), transform=elsewhere)
    with pytest.raises(InputError, match=r"B04_10m\.jp2 covers .*, the other bands"):
        read(path, "B04")


def test_a_band_in_another_crs_is_refused(write_product):
    path = write_product()
    replace_band(path, "*_B04_10m.jp2", np.ones((120, 120), np.uint16), crs="EPSG:32632")
    with pytest.raises(InputError, match=r"is in EPSG:32632, the other bands in EPSG:32631"):
        read(path, "B04")


def test_pixels_that_do_not_fit_are_refused(write_product):
    path = write_product()
    odd = rasterio.Affine(16, 0, 300_000, 0, -16, 4_900_020)
    replace_band(path, "*_B04_10m.jp2", np.ones((75, 75), np.uint16), transform=odd)
    with pytest.raises(InputError, match=r"has pixels of 16 m; they do not fit 10 m"):
        read(path, "B04")


def test_a_colour_picture_in_the_place_of_a_band_is_refused(write_product):
    path = write_product()
    replace_band(path, "*_B04_10m.jp2", np.ones((3, 120, 120), np.uint8))
    with pytest.raises(InputError, match="has 3 channels of uint8, expected one of uint16"):
        read(path, "B04")
