"""Lists of jobs: filters, pages that stay the same while jobs arrive, and indices alone."""

import datetime as dt
import itertools
from dataclasses import replace

import pytest

from candela.errors import InvalidValueError
from candela.jobs import listing
from candela.jobs.footprints import Footprint
from candela.jobs.listing import JobQuery, Position, TimeInterval
from candela.jobs.model import Job, State, new_id, now
from candela.jobs.principal import ANONYMOUS, Principal, Role
from candela.jobs.store import JobStore

START = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
OPERATOR = Principal("root", Role.OPERATOR)


@pytest.fixture
def store(database):
    store = JobStore(database)
    yield store
    store.close()


def add(store, **changes):
    """Write a job, a second younger than the one before."""
    time = START + dt.timedelta(seconds=store.count())
    job = replace(Job(new_id(), "Echo", "1.0.0", time, time), **changes)
    store.add(job)
    return job.id


def found(store, *, scope=None, **filters):
    query = JobQuery(**filters)
    ids = [job.id for job in store.page(query, owner=scope).jobs]
    assert store.matches(query, owner=scope) == len(ids)
    return ids


def test_jobs_are_found_by_process_state_and_owner(store):
    mine = add(store, owner="ann")
    change = add(store, owner="bob", process="ChangeDetect", state=State.FAILED)
    other = add(store, owner="bob", process="Other", state=State.SUCCEEDED)
    assert found(store) == [other, change, mine]
    assert found(store, processes=["Echo", "Other"]) == [other, mine]
    assert found(store, states=[State.FAILED, State.ACCEPTED]) == [change, mine]
    assert found(store, states=[]) == []
    assert found(store, types=["process"]) == [other, change, mine]
    assert found(store, types=["query"]) == []
    assert found(store, owner="bob", states=[State.FAILED]) == [change]


def test_a_filter_by_owner_shows_nobody_what_is_not_theirs(store):
    mine, _ = add(store, owner="ann"), add(store, owner="bob")
    assert found(store, scope="ann") == found(store, scope="ann", owner="ann") == [mine]
    assert found(store, scope="ann", owner="bob") == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-31T12:00:01Z", [1]),
        ("2026-01-31T13:00:01+01:00", [1]),
        ("2026-01-31T12:00:01.000000Z", [1]),
        ("2026-01-31", [0, 1, 2]),
        ("2026-01-30", []),
        ("2026-01-31T12:00:01Z/..", [1, 2]),
        ("2026-01-31T12:00:01Z/", [1, 2]),
        ("../2026-01-31T12:00:01Z", [0, 1]),
        ("/2026-01-31T12:00:01Z", [0, 1]),
        ("2026-01-31T12:00:01Z/2026-01-31T12:00:01Z", [1]),
        ("../..", [0, 1, 2]),
    ],
)
def test_jobs_are_found_by_the_time_they_were_accepted(store, text, seconds):
    ids = [add(store) for _ in range(3)]
    assert found(store, created=TimeInterval.parse(text)) == [ids[i] for i in reversed(seconds)]


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2026", "2026-02-30", "2026-01-31T25:00:00Z", "9999-12-31", "20260131T120000Z",
     "2026-01-31T12:00:01Z/2026-01-30", "a/b", "../../.."],
)  # fmt: skip
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InvalidValueError) as caught:
        TimeInterval.parse(text)
    assert caught.value.locator == "datetime"


def test_jobs_are_found_by_how_long_they_have_run(store):
    short, long = (add(store, state=State.SUCCEEDED, run_s=seconds) for seconds in (5.0, 50.0))
    started = now() - dt.timedelta(seconds=20)
    under_way = add(store, state=State.RUNNING, started=started)
    add(store)  # was never started
    assert found(store, min_duration_s=5) == [under_way, long, short]
    assert found(store, min_duration_s=15) == [under_way, long]
    assert found(store, max_duration_s=40) == [under_way, short]
    assert found(store, min_duration_s=10, max_duration_s=15) == []


def test_jobs_are_found_by_where_their_results_lie(store):
    alps = add(store, footprint=Footprint(9, 45, 11, 47))
    fiji = add(store, footprint=Footprint(177, -20, 182, -15))  # across the antimeridian
    add(store)  # has no place
    assert found(store, bbox=(10, 46, 20, 50)) == found(store, bbox=(11, 47, 12, 48)) == [alps]
    assert found(store, bbox=(11.1, 45, 12, 47)) == found(store, bbox=(9, 47.1, 11, 48)) == []
    assert found(store, bbox=(-179, -18, -178, -17)) == [fiji]
    assert found(store, bbox=(178, -18, 179, -17)) == [fiji]
    assert found(store, bbox=(179, -18, -179, -17)) == [fiji]
    assert found(store, bbox=(-180, -90, 180, 90)) == [fiji, alps]
    assert found(store, bbox=(100, -90, 20, 90)) == [fiji, alps]
    assert found(store, bbox=(-170, -90, 8, 90)) == []


