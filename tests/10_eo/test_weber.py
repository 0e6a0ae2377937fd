import math

import numpy as np
import pytest

from candela.eo.texture.weber import CODES, LEVELS, ORIENTATIONS, weber_codes, weber_speckle_codes


@pytest.fixture(scope="module")
def image():
    return (np.random.default_rng(5).random((40, 50)) + 0.1).astype(np.float32)


def shares(codes):
    return np.bincount(codes.ravel(), minlength=CODES) / codes.size


def turned(histogram, sectors):
    return np.roll(histogram.reshape(ORIENTATIONS, LEVELS), sectors, axis=0).ravel()


def written_out(image, row, col):
    """Return the code of a pixel by the formulas of the paper."""
    around = image[row - 1 : row + 2, col - 1 : col + 2].astype(float)
    excitation = math.atan((around.sum() - 9 * around[1, 1]) / around[1, 1])
    level = min(int((excitation + math.pi / 2) / math.pi * LEVELS), LEVELS - 1)
    gradient = math.atan2(around[2, 1] - around[0, 1], around[1, 2] - around[1, 0])
    sector = math.floor(gradient / (math.pi / 4) + 0.5) % ORIENTATIONS
    return sector * LEVELS + level


def test_codes_are_those_of_the_formulas(image):
    codes = weber_codes(image)
    expected = [[written_out(image, row, col) for col in range(1, 49)] for row in range(1, 39)]
    agree = codes[1:-1, 1:-1] == expected
    assert agree.mean() > 0.999  # rounding at the border of two bins
    assert codes.max() < CODES


@pytest.mark.parametrize("describe", [weber_codes, weber_speckle_codes])
def test_a_gain_changes_nothing(image, describe):
    assert (describe(image) == describe(8 * image)).mean() > 0.999


@pytest.mark.parametrize("describe", [weber_codes, weber_speckle_codes])
def test_a_turn_by_90_degrees_moves_the_orientation_by_two_sectors(image, describe):
    """Turned anticlockwise, what rose to the right rises upwards: six sectors on, or two back."""
    one = shares(describe(image)[5:-5, 5:-5])
    other = shares(describe(np.rot90(image).copy())[5:-5, 5:-5])
    np.testing.assert_allclose(turned(one, -2), other, atol=2e-3)


def test_a_bright_point_stands_out_and_its_surroundings_rise_towards_it():
    image = np.full((9, 9), 0.1, np.float32)
    image[4, 4] = 10
    codes = weber_codes(image)
    assert codes[4, 4] % LEVELS == 0  # far darker all around
    assert codes[4, 3] // LEVELS == 0  # rises to the right
    assert codes[3, 4] // LEVELS == 2  # rises downwards
    assert codes[4, 5] // LEVELS == 4
    assert codes[0, 0] % LEVELS == LEVELS // 2  # nothing stands out


def test_dark_ground_is_no_division_by_zero():
    codes = weber_codes(np.zeros((8, 8), np.float32))
    assert (codes == codes[0, 0]).all()
    assert (weber_speckle_codes(np.zeros((8, 8), np.float32)) < CODES).all()


def test_speckle_hides_an_edge_less_from_means_than_from_pixels():
    """Of a vertical edge under one look of speckle, the orientation is found more often."""
    random = np.random.default_rng(2)
    level = np.where(np.arange(64) < 32, 0.05, 0.5)
    power = (level * random.gamma(1, 1, (400, 64))).astype(np.float32)
    at_edge = slice(31, 33)
    found = {
        describe.__name__: (describe(power)[:, at_edge] // LEVELS == 0).mean()
        for describe in (weber_codes, weber_speckle_codes)
    }
    assert found["weber_speckle_codes"] > found["weber_codes"] + 0.2
