import numpy as np
import pytest

from candela.eo.raster.resample import MARGIN, enlarge, reduce

METHODS = ("nearest", "bilinear", "cubic")


def special(values):
    return (values == 0) | (values == 65535)


def up(values, factor, method):
    return enlarge(values, factor, method, special(values))


@pytest.mark.parametrize("method", METHODS)
def test_a_flat_image_stays_flat(method):
    flat = np.full((9, 7), 1234, dtype=np.uint16)
    assert (up(flat, 2, method) == 1234).all()


def test_enlarging_by_one_changes_nothing():
    values = np.arange(1, 13, dtype=np.uint16).reshape(3, 4)
    np.testing.assert_array_equal(up(values, 1, "bilinear"), values)


def test_nearest_repeats_every_pixel():
    values = np.arange(1, 13, dtype=np.uint16).reshape(3, 4)
    expected = values.repeat(3, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(up(values, 3, "nearest"), expected)


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
@pytest.mark.parametrize("factor", [2, 3, 6])
def test_a_ramp_is_sampled_at_the_centres_of_the_small_pixels(method, factor):
    centres = (np.arange(20) + 0.5) * factor
    values = np.tile(1000 + 60 * centres, (8, 1)).astype(np.uint16)
    fine = up(values, factor, method)
    inside = slice(3 * factor, -3 * factor)
    expected = 1000 + 60 * (np.arange(20 * factor) + 0.5)
    tolerance = 0.6 if method == "bilinear" else 0.05 * 60 * factor  # Keys' kernel with a = -3/4
    assert np.abs(fine[4 * factor, inside] - expected[inside]).max() <= tolerance


@pytest.mark.parametrize("method", METHODS)
def test_nodata_stays_where_it_is_and_does_not_darken_its_neighbours(method):
    values = np.full((10, 10), 3000, dtype=np.uint16)
    values[4:6, 5] = 0
    fine = up(values, 2, method)
    expected = values.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(fine, expected)


@pytest.mark.parametrize("method", METHODS)
def test_saturation_stays_where_it_is_and_does_not_brighten_its_neighbours(method):
    values = np.full((10, 10), 3000, dtype=np.uint16)
    values[4, 5], values[0, 0] = 65535, 65535
    fine = up(values, 2, method)
    np.testing.assert_array_equal(fine, values.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_a_valid_pixel_never_becomes_nodata(method):
    values = np.ones((12, 12), dtype=np.uint16)
    values[5:7, 5:7] = 9000  # a cubic kernel swings below zero beside it
    assert up(values, 2, method).min() >= 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [2, 6])
def test_parts_with_a_margin_give_what_the_whole_gives(method, factor):
    values = np.random.default_rng(3).integers(1, 9000, (40, 30), dtype=np.uint16)
    values[10:12, 4:9] = 0
    whole = up(values, factor, method)
    part = up(values[8 - MARGIN : 20 + MARGIN, : 20 + MARGIN], factor, method)
    inner = part[MARGIN * factor : (MARGIN + 12) * factor, : 20 * factor]
    np.testing.assert_array_equal(inner, whole[8 * factor : 20 * factor, : 20 * factor])


def test_reducing_takes_the_mean():
    values = np.array([[10, 20, 1, 1], [30, 40, 1, 2]], dtype=np.uint16)
    np.testing.assert_array_equal(reduce(values, 2, "bilinear", special(values)), [[25, 1]])


def test_reducing_leaves_nodata_and_saturation_out_of_the_mean():
    values = np.array([[0, 100, 65535, 0], [0, 200, 50, 0]], dtype=np.uint16)
    np.testing.assert_array_equal(reduce(values, 2, "cubic", special(values)), [[150, 50]])


def test_reducing_only_nodata_gives_nodata():
    values = np.zeros((4, 4), dtype=np.uint16)
    assert (reduce(values, 2, "bilinear", special(values)) == 0).all()


def test_reducing_large_values_does_not_overflow():
    values = np.full((12, 12), 65000, dtype=np.uint16)
    assert (reduce(values, 6, "bilinear", special(values)) == 65000).all()
