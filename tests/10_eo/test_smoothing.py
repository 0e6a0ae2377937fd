import numpy as np
import pytest

from candela.eo.raster.smoothing import gaussian, gaussian_reach, guided_filter, mean_filter

NOISE = np.random.default_rng(0).normal(2, 1, (80, 90)).astype(np.float32)


def test_a_flat_image_stays_flat():
    flat = np.full((40, 30), 3.5, np.float32)
    for result in (
        gaussian(flat, 5),
        mean_filter(flat, 4),
        guided_filter(flat, NOISE[:40, :30], radius=4, epsilon=0.1),
    ):
        np.testing.assert_allclose(result, 3.5, atol=1e-4)


def test_a_gaussian_has_the_width_asked_for():
    point = np.zeros((61, 61), np.float32)
    point[30, 30] = 1
    smooth = gaussian(point, 3)
    rows = np.arange(61) - 30
    assert smooth.sum() == pytest.approx(1, abs=1e-4)
    assert np.sqrt((smooth.sum(axis=1) * rows**2).sum()) == pytest.approx(3, rel=0.03)


@pytest.mark.parametrize("sigma", [0.7, 2, 5])
def test_a_gaussian_looks_no_further_than_it_says(sigma):
    reach = gaussian_reach(sigma)
    point = np.zeros((101, 101), np.float32)
    point[50, 50] = 1
    rows, _ = np.nonzero(gaussian(point, sigma))
    assert rows.min() >= 50 - reach
    assert rows.max() <= 50 + reach


def test_bands_are_smoothed_one_by_one():
    stack = np.stack([NOISE, 2 * NOISE])
    np.testing.assert_array_equal(gaussian(stack, 2)[1], gaussian(2 * NOISE, 2))


def test_the_guided_filter_keeps_edges_of_the_guide_and_smooths_elsewhere():
    guide = np.zeros((60, 60), np.float32)
    guide[:, 30:] = 10
    image = guide / 10 + np.random.default_rng(1).normal(0, 0.2, guide.shape).astype(np.float32)
    smooth = guided_filter(image, guide, radius=4, epsilon=0.1)
    assert smooth[:, 10:20].std() < 0.05
    assert smooth[:, 29].mean() < 0.1
    assert smooth[:, 30].mean() > 0.9


def test_a_single_pixel_can_be_filtered():
    pixel = np.array([[3]], np.float32)
    assert gaussian(pixel, 5)[0, 0] == pytest.approx(3)
    assert guided_filter(pixel, pixel, radius=4, epsilon=0.1)[0, 0] == pytest.approx(3, rel=1e-3)
