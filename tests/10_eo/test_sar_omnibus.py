"""Likelihood ratio tests of SAR intensities."""

import numpy as np
import pytest
from scipy import stats

from candela.eo.sar.omnibus import Direction, compare, direction, find_changes, omnibus


def speckle(looks, *shape, seed=0, mean=1.0):
    return np.random.default_rng(seed).gamma(looks, mean / looks, shape).astype(np.float32)


def series_oracle(images, n):
    """Return the p-value of eq. 7 to 9 of Conradsen et al. (2016), of diagonal matrices X = n x."""
    sums = n * np.asarray(images, np.float64)
    k, p = sums.shape[:2]
    logs = n * (p * k * np.log(k) + np.log(sums).sum((0, 1)) - k * np.log(sums.sum(0)).sum(0))
    f = (k - 1) * p
    rho = 1 - (k / n - 1 / (n * k)) / (6 * (k - 1))
    omega = -f / 4 * (1 - 1 / rho) ** 2
    z = -2 * rho * logs
    first, second = stats.chi2.cdf(z, f), stats.chi2.cdf(z, f + 4)
    return np.clip(1 - first - omega * (second - first), 0, 1)


@pytest.mark.parametrize("polarisations", [1, 2])
@pytest.mark.parametrize("looks", [1.0, 4.4, 13.0])
def test_p_values_of_a_pair_are_those_of_the_paper(polarisations, looks):
    images = speckle(looks, 2, polarisations, 40, 50)
    found = compare(images[0], images[1], (looks, looks)).p_value
    np.testing.assert_allclose(found, series_oracle(images, looks), atol=1e-6)


@pytest.mark.parametrize("polarisations", [1, 2])
def test_p_values_of_a_series_are_those_of_the_paper(polarisations):
    images = speckle(4.4, 9, polarisations, 40, 50)
    found = omnibus(list(images), [4.4] * 9).p_value
    np.testing.assert_allclose(found, series_oracle(images, 4.4), atol=1e-6)


@pytest.mark.parametrize(("n", "m"), [(4.4, 4.4), (3.0, 12.0)])
def test_p_values_of_one_polarisation_are_near_the_exact_ones(n, m):
    """The ratio of both dates has an F distribution of 2 n and 2 m degrees of freedom."""
    before, after = speckle(n, 1, 60, 60), speckle(m, 1, 60, 60, seed=1)
    tested = compare(before, after, (n, m))
    grid = np.exp(np.linspace(-6, 6, 20001))
    ratio = -2 * (n * np.log(grid) - (n + m) * np.log((n * grid + m) / (n + m)))
    lowest = int(np.argmin(ratio))
    low = np.interp(tested.statistic, ratio[lowest::-1], grid[lowest::-1])
    high = np.interp(tested.statistic, ratio[lowest:], grid[lowest:])
    exact = stats.f.cdf(low, 2 * n, 2 * m) + stats.f.sf(high, 2 * n, 2 * m)
    np.testing.assert_allclose(tested.p_value, exact, atol=4e-4)


@pytest.mark.parametrize("level", [0.01, 0.001])
def test_the_false_alarm_rate_is_the_level(level):
    before, after = speckle(4.4, 2, 900, 900), speckle(9.0, 2, 900, 900, seed=1)
    rate = np.mean(compare(before, after, (4.4, 9.0)).p_value <= level)
    assert 0.9 * level < rate < 1.1 * level


def test_a_wrong_number_of_looks_gives_a_wrong_false_alarm_rate():
    before, after = speckle(4.4, 1, 400, 400), speckle(4.4, 1, 400, 400, seed=1)
    assert np.mean(compare(before, after, (6.0, 6.0)).p_value <= 0.01) > 0.025


def test_nodata_of_either_date_is_nodata_of_the_test():
    before, after = speckle(4.4, 2, 3, 3), speckle(4.4, 2, 3, 3, seed=1)
    before[:, 0, 0] = after[:, 1, 1] = np.nan
    missing = np.isnan(compare(before, after, (4.4, 4.4)).p_value)
    assert missing.sum() == 2
    assert missing[0, 0]
    assert missing[1, 1]


def test_a_series_passes_over_dates_without_data():
    images = speckle(4.4, 4, 2, 20, 20)
    images[1] = np.nan
    kept = [images[0], *images[2:]]
    whole, part = omnibus(list(images), [4.4] * 4), omnibus(kept, [4.4] * 3)
    np.testing.assert_allclose(whole.p_value, part.p_value, rtol=1e-9)


def test_direction_is_the_loewner_order():
    before = np.ones((2, 1, 5), np.float32)
    after = np.array([[[2, 0.5, 2, 1, np.nan]], [[3, 0.5, 0.5, 2, 1]]], np.float32)
    found = [Direction(each).name for each in direction(before, after)[0]]
    assert found == ["BRIGHTER", "DARKER", "OTHER", "OTHER", "NONE"]


def test_a_sequence_finds_the_interval_and_the_direction():
    steps = [1, 1, 1, 8, 8, 8, 1, 1]
    images = [speckle(9.0, 2, 60, 60, seed=k, mean=mean) for k, mean in enumerate(steps)]
    found = find_changes(images, [9.0] * len(steps), 0.001)
    assert found.shape == (7, 60, 60)
    assert np.mean(found[2] == Direction.BRIGHTER) > 0.97
    assert np.mean(found[5] == Direction.DARKER) > 0.97
    assert np.mean(found[[0, 1, 3, 4, 6]] != Direction.NONE) < 0.01


def test_a_sequence_without_change_flags_fewer_pixels_than_the_level():
    images = [speckle(4.4, 2, 120, 120, seed=k) for k in range(8)]
    found = find_changes(images, [4.4] * 8, 0.01)
    assert 0 < np.mean((found > 0).any(axis=0)) < 0.02


def test_a_sequence_begins_where_a_pixel_has_its_first_data():
    images = [speckle(9.0, 2, 20, 20, seed=k, mean=mean) for k, mean in enumerate([1, 1, 1, 9])]
    images[0][:] = np.nan
    found = find_changes(images, [9.0] * 4, 0.001)
    assert np.mean(found[2] == Direction.BRIGHTER) > 0.97
    assert not found[0].any()
