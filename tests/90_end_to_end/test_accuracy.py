"""How well a map fits the truth."""

import math

import numpy as np
import pytest

from candela.demo.accuracy import accuracy, area_under_curve


def test_numbers_are_those_counted_by_hand() -> None:
    probability = np.array([[0.9, 0.6, 0.4], [0.5, 0.1, np.nan]])
    truth = np.array([[True, False, True], [True, False, True]])
    found = accuracy(probability, truth)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.auc == pytest.approx(4 / 6)
    assert found.changed == pytest.approx(3 / 5)
    assert found.pixels == 5


def test_a_perfect_ranking_is_one_and_ties_are_a_half() -> None:
    changed = np.array([False, False, True, True])
    assert area_under_curve(np.array([0.1, 0.2, 0.3, 0.4]), changed) == 1
    assert area_under_curve(np.zeros(4), changed) == 0.5


def test_what_is_not_defined_is_nan() -> None:
    found = accuracy(np.array([0.1, 0.2]), np.array([False, False]))
    assert math.isnan(found.recall)
    assert math.isnan(found.auc)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="the truth"):
        accuracy(np.zeros(3), np.zeros(2, dtype=bool))
    with pytest.raises(ValueError, match="no valid pixel"):
        accuracy(np.full(3, np.nan), np.zeros(3, dtype=bool))
