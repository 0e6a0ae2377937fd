import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from candela.eo.raster.images import gdal_environment, open_image
from candela.eo.raster.values import checked_grid, read_numbers, read_reflectance
from candela.errors import InputError

PLACE = Affine(10, 0, 300_000, 0, -10, 4_900_020)
WINDOW = Window(0, 0, 3, 2)
NUMBERS = np.array([[[2000, 3000, 0], [1000, 500, 65535]]], np.uint16)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes an image of one band and opens it again as users' ones are."""

    def write(numbers=NUMBERS, *, mask=None, scale=None, offset=None, alpha=None, **profile):
        path = tmp_path / "image.tif"
        count = len(numbers) + (alpha is not None)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path, "w", driver="GTiff", dtype=numbers.dtype, count=count,
                width=numbers.shape[2], height=numbers.shape[1],
                **{"crs": "EPSG:32631", "transform": PLACE} | profile,
            ) as image,
        ):  # fmt: skip
            image.write(numbers, list(range(1, len(numbers) + 1)))
            if alpha is not None:
                image.write(alpha, count)
                image.colorinterp = [ColorInterp.gray] * len(numbers) + [ColorInterp.alpha]
            if mask is not None:
                image.write_mask(mask)
            if scale is not None:
                image.scales, image.offsets = [scale] * count, [offset or 0.0] * count
        return path

    return write


def reflectance(path):
    with gdal_environment(), open_image(path) as image:
        return read_reflectance(image, [1], WINDOW)[0].tolist()


def test_plain_numbers_stay_as_they_are(write):
    assert reflectance(write()) == NUMBERS[0].tolist()
    assert reflectance(write(nodata=0)) == NUMBERS[0].tolist()


def test_a_mask_inside_of_the_file_says_no_data(write):
    mask = np.array([[255, 0, 255], [255, 255, 255]], np.uint8)
    assert reflectance(write(mask=mask)) == [[2000, 0, 0], [1000, 500, 65535]]


def test_an_alpha_band_says_no_data(write):
    alpha = np.array([[65535, 65535, 0], [0, 65535, 65535]], np.uint16)
    assert reflectance(write(alpha=alpha)) == [[2000, 3000, 0], [0, 500, 65535]]


def test_scale_and_offset_give_reflectance(write):
    found = reflectance(write(scale=0.0001, offset=-0.1))
    assert found == [[1000, 2000, 0], [1, 1, 65535]]


def test_a_scale_of_one_ten_thousandth_changes_nothing(write):
    assert reflectance(write(scale=0.0001)) == NUMBERS[0].tolist()


@pytest.mark.parametrize(
    ("scale", "offset"), [(np.nan, 0.0), (np.inf, 0.0), (1e-4, np.nan), (-1e-4, 0.0)]
)
def test_a_scale_that_is_not_finite_is_refused(write, scale, offset):
    with pytest.raises(InputError, match=r"image\.tif has scales"):
        reflectance(write(scale=scale, offset=offset))


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"crs": None}, "a place .* but no coordinate reference system"),
        ({"transform": Affine.identity()}, "does not say where"),
        ({"transform": Affine(10, 2, 300_000, 0, -10, 4_900_020)}, "not north up"),
        ({"transform": Affine(10, 0, 300_000, 0, 10, 4_900_020)}, "not north up"),
        ({"transform": Affine(np.nan, 0, 300_000, 0, -10, 4_900_020)}, "not finite"),
        ({"transform": Affine(10, 0, 1e308, 0, -10, 1e308)}, "not finite|nowhere on the Earth"),
        ({"crs": "EPSG:4326"}, "not in degrees"),
    ],
    ids=["no-crs", "no-place", "rotated", "south-up", "nan", "huge", "metres-as-degrees"],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_half_a_georeference_is_refused(write, profile, reason):
    with pytest.raises(InputError, match=reason), open_image(write(**profile)) as image:
        checked_grid(image)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_are_no_grid(write):
    points = [GroundControlPoint(r, c, c * 1.0, r * 1.0) for r, c in ((0, 0), (0, 2), (1, 0))]
    path = write(gcps=points, transform=None)
    with open_image(path) as image, pytest.raises(InputError, match="ground control points"):
        checked_grid(image)


def test_a_whole_georeference_is_the_grid(write):
    with open_image(write()) as image:
        grid = checked_grid(image)
    assert (grid.crs.to_epsg(), grid.transform, tuple(grid.shape)) == (32631, PLACE, (2, 3))


def test_a_grid_of_points_on_the_whole_earth_may_reach_half_a_pixel_beyond_the_poles(write):
    place = Affine(90, 0, -180, 0, -90, 135)  # points at 90, 0 and -90 degrees, as a geoid's
    path = write(np.zeros((1, 3, 4), np.float32), crs="EPSG:4326", transform=place)
    with open_image(path) as image:
        assert checked_grid(image).bounds.top == 135


def test_a_truncated_image_is_an_error_of_the_input(write):
    random = np.random.default_rng(1).integers(0, 60000, (1, 300, 300), np.uint16)
    path = write(random)
    path.write_bytes(path.read_bytes()[:50_000])
    with (
        gdal_environment(), open_image(path) as image,
        pytest.raises(InputError, match="truncated or damaged"),
    ):  # fmt: skip
        read_numbers(image, [1], Window(0, 0, 300, 300))
