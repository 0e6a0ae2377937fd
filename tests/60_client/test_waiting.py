"""Waiting: gentle, patient, and never for ever without being told so."""

from collections.abc import Iterator

import pytest

from candela.client.errors import ServerUnreachableError, WaitTimeoutError
from candela.client.status import JobInfo, Status
from candela.client.waiting import LONGEST_PAUSE_S, follow


class Clock:
    """A clock that moves only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("candela.client.waiting.time", clock)
    return clock


def info(status: Status) -> JobInfo:
    return JobInfo("1", "Echo", status)


def answers(*said: Status | Exception) -> Iterator[JobInfo]:
    for each in said:
        if isinstance(each, Exception):
            yield each  # type: ignore[misc]
        else:
            yield info(each)


def looking(*said: Status | Exception):
    told = answers(*said)

    def look() -> JobInfo:
        answer = next(told)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


def test_each_pause_is_longer_up_to_a_limit(clock: Clock) -> None:
    told: list[JobInfo] = []
    look = looking(*[Status.RUNNING] * 12, Status.SUCCEEDED)
    assert follow(look, told.append).status is Status.SUCCEEDED
    assert len(told) == 13
    assert clock.pauses[0] == pytest.approx(0.2)
    assert clock.pauses == sorted(clock.pauses)
    assert clock.pauses[-1] == LONGEST_PAUSE_S


def test_a_server_may_be_away_for_a_while(clock: Clock) -> None:
    away = ServerUnreachableError("away")
    look = looking(Status.RUNNING, *[away] * 20, Status.SUCCEEDED)
    assert follow(look, lambda _: None).status is Status.SUCCEEDED
    assert min(clock.pauses) >= 0.2


def test_a_server_that_stays_away_is_given_up_after_pauses(clock: Clock) -> None:
    away = ServerUnreachableError("away")
    with pytest.raises(ServerUnreachableError):
        follow(looking(*[away] * 1000), lambda _: None, patience_s=60)
    assert 60 < clock.now < 65
    assert len(clock.pauses) < 50


def test_every_answer_renews_the_patience(clock: Clock) -> None:
    away = ServerUnreachableError("away")
    said = [*[away] * 25, Status.RUNNING] * 4
    assert follow(looking(*said, Status.FAILED), lambda _: None).status is Status.FAILED
    assert clock.now > 150


def test_the_time_to_wait_is_kept(clock: Clock) -> None:
    with pytest.raises(WaitTimeoutError, match="within 5 s; it goes on"):
        follow(looking(*[Status.RUNNING] * 100), lambda _: None, timeout_s=5)
    assert clock.now == pytest.approx(5)
