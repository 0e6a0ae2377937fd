import numpy as np
import pytest

from candela.eo.raster.registration import Shift, estimate_shift, translate
from candela.eo.raster.smoothing import gaussian


def texture(rows=160, cols=200, seed=0):
    noise = np.random.default_rng(seed).standard_normal((rows, cols)).astype(np.float32)
    return gaussian(noise, 1.5) * 4


@pytest.mark.parametrize("shift", [Shift(0, 0), Shift(1, -2), Shift(0.4, 1.25), Shift(-1.6, 0.35)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel(shift):
    image = texture()
    moved = translate(image[None], shift)[0]
    found = estimate_shift([(image, moved)])
    assert found == pytest.approx(shift.times(-1), abs=0.1)


def test_translating_by_what_was_found_brings_the_image_back():
    image = texture()
    moved = translate(image[None], Shift(0.6, -1.3))[0]
    back = translate(moved[None], estimate_shift([(image, moved)]))[0]
    inside = (slice(10, -10), slice(10, -10))
    assert np.abs(back - image)[inside].mean() < 0.1 * np.abs(moved - image)[inside].mean()


def test_gain_offset_and_noise_on_one_image_do_not_move_it():
    image = texture()
    other = translate(image[None], Shift(0.5, 0.5))[0] * 3 + 20
    other += np.random.default_rng(1).normal(0, 0.3, image.shape).astype(np.float32)
    assert estimate_shift([(image, other)]) == pytest.approx((-0.5, -0.5), abs=0.1)


def test_several_windows_speak_together():
    pairs = [(image, translate(image[None], Shift(0, 1))[0]) for image in map(square, range(4))]
    assert estimate_shift(pairs) == pytest.approx((0, -1), abs=0.05)


def square(seed):
    return texture(64, 64, seed)


def test_a_whole_shift_moves_pixels_unchanged():
    image = texture()
    moved = translate(image[None], Shift(2, -1))[0]
    np.testing.assert_allclose(moved[2:, :-1], image[:-2, 1:], atol=1e-5)


def test_no_shift_gives_the_same_image():
    image = texture()[None]
    np.testing.assert_array_equal(translate(image, Shift(0, 0)), image)


def test_flat_images_and_no_images_have_no_shift():
    flat = np.ones((32, 32), np.float32)
    assert estimate_shift([(flat, flat)]) == Shift(0, 0)
    assert estimate_shift([]) == Shift(0, 0)


def test_opposite_order_gives_the_opposite_shift():
    image = texture()
    moved = translate(image[None], Shift(0.7, -0.2))[0]
    forth, back = estimate_shift([(image, moved)]), estimate_shift([(moved, image)])
    assert forth == pytest.approx(back.times(-1), abs=1e-6)
