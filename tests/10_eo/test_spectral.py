import numpy as np
import pytest

from candela.eo.fusion import Scaler, fuse
from candela.eo.s1.backscatter import decibel, linear_power
from candela.eo.texture.spectral import (
    LEVELS,
    POLAR_CODES,
    SECTORS,
    PolarPlane,
    level_quantile,
    luminance,
    normalised_difference,
    polar_codes,
    reflectance_levels,
)


def image(value):
    return np.full((2, 2), value, np.float32)


def test_a_normalised_difference_is_that_of_its_formula_and_0_without_light():
    first = np.array([[0.5, 0.0], [0.1, 0.0]], np.float32)
    second = np.array([[0.1, 0.0], [0.1, 0.3]], np.float32)
    found = normalised_difference(first, second)
    np.testing.assert_allclose(found, [[0.4 / 0.6, 0], [0, -1]], rtol=1e-6)


def test_luminance_of_grey_is_its_reflectance():
    assert luminance(image(0.3), image(0.3), image(0.3)) == pytest.approx(0.3)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_quantiles_from_levels_are_those_of_the_pixels(quantile):
    pixels = np.random.default_rng(1).gamma(3, 0.05, 10_000).astype(np.float32)
    shares = np.bincount(reflectance_levels(pixels), minlength=LEVELS)[:, None] / 10_000
    found = level_quantile(shares.astype(np.float32), quantile)
    assert found[0] == pytest.approx(np.quantile(pixels, quantile), abs=0.004)


def test_an_empty_histogram_has_the_quantile_0():
    assert level_quantile(np.zeros((LEVELS, 2), np.float32), 0.5).tolist() == [0, 0]


def test_reflectance_beyond_its_range_is_in_the_outermost_levels():
    assert reflectance_levels(np.array([-0.1, 0, 1, 1.7], np.float32)).tolist() == [0, 0, 63, 63]


def test_the_plane_has_spread_1_along_both_axes():
    random = np.random.default_rng(1)
    spectra = random.normal(size=(4, 4)) @ random.normal(size=(4, 5000))
    plane = PolarPlane.of(spectra)
    places = np.array(plane.axes) @ (spectra - np.array(plane.centre)[:, None])
    np.testing.assert_allclose(np.cov(places), np.eye(2), atol=1e-6)


def test_the_polar_code_is_direction_and_distance():
    plane = PolarPlane((1.0, 1.0), ((1.0, 0.0), (0.0, 1.0)))
    angles = np.radians([5, 95, 185, 275])
    distances = np.array([0.2, 0.7, 1.7, 9])
    spectra = 1 + distances * np.stack([np.cos(angles), np.sin(angles)])
    codes = polar_codes(spectra[:, None].astype(np.float32), plane)[0]
    assert (codes // SECTORS).tolist() == [0, 1, 3, 5]
    assert (codes % SECTORS).tolist() == [0, 3, 6, 9]
    assert codes.max() < POLAR_CODES


def test_decibel_and_power_are_each_others_inverse_down_to_the_noise():
    power = np.array([1.0, 0.01, 1e-9, 0.0], np.float32)
    np.testing.assert_allclose(decibel(power), [0, -20, -40, -40], atol=1e-4)
    np.testing.assert_allclose(linear_power(decibel(power))[:2], power[:2], rtol=1e-5)
    assert np.isnan(linear_power(np.array([np.nan], np.float32))).all()


def test_scaled_features_have_centre_0_and_spread_1_and_odd_ones_are_clipped():
    vectors = np.random.default_rng(1).normal([3, -2], [2, 0.1], (1000, 2)).astype(np.float32)
    scaler = Scaler.of(vectors)
    scaled = scaler.apply(vectors)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-2)
    assert scaler.apply(np.array([[1e6, -2]], np.float32))[0, 0] == 5
    assert Scaler((1.0,), (0.0,)).apply(np.array([[7]], np.float32)).tolist() == [[0]]


def test_a_long_block_counts_no_more_than_a_short_one():
    random = np.random.default_rng(1)
    blocks = {
        "short": random.normal(size=(500, 4)).astype(np.float32),
        "long": random.normal(size=(500, 400)).astype(np.float32),
    }
    scalers = {name: Scaler.of(vectors) for name, vectors in blocks.items()}
    fused = fuse(blocks, scalers)
    lengths = [np.square(part).sum(axis=1).mean() for part in np.split(fused, [4], axis=1)]
    np.testing.assert_allclose(lengths, 1, rtol=0.05)
    doubled = fuse(blocks, scalers, {"long": 2})
    np.testing.assert_allclose(doubled[:, 4:], 2 * fused[:, 4:])