@pytest.mark.parametrize(
    ("locator", "filters"),
    [
        ("limit", {"limit": 0}),
        ("limit", {"limit": 1001}),
        ("minDuration", {"min_duration_s": -1}),
        ("maxDuration", {"max_duration_s": float("nan")}),
        ("bbox", {"bbox": (0, 10, 1, 5)}),
        ("bbox", {"bbox": (0, 0, 200, 5)}),
        ("bbox", {"bbox": (0, 0, float("inf"), 5)}),
        ("token", {"token": "7"}),
        ("token", {"token": "é"}),
        ("token", {"token": "eHl6IDE"}),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(locator, filters):
    with pytest.raises(InvalidValueError) as caught:
        JobQuery(**filters)
    assert caught.value.locator == locator


def test_pages_stay_the_same_while_jobs_arrive_and_go(store):
    ids = [add(store, created=START) for _ in range(7)]  # all in one moment
    first = store.page(JobQuery(limit=3))
    assert len(first.jobs) == 3
    add(store, created=START + dt.timedelta(days=1))
    store.purge(first.jobs[0].id)
    store.move(first.jobs[-1].id, [State.ACCEPTED], State.FAILED)
    store.purge(first.jobs[-1].id)  # the job that the token names
    second = store.page(JobQuery(limit=3, token=first.next_token))
    last = store.page(JobQuery(limit=3, token=second.next_token))
    assert (len(last.jobs), last.next_token) == (1, "")
    listed = [job.id for each in (first, second, last) for job in each.jobs]
    assert listed == sorted(ids, reverse=True)


def test_a_full_last_page_has_no_next_one(store):
    for _ in range(2):
        add(store)
    assert store.page(JobQuery(limit=2)).next_token == ""


def test_a_token_is_one_word_of_an_address():
    position = Position(now(), new_id())
    assert position.token().replace("-", "").replace("_", "").isalnum()
    assert Position.of_token(position.token()) == position


def test_a_service_lists_what_its_principal_sees(engine):
    service = engine().service
    ann = add(service.store, owner="ann")
    bob = add(service.store, owner="bob")
    for principal, ids in ((Principal("ann"), [ann]), (ANONYMOUS, []), (OPERATOR, [bob, ann])):
        assert [job.id for job in service.page(principal, JobQuery()).jobs] == ids
        assert service.matches(principal, JobQuery()) == len(ids)


FILTERS = {
    "processes": ["Echo", "Other"],
    "states": [State.ACCEPTED, State.DISPATCHING],
    "created": TimeInterval(START, START + dt.timedelta(days=1)),
    "min_duration_s": 5,
    "bbox": (0, 0, 10, 10),
    "token": Position(START, "x").token(),
}


def plans(store, scope):
    """Return how the database finds the keys of a page, for each combination of filters."""
    with store.database.read() as connection:
        dialect = connection.dialect
        asked = "EXPLAIN QUERY PLAN " if dialect.name == "sqlite" else "EXPLAIN "
        if dialect.name == "postgresql":
            for way in ("seqscan", "bitmapscan"):  # which are as good for a table of one page
                connection.exec_driver_sql(f"SET enable_{way} = off")
        for names in itertools.chain.from_iterable(
            itertools.combinations(FILTERS, size) for size in range(len(FILTERS) + 1)
        ):
            query = listing.keys_of_page(JobQuery(**{name: FILTERS[name] for name in names}), scope)
            text = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            rows = connection.exec_driver_sql(asked + text.replace("%", "%%")).all()
            yield names, "\n".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize(("scope", "index"), [(None, "job_by_time"), ("ann", "job_by_owner")])
def test_a_page_is_found_in_one_index_in_its_order(store, scope, index):
    for _ in range(3):
        add(store)
    for names, plan in plans(store, scope):
        assert index in plan, (names, plan)
        assert "COVERING INDEX" in plan or "Index Only Scan" in plan, (names, plan)
        assert "B-TREE" not in plan, (names, plan)  # which sorts
        assert "Sort" not in plan, (names, plan)
