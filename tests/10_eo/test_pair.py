"""Images of users as pairs: whatever way they have of storing reflectance and nodata."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from candela.eo.raster.images import gdal_environment
from candela.eo.s2.pair import open_pair
from candela.errors import InputError

BANDS = ("B02", "B03", "B04", "B08")
WINDOW = Window(2, 3, 30, 20)
PLACE = Affine(10, 0, 300_000, 0, -10, 4_900_020)


@pytest.fixture
def stack():
    """Reflectance times 10 000 as Jpeg2Tiff writes it, without data at the top."""
    image = np.random.default_rng(2).integers(1, 6000, (4, 40, 50), np.uint16)
    image[:, :6] = 0
    return image


@pytest.fixture
def write(tmp_path):
    def write(
        image, name="before", *, bands=BANDS, nodata=0, scale=None, offset=0.0, mask=None,
        alpha=None, place=PLACE,
    ):  # fmt: skip
        path = tmp_path / f"{name}.tif"
        planes = image if alpha is None else np.concatenate([image, alpha[None]])
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path, "w", driver="GTiff", dtype=planes.dtype, count=len(planes), nodata=nodata,
                height=planes.shape[1], width=planes.shape[2], crs="EPSG:32631", transform=place,
            ) as file,
        ):  # fmt: skip
            if alpha is not None:
                others = [ColorInterp.undefined] * (len(image) - 1)
                file.colorinterp = [ColorInterp.gray, *others, ColorInterp.alpha]
            file.write(planes)
            for index, band in enumerate(bands, 1):
                file.set_band_description(index, band)
            if scale is not None:
                file.scales, file.offsets = [scale] * file.count, [offset] * file.count
            if mask is not None:
                file.write_mask(mask)
        return path

    return write


@pytest.fixture
def read(write, stack):
    """Return a function that reads an image as the later one of a pair."""

    def read(path, names=(), bands=BANDS):
        first = write(stack, "first", bands=BANDS if not names else ())
        with gdal_environment(), open_pair(first, path, bands=bands, names=names) as pair:
            return pair.read(WINDOW)[1]

    return read


def part(stack):
    return stack[:, 3:23, 2:32]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("nodata", [None, 0, -9999, np.nan])
def test_reflectance_in_floating_point_is_read(write, read, stack, dtype, nodata):
    image = (stack / 10_000).astype(dtype)
    image[:, :6] = 0 if nodata is None else nodata
    found = read(write(image, nodata=nodata))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, part(stack))


@pytest.mark.parametrize("nodata", [None, 0, -9999, -32768])
def test_signed_numbers_are_read(write, read, stack, nodata):
    image = stack.astype(np.int16)
    image[:, :6] = nodata or 0
    np.testing.assert_array_equal(read(write(image, nodata=nodata)), part(stack))


def test_dark_pixels_are_no_nodata(write, read, stack):
    """Below 0 always, 0 where another number is nodata."""
    image = stack.astype(np.int16)
    image[:, :6] = -9999
    image[0, 10, 10:12] = -30, 0
    expected = part(stack).copy()
    expected[0, 7, 8:10] = 1
    np.testing.assert_array_equal(read(write(image, nodata=-9999)), expected)
    np.testing.assert_array_equal(
        read(write(image / np.float32(10_000), nodata=-9999 / np.float32(10_000))), expected
    )


def test_another_number_for_nodata_is_nodata(write, read, stack):
    image = stack.copy()
    image[:, :6] = 65535
    np.testing.assert_array_equal(read(write(image, nodata=65535)), part(stack))


@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_digital_numbers_with_scale_and_offset_are_read(write, read, stack, dtype):
    """As those of Sentinel-2 since baseline 04.00 are."""
    image = np.where(stack > 0, stack + 1000, 0).astype(dtype)
    found = read(write(image, scale=0.0001, offset=-0.1))
    np.testing.assert_array_equal(found, part(stack))


@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_a_mask_or_an_alpha_band_says_no_data(write, read, stack, kind):
    image = (stack / 10_000).astype(np.float32)
    image[:, :6] = 0.3
    valid = np.full(stack.shape[1:], 255, np.uint8)
    valid[:6] = 0
    options = {"mask": valid} if kind == "mask" else {"alpha": valid.astype(np.float32)}
    np.testing.assert_array_equal(read(write(image, nodata=None, **options)), part(stack))


def test_bands_of_another_sensor_are_given_by_name(write, read, stack):
    order = [2, 0, 3, 1]  # red, blue, near infrared, green
    path = write(stack[order], bands=())
    names = ["red", "blue", "nir", "green"]
    np.testing.assert_array_equal(read(path, names), part(stack))


def test_names_may_leave_out_an_alpha_band_at_the_end(write, read, stack):
    alpha = np.where(stack[0] > 0, 65535, 0).astype(np.uint16)
    image = np.where(stack == 0, 500, stack).astype(np.uint16)
    path = write(image, alpha=alpha, bands=(), nodata=None)
    np.testing.assert_array_equal(read(path, BANDS), part(stack))


def test_a_band_that_a_file_calls_opacity_is_data_if_it_is_named(write, read, stack):
    """As four bands are that some programs write: red, green, blue and "alpha"."""
    path = write(stack[:3], alpha=stack[3], bands=(), nodata=None)
    np.testing.assert_array_equal(read(path, BANDS), part(stack))


@pytest.mark.parametrize(
    ("factor", "options", "reason"),
    [
        (1, {}, r"typical value of \d+; expected reflectance .* a scale into the file, 0\.0001"),
        (0.01, {}, "typical value of"),
        (1, {"scale": 1.0, "offset": -100.0}, "typical value of .* after its scale and offset"),
    ],
    ids=["times-10000", "per-cent", "unscaled"],
)
def test_other_units_are_refused(write, read, stack, factor, options, reason):
    image = stack * np.float32(factor)
    image[:, :6] = np.nan
    with pytest.raises(InputError, match=reason) as caught:
        read(write(image, nodata=np.nan, **options))
    assert caught.value.locator == "after"


@pytest.mark.parametrize("dtype", ["uint8", "int32", "complex64"])
def test_other_types_are_refused(write, read, stack, dtype):
    with pytest.raises(InputError, match=f"values of type {dtype}; expected uint16 or int16"):
        read(write((stack // 30).astype(dtype)))


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["blue", "green", "red"], "3 names of bands are given .* has 4 bands"),
        (["blue", "green", "red", "swir16"], "band B08 missing in"),
        (["blue", "green", "red", "red"], "band B08 missing in"),
        (["blue", "B2", "red", "nir", "green"], "5 names of bands are given"),
        (["blue", "B2", "red", "nir"], "band B03 missing in"),
    ],
)
def test_names_that_do_not_fit_are_refused(write, read, stack, names, reason):
    with pytest.raises(InputError, match=reason):
        read(write(stack, bands=()), names)


def test_a_band_that_stands_twice_is_refused(write, read, stack):
    path = write(stack, bands=("B02", "blue", "B04", "B08"))
    with pytest.raises(InputError, match=r"band B02 stands twice in before\.tif \(bands: B02, bl"):
        read(path, bands=("B02", "B04", "B08"))
