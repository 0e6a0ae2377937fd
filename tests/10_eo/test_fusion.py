"""Fusion at semantic level; at feature level it is tested with DMG-DF."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candela.eo.fusion import LabelPairs, fuse_posteriors


def test_the_product_of_posteriors_is_that_of_bayes():
    """Two independent observations of one of two classes, with the prior 0.8 and 0.2."""
    prior = np.array([0.8, 0.2])
    seen_first, seen_second = np.array([0.3, 0.9]), np.array([0.5, 0.6])  # P(observation | class)
    alone = [prior * seen / (prior * seen).sum() for seen in (seen_first, seen_second)]
    together = prior * seen_first * seen_second
    fused = fuse_posteriors([each[None] for each in alone], prior)
    np.testing.assert_allclose(fused[0], together / together.sum(), rtol=1e-12)


def test_a_sensor_that_knows_nothing_changes_nothing():
    known = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    unknown = np.full((2, 3), 1 / 3)
    np.testing.assert_allclose(fuse_posteriors([known, unknown]), known, rtol=1e-12)


def test_certainties_that_contradict_each_other_leave_both_possible():
    fused = fuse_posteriors([np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])])
    np.testing.assert_allclose(fused[0], [0.5, 0.5, 0], atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 4))
def test_rows_add_up_to_1_in_any_order_of_sensors(seed, classes, sensors):
    random = np.random.default_rng(seed)
    posteriors = [random.dirichlet(np.full(classes, 0.3), 5) for _ in range(sensors)]
    fused = fuse_posteriors(posteriors)
    np.testing.assert_allclose(fused.sum(axis=1), 1)
    np.testing.assert_allclose(fused, fuse_posteriors(posteriors[::-1]), atol=1e-9)


def test_the_product_beats_each_sensor_when_each_tells_other_classes_apart():
    """Of three classes the first sensor confuses 0 and 1, the second 1 and 2."""
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 3000)
    first_mean, second_mean = np.array([0, 0, 2.5]), np.array([0, 2.5, 2.5])
    posteriors = []
    for mean in (first_mean, second_mean):
        observed = mean[truth] + random.normal(size=len(truth))
        likelihood = np.exp(-0.5 * (observed[:, None] - mean) ** 2)
        posteriors.append(likelihood / likelihood.sum(axis=1, keepdims=True))
    first, second = ((each.argmax(axis=1) == truth).mean() for each in posteriors)
    fused = (fuse_posteriors(posteriors).argmax(axis=1) == truth).mean()
    assert fused > max(first, second) + 0.1


def test_a_table_of_pairs_knows_systematic_errors():
    """Whenever the first says 0 and the second 1 it was 2, which neither ever says."""
    truth = np.repeat([0, 1, 2], 50)
    first, second = np.where(truth == 2, 0, truth), np.where(truth == 2, 1, truth)
    table = LabelPairs.of(first, second, truth, 3)
    np.testing.assert_array_equal(table.apply(first, second), truth)


def test_a_pair_that_was_never_seen_is_what_its_labels_alone_speak_for():
    """The first is always right; the second says 1 for all."""
    first = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    table = LabelPairs.of(first, np.ones(9, int), first, 3)
    unseen = table.apply(np.array([0, 1, 2]), np.array([2, 2, 0]))
    np.testing.assert_array_equal(unseen, [0, 1, 2])


@pytest.mark.parametrize("classes", [2, 5])
def test_no_table_is_worse_on_what_it_was_made_of_than_either_sensor(classes):
    random = np.random.default_rng(classes)
    truth = random.integers(0, classes, 400)
    first, second = (
        np.where(random.random(400) < 0.6, truth, random.integers(0, classes, 400))
        for _ in range(2)
    )
    fused = LabelPairs.of(first, second, truth, classes).apply(first, second)
    right = (fused == truth).mean()
    assert right >= max((first == truth).mean(), (second == truth).mean())
