import numpy as np
import pytest

from candela.models.change.cells import SIDE, Cells

SHAPE = (100, 85)


def cells(valid=None):
    return Cells(np.ones(SHAPE, bool) if valid is None else valid)


def test_the_mean_of_a_cell_is_that_of_its_valid_pixels():
    valid = np.random.default_rng(1).random((96, 80)) < 0.5
    valid[:16] = False
    image = np.random.default_rng(2).normal(3, 1, (2, 96, 80)).astype(np.float32)
    expected = np.ma.masked_array(image, np.broadcast_to(~valid, image.shape))
    expected = expected.reshape(2, 96 // SIDE, SIDE, 80 // SIDE, SIDE).mean(axis=(2, 4))
    means = cells(valid).means(image)
    np.testing.assert_allclose(means[:, 2:], expected[:, 2:], rtol=1e-4)
    np.testing.assert_array_equal(means[:, :2], 0)


def test_an_image_of_larger_pixels_has_the_same_cells():
    valid = np.ones(SHAPE, bool)
    valid[:, 60:] = False
    half = np.full((1, 50, 43), 5, np.float32)
    half[:, :, 31:] = 1e6
    means = cells(valid).means(half)
    np.testing.assert_allclose(means[:, :, :7], 5, rtol=1e-5)


@pytest.mark.parametrize("gap", [False, True])
def test_a_residual_that_all_cells_share_is_background(gap):
    valid = np.ones(SHAPE, bool)
    if gap:
        valid[30:60, 20:50] = False
    grid = cells(valid)
    residual = grid.means(np.full((3, *SHAPE), -0.5, np.float32))
    background = grid.background(residual, weighting=2, shape=(50, 43))
    assert background.shape == (3, 50, 43)
    np.testing.assert_allclose(background[:, :10], -0.5, rtol=0.03)


@pytest.mark.parametrize("side", [1, 6])
def test_an_outlier_is_hardly_background_be_it_a_building_or_a_quarter(side):
    grid = cells()
    residual = np.zeros((1, 13, 11), np.float32)
    residual[0, 3 : 3 + side, 3 : 3 + side] = 20
    background = grid.background(residual, weighting=1, shape=SHAPE)
    assert 0 < background.max() < 0.6
