"""The equivalent number of looks, estimated from images."""

import cv2
import numpy as np
import pytest

from candela.eo.sar.looks import estimate_speckle


def speckle(looks, side=300, seed=0):
    return np.random.default_rng(seed).gamma(looks, 1 / looks, (side, side)).astype(np.float32)


@pytest.mark.parametrize("looks", [1.0, 4.4, 20.0])
def test_looks_of_uncorrelated_speckle(looks):
    found = estimate_speckle([speckle(looks)])
    assert found.looks == pytest.approx(looks, rel=0.04)
    assert found.correlation < 0.05


def test_looks_after_resampling_are_those_of_the_resampled_image():
    turn = np.float32([[0.978, -0.2, 60], [0.2, 0.978, -40]])
    image = cv2.warpAffine(speckle(4.4, 700), turn, (700, 700))[100:600, 100:600]
    found = estimate_speckle([image])
    assert found.looks == pytest.approx((image.mean() / image.std()) ** 2, rel=0.05)
    assert found.looks > 8
    assert found.correlation > 0.2


def test_correlated_speckle_is_not_taken_for_more_looks():
    """The variance in windows of Gaussian-smoothed speckle is too small by a tenth."""
    smooth = cv2.GaussianBlur(speckle(1.0, 600), (0, 0), 1.0)[20:-20, 20:-20]
    found = estimate_speckle([smooth])
    assert found.looks == pytest.approx((smooth.mean() / smooth.std()) ** 2, rel=0.08)


def test_edges_texture_and_gaps_do_not_matter_where_homogeneous_areas_are():
    image = speckle(4.4, 500)
    image[:, 250:] *= 8
    image[100:200, 300:400] *= np.random.default_rng(1).gamma(1, 1, (100, 100))
    image[300:330, :] = np.nan
    assert estimate_speckle([image]).looks == pytest.approx(4.4, rel=0.06)


def test_an_image_without_a_complete_window_is_refused():
    image = speckle(4.4, 60)
    image[::8, ::8] = np.nan
    with pytest.raises(ValueError, match="0 windows of 15 pixels without nodata"):
        estimate_speckle([image])
