"""SAR images of several dates, read as intensity."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from candela.eo.sar.images import group_dates, open_stack
from candela.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
WHOLE = Window(0, 0, 3, 2)
PLACE = Affine(10, 0, 400000, 0, -10, 4800000)
TAGS = {
    "CALIBRATION": "sigma",
    "ORBIT_DIRECTION": "DES",
    "RELATIVE_ORBIT_NUMBER": "008",
    "SENSING_TIME": "2024-05-01T06:00:00Z",
}


def write(path, values, bands=None, *, tags=None, transform=PLACE, crs="EPSG:32631", **profile):
    values = np.asarray(values)
    values = values if values.ndim == 3 else values[None]
    with rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1],
        width=values.shape[2], dtype=values.dtype, crs=crs, transform=transform, **profile,
    ) as image:  # fmt: skip
        image.write(values)
        image.update_tags(**(tags or {}))
        for index, name in enumerate(bands or [], 1):
            image.set_band_description(index, name)
    return path


def power(value=0.1):
    return np.full((2, 3), value, np.float32)


def opened(*dates, scale="auto"):
    return open_stack(dates, scale, locators=["before", "after"][: len(dates)])


def test_files_of_one_date_are_joined_by_polarisation(tmp_path):
    one = [
        write(tmp_path / "s1a_vh.tif", power(0.1), ["VH"], tags=TAGS, nodata=0),
        write(tmp_path / "s1a_vv.tif", power(0.5), ["VV"], tags=TAGS, nodata=0),
    ]
    two = [write(tmp_path / "both.tif", [power(2), power(1)], ["VV", "VH"], tags=TAGS)]
    with opened(one, two) as stack:
        assert stack.polarisations == ("VV", "VH")
        assert stack.scale == "intensity"
        np.testing.assert_array_equal(stack.read(0, WHOLE)[:, 0, 0], np.float32([0.5, 0.1]))
        np.testing.assert_array_equal(stack.read(1, WHOLE)[:, 0, 0], [2, 1])
        assert stack.acquisitions[0].date.isoformat() == "2024-05-01"


def test_only_common_polarisations_are_read(tmp_path):
    both = write(tmp_path / "a.tif", [power(2), power(1)], ["VV", "VH"])
    cross = write(tmp_path / "b.tif", power(3), ["Sigma0_VH_db"])
    with opened([both], [cross]) as stack:
        assert stack.polarisations == ("VH",)
        assert stack.read(0, WHOLE)[0, 0, 0] == 1


def test_nodata_in_one_polarisation_is_nodata_in_all(tmp_path):
    values = np.stack([power(2), power(1)])
    values[0, 0, 0], values[1, 1, 1], values[1, 0, 2] = 0, np.nan, -9999
    path = write(tmp_path / "a.tif", values, ["VV", "VH"], nodata=-9999)
    with opened([path], [path]) as stack:
        missing = np.isnan(stack.read(0, WHOLE))
    assert missing[0].tolist() == [[True, False, True], [False, True, False]]
    assert (missing[0] == missing[1]).all()


@pytest.mark.parametrize(
    ("values", "scale", "expected"),
    [
        (np.full((2, 3), 100, np.uint16), "amplitude", 10_000),
        (np.full((2, 3), -10, np.float32), "db", 0.1),
        (np.full((2, 3), 0.2, np.float32), "intensity", 0.2),
    ],
)
def test_the_scale_is_guessed(tmp_path, values, scale, expected):
    path = write(tmp_path / "a.tif", values)
    with opened([path], [path]) as stack:
        assert stack.scale == scale
        np.testing.assert_allclose(stack.read(0, WHOLE), expected, rtol=1e-6)


def test_the_scale_may_be_given(tmp_path):
    path = write(tmp_path / "a.tif", np.full((2, 3), 100, np.uint16))
    with opened([path], [path], scale="intensity") as stack:
        assert stack.read(0, WHOLE)[0, 0, 0] == 100


def test_dates_of_different_scales_are_refused(tmp_path):
    linear = write(tmp_path / "a.tif", power())
    decibels = write(tmp_path / "b.tif", power(-10))
    with (
        pytest.raises(InputError, match=r"a.tif: intensity, b.tif: db") as caught,
        opened([linear], [decibels]),
    ):
        pass
    assert caught.value.locator == "after"


def test_zero_of_8_bits_is_dark_and_no_gap(tmp_path):
    path = write(tmp_path / "a.tif", np.uint8([[0, 1, 2], [3, 4, 5]]), crs=None, transform=None)
    with opened([path], [path]) as stack:
        assert stack.grid.crs is None
        np.testing.assert_array_equal(stack.read(0, WHOLE)[0], [[0.25, 1, 4], [9, 16, 25]])


def test_a_grey_picture_of_three_bands_is_its_first(tmp_path):
    values = np.full((3, 2, 3), 9, np.uint8)
    path = write(tmp_path / "a.tif", values, crs=None, transform=None, photometric="RGB")
    with opened([path], [path]) as stack:
        assert stack.read(0, WHOLE).shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("tag", "value", "message"),
    [
        ("RELATIVE_ORBIT_NUMBER", "110", r"b.tif is of orbit DES 110, a.tif of DES 8; expected"),
        ("ORBIT_DIRECTION", "ASC", r"b.tif is of orbit ASC 8, a.tif of DES 8; expected"),
        ("CALIBRATION", "gamma", r"b.tif is gamma, a.tif sigma; expected one calibration"),
    ],
)
def test_other_geometry_or_calibration_is_refused(tmp_path, tag, value, message):
    first = write(tmp_path / "a.tif", power(), tags=TAGS)
    second = write(tmp_path / "b.tif", power(), tags=TAGS | {tag: value})
    with pytest.raises(InputError, match=message) as caught, opened([first], [second]):
        pass
    assert caught.value.locator == "after"


def test_an_orbit_in_the_name_counts(tmp_path):
    first = write(tmp_path / "s1a_31TCJ_vv_DES_008_20240501t060000.tif", power())
    second = write(tmp_path / "s1a_31TCJ_vv_ASC_030_20240503t180000.tif", power())
    with pytest.raises(InputError, match="of orbit ASC 30"), opened([first], [second]):
        pass


def test_another_grid_is_refused(tmp_path):
    first = write(tmp_path / "a.tif", power())
    second = write(tmp_path / "b.tif", power(), transform=PLACE @ PLACE.translation(1, 0))
    with (
        pytest.raises(
            InputError, match=r"b.tif is not on the grid .* corner is \(400010"
        ) as caught,
        opened([first], [second]),
    ):
        pass
    assert caught.value.locator == "after"


def test_bands_that_cannot_be_told_apart_are_refused(tmp_path):
    many = write(tmp_path / "a.tif", np.ones((4, 2, 3), np.float32))
    with pytest.raises(InputError, match="4 bands without a polarisation"), opened([many], [many]):
        pass
    twice = [write(tmp_path / name, power(), ["VV"]) for name in ("b.tif", "c.tif")]
    with pytest.raises(InputError, match=r"b.tif and c.tif are both VV"), opened(twice, twice):
        pass


def test_dates_without_a_common_polarisation_are_refused(tmp_path):
    first = write(tmp_path / "a_vv.tif", power())
    second = write(tmp_path / "b_vh.tif", power())
    with (
        pytest.raises(InputError, match=r"found VV in a_vv.tif, VH in b_vh.tif"),
        opened([first], [second]),
    ):
        pass


def test_files_are_grouped_by_date(tmp_path):
    names = ["vv_20240513t06.tif", "vv_20240501t06.tif", "vh_20240513t06.tif"]
    files = [write(tmp_path / name, power()) for name in names]
    assert group_dates(files) == [[files[1]], [files[0], files[2]]]
    with pytest.raises(InputError, match=r"vv.tif has no date"):
        group_dates([write(tmp_path / "vv.tif", power())])
