"""Whose turn it is, and how long that takes: rules alone."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candela.jobs.queue import Bounds, Candidate, Share, about, ahead, choose, wait_s


def waiting(*jobs):
    """Return candidates from (owner, process) or (owner, process, priority), oldest first."""
    return [
        Candidate(f"{number}", owner, process, (-(rest[0] if rest else 0), number))
        for number, (owner, process, *rest) in enumerate(jobs)
    ]


def test_owners_take_turns():
    jobs = waiting(*((owner, "P") for owner in "aaabcb"))
    assert choose(jobs, [], 6, Bounds(6)) == ["0", "3", "4", "1", "5", "2"]


def test_an_owner_with_running_jobs_comes_later():
    jobs = waiting(("a", "P"), ("b", "P"))
    assert choose(jobs, [Share("a", "P", 1, 0, 1)], 1, Bounds(2)) == ["1"]


def test_of_one_owners_jobs_the_urgent_one_comes_first():
    jobs = waiting(("a", "P"), ("a", "P", 5), ("a", "Q"))
    assert choose(jobs, [], 2, Bounds(2)) == ["1", "0"]


def test_a_high_priority_does_not_take_the_turns_of_other_owners():
    jobs = waiting(("a", "P", 9), ("a", "P", 9), ("b", "P"))
    assert choose(jobs, [], 2, Bounds(2)) == ["0", "2"]


def test_what_a_limit_holds_up_does_not_hold_up_others():
    jobs = waiting(("a", "P"), ("a", "P"), ("a", "Q"), ("b", "P"), ("b", "Q"))
    running = [Share("c", "P", 0, 0, 1)]
    assert choose(jobs, running, 5, Bounds(9, of_process={"P": 2})) == ["0", "4", "2"]
    assert choose(jobs, running, 5, Bounds(9, of_owner=1, of_process={"P": 1})) == ["2", "4"]


shares_of_queue = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("PQ"), st.integers(0, 2)), max_size=12
)


@settings(deadline=None)
@given(shares_of_queue, shares_of_queue, st.data())
def test_the_place_in_the_queue_is_the_turn_that_comes(jobs, running, data):
    """One after the other, all places free: what is told ahead is what starts before."""
    candidates = waiting(*jobs)
    if not candidates:
        return
    mine = data.draw(st.sampled_from(candidates))
    shares = [
        Share(
            owner,
            process,
            waiting=sum((job.owner, job.process) == (owner, process) for job in candidates),
            before=sum(
                (job.owner, job.process) == (owner, process) and job.urgency < mine.urgency
                for job in candidates
            ),
            running=sum(each[:2] == (owner, process) for each in running),
        )
        for owner in "abc"
        for process in "PQ"
    ]
    order = choose(candidates, shares, len(candidates), Bounds(99))
    assert round(sum(ahead(mine.owner, shares).values())) == order.index(mine.id)


def test_the_wait_is_the_work_ahead_shared_by_the_places():
    shares = [Share("a", "P", waiting=4, before=3, running=2)]
    assert wait_s("a", "P", shares, {"P": 60}, Bounds(2)) == (3 + 2 / 2) * 60 / 2
    assert wait_s("a", "P", shares, {"P": 60}, Bounds(8, of_process={"P": 1})) == 4 * 60
    assert wait_s("a", "P", shares, {"P": 60}, Bounds(8, of_owner=1)) == 4 * 60


def test_more_running_than_one_gateway_has_places_are_places_of_others():
    shares = [Share("a", "P", waiting=1, before=0, running=6)]
    assert wait_s("a", "P", shares, {"P": 60}, Bounds(2)) == 30


def test_nothing_is_estimated_where_a_run_time_is_not_known():
    shares = [Share("a", "P", 1, 0, 1), Share("b", "New", 1, 0, 1)]
    assert wait_s("a", "P", shares, {"P": 60}, Bounds(2)) is None
    known = {"P": 60, "New": 600}
    assert wait_s("a", "P", shares, known, Bounds(2)) == (30 + 300) / 2


def test_an_estimate_is_near_the_truth_of_a_simulated_queue():
    seeded = random.Random(4)
    lengths = [seeded.uniform(30, 90) for _ in range(40)]
    places = [0.0, 0.0]
    for length in lengths:
        places[places.index(min(places))] += length
    shares = [Share("a", "P", waiting=39, before=38, running=2)]
    estimate = wait_s("a", "P", shares, {"P": 60}, Bounds(2))
    assert estimate == pytest.approx(min(places), rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3, "a few seconds"),
        (31, "about 30 s"),
        (70, "about 1 min"),
        (3000, "about 50 min"),
        (5400, "about 1.5 h"),
    ],
)
def test_a_time_is_said_as_roughly_as_it_is_known(seconds, said):
    assert about(seconds) == said
