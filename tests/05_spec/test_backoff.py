"""Pauses between tries, and the tries themselves."""

import logging

import pytest

from candela import backoff
from candela.backoff import Backoff, retry
from candela.errors import StorageError

LOGGER = logging.getLogger("test")


@pytest.fixture
def slept(monkeypatch):
    """Return the pauses that are made, which take no time."""
    pauses = []
    monkeypatch.setattr(backoff.time, "sleep", pauses.append)
    return pauses


def fail_first(count):
    """Return an action that fails so often before it returns how often it was called."""
    calls = []

    def action():
        calls.append(1)
        if len(calls) <= count:
            raise StorageError(f"failure {len(calls)}")
        return len(calls)

    return action


def test_pauses_grow_up_to_a_bound():
    pauses = Backoff(0.5, 60.0)
    assert [pauses.pause_s(n) for n in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert pauses.pause_s(8) == pauses.pause_s(100_000) == 60.0
    assert [Backoff(1, 15, factor=4).pause_s(n) for n in (1, 2, 3)] == [1, 4, 15]


def test_an_action_is_tried_again_after_growing_pauses(slept, caplog):
    assert (
        retry(fail_first(2), StorageError, Backoff(1, 60), tries=4, logger=LOGGER, subject="bucket")
        == 3
    )
    assert slept == [1, 2]
    assert "bucket: failure 2; next try in 2 s" in caplog.text


def test_the_error_of_the_last_try_is_raised(slept):
    with pytest.raises(StorageError, match="failure 3"):
        retry(fail_first(5), StorageError, Backoff(1, 60), tries=3, logger=LOGGER)
    assert slept == [1, 2]


def test_other_errors_end_it_at_once(slept):
    with pytest.raises(StorageError, match="failure 1"):
        retry(fail_first(1), ValueError, Backoff(1, 60), tries=3, logger=LOGGER)
    assert slept == []
