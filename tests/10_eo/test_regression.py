import numpy as np
import pytest

from candela.eo.regression import fit_robust, refine_robust

RANDOM = np.random.default_rng(3)
FEATURES = RANDOM.normal(5, 2, (4000, 3)).astype(np.float32)
SLOPES = np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]], np.float32)
TARGETS = FEATURES @ SLOPES + np.array([4.0, -1.0], np.float32)


def noisy(sigma):
    return (TARGETS + RANDOM.normal(0, sigma, TARGETS.shape)).astype(np.float32)


def test_a_linear_law_and_its_noise_are_recovered():
    fit = fit_robust(FEATURES, noisy(0.3), smallest_noise=0.01)
    np.testing.assert_allclose(fit.coefficients, SLOPES, atol=0.02)
    np.testing.assert_allclose(fit.intercept, [4, -1], atol=0.1)
    np.testing.assert_allclose(fit.noise, 0.3, rtol=0.1)


def test_a_tenth_of_gross_outliers_hardly_bends_the_fit():
    targets = noisy(0.3)
    targets[:400] += 30
    fit = fit_robust(FEATURES, targets, smallest_noise=0.01)
    np.testing.assert_allclose(fit.intercept, [4, -1], atol=0.3)
    np.testing.assert_allclose(fit.coefficients, SLOPES, atol=0.05)
    np.testing.assert_allclose(fit.noise, 0.3, rtol=0.25)


def test_noise_has_a_lower_limit():
    assert fit_robust(FEATURES, TARGETS, smallest_noise=0.15).noise == pytest.approx([0.15, 0.15])


def test_a_feature_that_never_varies_does_no_harm():
    constant = np.full((len(FEATURES), 1), 7, np.float32)
    fit = fit_robust(np.hstack([FEATURES, constant]), TARGETS, smallest_noise=0.01)
    predicted = np.hstack([FEATURES, constant]) @ fit.coefficients + fit.intercept
    np.testing.assert_allclose(predicted, TARGETS, atol=0.1)


def test_more_features_than_samples_still_give_finite_numbers():
    features = RANDOM.normal(0, 1, (10, 30)).astype(np.float32)
    fit = fit_robust(features, features[:, :2], smallest_noise=0.1)
    assert np.isfinite(fit.coefficients).all()
    assert np.isfinite(fit.noise).all()


def test_what_differs_in_one_place_is_learnt_from_few_samples_of_it():
    few = slice(0, 500)
    errors = (noisy(0.3) - (TARGETS + 2 * FEATURES[:, :1]))[few]
    errors[:25] += 20
    fit = refine_robust(FEATURES[few], errors, smallest_noise=np.array([0.1, 0.1], np.float32))
    expected = np.zeros((3, 2))
    expected[0] = -2
    np.testing.assert_allclose(fit.coefficients, expected, atol=0.1)
    np.testing.assert_allclose(fit.noise, 0.3, rtol=0.3)


def test_where_a_prediction_from_elsewhere_is_right_it_stays():
    few = slice(0, 500)
    errors = (noisy(0.3) - TARGETS)[few]
    fit = refine_robust(FEATURES[few], errors, smallest_noise=np.array([0.1, 0.1], np.float32))
    np.testing.assert_allclose(fit.coefficients, 0, atol=0.05)
