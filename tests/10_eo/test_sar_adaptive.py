"""Change by joint non-local means: threshold, self-training, and the whole method."""

import numpy as np
import pytest

from candela.eo.sar.adaptive import find_threshold, fit_adaptive
from candela.eo.sar.nonlocal_means import Search, joint_means
from candela.eo.sar.self_training import train
from candela.eo.sar.survey import PairSurvey

SIDE = 160
SEARCH = Search(radius=5, step=1, near=5, patch=3, bandwidth=1.0, expected=2.0)


def speckle(mean, looks, seed):
    mean = np.asarray(mean, np.float32)
    random = np.random.default_rng(seed)
    return (mean * random.gamma(looks, 1 / looks, mean.shape)).astype(np.float32)


def mapped(before, after):
    detector = fit_adaptive(PairSurvey([(before, after)], ([], [])))
    return detector.probability(before, after), detector


def kappa(found, truth):
    agreement = np.mean(found == truth)
    chance = found.mean() * truth.mean() + (1 - found.mean()) * (1 - truth.mean())
    return (agreement - chance) / (1 - chance)


def test_non_local_means_smooth_areas_and_keep_edges():
    step = np.where(np.arange(SIDE) < SIDE // 2, 10.0, 40.0) * np.ones((SIDE, 1))
    noisy = (step + np.random.default_rng(0).normal(0, 2, step.shape)).astype(np.float32)
    guides, valid = noisy[None] / 2, np.ones(step.shape, bool)
    means = joint_means(guides, noisy[None], valid, SEARCH)[0]
    assert np.std((means - step)[20:-20, 20:-20]) < 0.6
    assert np.abs(means - step)[20:-20, SIDE // 2 - 1 : SIDE // 2 + 1].mean() < 1


def test_pixels_without_data_take_no_part_in_non_local_means():
    values = speckle(np.full((1, 40, 40), 1.0), 4.0, 0)
    valid = np.ones((40, 40), bool)
    valid[10:20, 10:20] = False
    other = values.copy()
    other[:, ~valid] = 1000.0
    guides = np.zeros_like(values)
    first = joint_means(guides, values, valid, SEARCH)
    np.testing.assert_allclose(first[:, valid], joint_means(guides, other, valid, SEARCH)[:, valid])


@pytest.mark.parametrize(("share", "distance"), [(0.02, 12.0), (0.2, 9.0)])
def test_the_threshold_lies_between_two_classes(share, distance):
    random = np.random.default_rng(0)
    values = np.abs(random.normal(0, 1, 50_000)).astype(np.float32)
    values[: int(share * len(values))] += distance
    assert 3.5 < find_threshold(values) < distance


def test_the_threshold_of_one_class_is_beyond_it():
    values = np.abs(np.random.default_rng(0).normal(0, 1, 50_000)).astype(np.float32)
    assert find_threshold(values) >= 5


@pytest.mark.parametrize(
    ("share", "gain_db", "looks"), [(0.01, -8, (4, 4)), (0.06, 7, (1.5, 4)), (0.25, -6, (4, 4))]
)
def test_change_of_any_share_is_found(share, gain_db, looks):
    side = round((share * SIDE * SIDE) ** 0.5)
    truth = np.zeros((SIDE, SIDE), bool)
    truth[30 : 30 + side, 40 : 40 + side] = True
    fields = np.kron(np.random.default_rng(1).uniform(0.05, 0.3, (8, 8)), np.ones((20, 20)))
    later = np.where(truth, fields * 10 ** (gain_db / 10), fields)
    change, _ = mapped(speckle(fields[None], looks[0], 2), speckle(later[None], looks[1], 3))
    assert kappa(change >= 0.5, truth) > 0.85


def test_an_unchanged_pair_is_unchanged():
    fields = np.kron(np.random.default_rng(1).uniform(0.05, 0.3, (8, 8)), np.ones((20, 20)))
    change, detector = mapped(speckle(fields[None], 4, 2), 1.5 * speckle(fields[None], 2, 3))
    assert np.mean(change >= 0.5) < 0.002
    assert detector.facts()["gain_db"] == pytest.approx([1.76], abs=0.5)


def test_areas_of_one_level_do_not_make_speckle_change():
    """Most of both pictures is water, stored as 0."""
    land = np.zeros((SIDE, SIDE), bool)
    land[:, :50] = True
    truth = np.zeros_like(land)
    truth[40:80, 10:40] = True
    mean = np.where(land, 0.1, 1e-6)[None]
    pictures = [
        np.floor(np.sqrt(speckle(level, 2, seed)) * 90)
        for seed, level in enumerate((mean, np.where(truth, 2.5 * mean, mean)))
    ]
    before, after = (np.square(np.maximum(each, 0.5)).astype(np.float32) for each in pictures)
    change, _ = mapped(before, after)
    assert kappa(change >= 0.5, truth) > 0.9


def test_two_polarisations_find_more_than_one():
    truth = np.zeros((SIDE, SIDE), bool)
    truth[30:70, 40:80] = True
    mean = np.full((2, SIDE, SIDE), 0.1)
    later = np.where(truth, 1.7 * mean, mean)
    before, after = speckle(mean, 3, 1), speckle(later, 3, 2)
    both = kappa(mapped(before, after)[0] >= 0.5, truth)
    assert both > kappa(mapped(before[:1], after[:1])[0] >= 0.5, truth)
    assert both > 0.8


def test_nodata_is_nodata_and_changes_little_around_it():
    mean = np.full((1, SIDE, SIDE), 0.1)
    before, after = speckle(mean, 4, 1), speckle(mean, 4, 2)
    before[:, 60:90, 60:90] = np.nan
    change, _ = mapped(before, after)
    missing = np.isnan(change)
    assert missing.sum() == 900
    assert np.mean(change[~missing] >= 0.5) < 0.002


def test_too_little_change_trains_nothing():
    features = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    ratio = np.full(1000, 0.3, np.float32)
    ratio[:20] = 3
    assert train(features, ratio) is None


def test_a_trained_classifier_separates_the_classes():
    random = np.random.default_rng(0)
    features = random.normal(size=(3, 40, 50)).astype(np.float32)
    features[0, :10] += 4
    ratio = np.where(np.arange(40)[:, None] < 10, 3.0, 0.2) * np.ones((40, 50))
    classifier = train(features.reshape(3, -1), ratio.ravel().astype(np.float32))
    score = classifier.score(features)
    assert np.mean(score[:10] > 0) > 0.9
    assert np.mean(score[10:] < 0) > 0.9
