"""News of jobs that reach their subscribers, whatever servers do and gateways suffer."""

import json
import socket
import time

import pytest
from trials import until
from webserver import Answer, web_server

from candela.backoff import Backoff
from candela.contract.addresses import AddressGuard
from candela.errors import InvalidValueError
from candela.jobs.callback_sender import CallbackSender, Delivery
from candela.jobs.callbacks import CallbackQueue, check_subscriber
from candela.jobs.model import UNFINISHED, Job, State, new_id, now
from candela.jobs.request import ExecuteRequest, Subscriber
from candela.jobs.store import JobStore

HERE = AddressGuard(["127.0.0.1"])
QUICK = Delivery(attempts=3, backoff=Backoff(0.05, 0.1), total_s=0.5, lease_s=60)


@pytest.fixture
def web():
    with web_server() as served:
        yield served


@pytest.fixture
def store(database):
    store = JobStore(database)
    yield store
    store.close()


@pytest.fixture
def sender(store):
    """Return a function that makes senders of gateways of the database."""
    senders = []

    def make(guard=HERE, delivery=QUICK):
        def body(job):
            return json.dumps({"job": job.id, "state": job.state}).encode()

        senders.append(CallbackSender(store, guard, body, delivery=delivery))
        return senders[-1]

    yield make
    for each in senders:
        each.stop()


def subscribed(store, **uris):
    request = ExecuteRequest(subscriber=Subscriber(**uris))
    job = Job(new_id(), "Echo", "1.0.0", now(), now(), request=request)
    store.add(job)
    return job.id


def move(store, job_id, *states):
    for state in states:
        if state is State.DISMISSED:
            assert store.dismiss(job_id, name="ada", message="dismissed", cause="dismissed")
            continue
        assert store.move(job_id, UNFINISHED, state, message=str(state))


def run(store, job_id):
    move(store, job_id, State.DISPATCHING, State.RUNNING)


def succeed(store, job_id):
    run(store, job_id)
    move(store, job_id, State.PUBLISHING, State.SUCCEEDED)


def left(store):
    with store.database.read() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM callback").scalar_one()


def sends(sender, store):
    """Send until nothing is left."""
    until(lambda: sender.round() < 0 or left(store) == 0, seconds=20)


def told(web):
    return [(each.path, json.loads(each.body)["state"]) for each in web.asked]


def test_each_address_is_told_once_and_only_of_its_event(store, sender, web):
    uris = {f"{event}_uri": web.serve(f"/{event}", Answer(status=204))
            for event in ("success", "in_progress", "failed")}  # fmt: skip
    sender = sender()
    jobs = [subscribed(store, **uris) for _ in range(3)]
    assert (sender.round(), web.asked) == (0, [])  # all of them wait
    run(store, jobs[0])
    until(lambda: sender.round() + len(web.asked), seconds=10)
    until(lambda: left(store) == 8, seconds=10)
    move(store, jobs[0], State.PUBLISHING, State.SUCCEEDED)
    run(store, jobs[1])
    move(store, jobs[1], State.FAILED)
    move(store, jobs[2], State.DISMISSED)
    sends(sender, store)
    assert sorted(told(web)) == [
        ("/failed", "dismissed"), ("/failed", "failed"), ("/in_progress", "running"),
        ("/success", "succeeded"),
    ]  # fmt: skip
    (success,) = (each for each in web.asked if each.path == "/success")
    assert success.method == "POST"
    assert success.headers["Content-Type"] == "application/json"
    assert success.headers["Host"] == web.url.removeprefix("http://")
    assert json.loads(success.body)["job"] == jobs[0]


def test_what_fails_for_now_is_retried_with_pauses(store, sender, web):
    url = web.serve("/news?a=1", Answer(status=503), Answer(status=429), Answer(status=200))
    succeed(store, subscribed(store, success_uri=url))
    start = time.monotonic()
    sends(sender(), store)
    assert [each.path for each in web.asked] == ["/news?a=1"] * 3
    assert time.monotonic() - start > 0.05 + 0.1


def test_after_so_many_attempts_it_is_given_up_and_an_event_of_the_job(store, sender, web):
    job_id = subscribed(store, success_uri=web.serve("/news?key=secret", Answer(status=500)))
    succeed(store, job_id)
    sends(sender(), store)
    assert len(web.asked) == 3
    event = store.events(job_id)[-1]
    assert event.state is State.SUCCEEDED
    assert event.message == (
        f"successUri was not told: {web.url}/news: the server answered 500 "
        "(at the last of 3 attempts)"
    )


def test_after_so_much_time_it_is_given_up(store, sender, web):
    succeed(store, subscribed(store, success_uri=web.serve("/news", Answer(status=500))))
    sends(sender(delivery=Delivery(backoff=Backoff(0.2, 0.2), life_s=0.3)), store)
    assert 1 <= len(web.asked) <= 2


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 410])
def test_redirects_and_refusals_are_final(store, sender, web, status):
    elsewhere = web.serve("/elsewhere", Answer())
    answer = Answer(status=status, headers={"Location": elsewhere})
    job_id = subscribed(store, success_uri=web.serve("/news", answer))
    succeed(store, job_id)
    sends(sender(), store)
    assert [each.path for each in web.asked] == ["/news"]
    assert f"the server answered {status}, re" in store.events(job_id)[-1].message


def test_a_silent_server_is_cut_off_and_holds_up_no_other(store, sender, web):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/news"
        stuck = [subscribed(store, success_uri=address) for _ in range(9)]
        for each in (*stuck, subscribed(store, success_uri=web.serve("/news", Answer()))):
            succeed(store, each)
        one, start = sender(), time.monotonic()
        until(lambda: one.round() < 0 or web.asked, seconds=10)
        assert time.monotonic() - start < 9 / 2 * QUICK.total_s  # not behind all of them
        until(lambda: one.round() < 0 or len(store.events(stuck[0])) == 6, seconds=20)
        assert "(at the last of 3 attempts)" in store.events(stuck[0])[-1].message


def test_two_gateways_send_it_once(store, sender, web, database):
    for _ in range(20):
        succeed(store, subscribed(store, success_uri=web.serve("/news", Answer(hold_s=0.05))))
    senders = [sender(), sender()]
    for each in senders:
        each.start()
    until(lambda: left(store) == 0, seconds=20)
    jobs = [json.loads(each.body)["job"] for each in web.asked]
    assert len(jobs) == len(set(jobs)) == 20


def test_a_callback_of_a_gateway_that_died_is_sent_by_the_next_one(store, sender, web):
    succeed(store, subscribed(store, success_uri=web.serve("/news", Answer())))
    dead = CallbackQueue(store.database, lease_s=0.5)
    (callback,) = dead.due(9)
    assert dead.take(callback).attempts == 1
    assert dead.take(callback) is None  # it is taken
    assert sender().round() == 0
    sends(sender(), store)
    assert len(web.asked) == 1


def test_an_address_inside_is_not_connected_to_whatever_its_name(store, sender, web, monkeypatch):
    job_id = subscribed(
        store, success_uri=web.serve("/news", Answer()).replace("127.0.0.1", "x.test")
    )
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 80))])
    succeed(store, job_id)
    sends(sender(guard=AddressGuard()), store)
    assert web.asked == []
    assert "it is not a public address" in store.events(job_id)[-1].message


def test_callbacks_of_events_that_never_come_are_forgotten(store):
    succeed(
        store, subscribed(store, failed_uri="http://example.org/", in_progress_uri="http://a.b/")
    )
    waiting = subscribed(store, failed_uri="http://example.org/")
    failed = subscribed(store, failed_uri="http://example.org/")
    move(store, failed, State.FAILED)
    queue = CallbackQueue(store.database, lease_s=1)
    queue.forget_orphans()
    assert left(store) == 2
    move(store, waiting, State.DISMISSED)
    store.purge(waiting)
    queue.forget_orphans()
    assert [callback.job for callback in queue.due(9)] == [failed]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/", "expected an http or https address"),
        ("file:///etc/passwd", "expected an http or https address"),
        ("http://127.0.0.1/", "not a public address"),
        ("http://[::1]/", "not a public address"),
        ("http://169.254.169.254/latest/", "not a public address"),
        ("http://2130706433/", "no usual IP address"),
        ("http://localhost:8080/", "no public name"),
        ("http://postgres/", "no public name"),
        ("http://api.default.svc/", "no public name"),
        ("http://ada:secret@example.org/", "no plain address"),
        ("http://example.org/#a", "no plain address"),
        ("http://example.org/é", "no plain address"),
        ("http://example.org/\r\nX: y", "not valid"),
        (f"http://example.org/{2000 * 'a'}", "at most 2000 are allowed"),
    ],
)
def test_an_address_that_may_not_be_told_is_refused_with_its_member(url, reason):
    with pytest.raises(InvalidValueError, match=reason) as error:
        check_subscriber(
            Subscriber(successUri="https://example.org/a?b", failedUri=url), AddressGuard()
        )
    assert error.value.locator == "subscriber.failedUri"
    assert "secret" not in error.value.message


def test_what_the_operator_allows_may_be_told():
    guard = AddressGuard(["hooks", "10.0.0.0/8"])
    for url in ("http://hooks:8080/a", "http://10.1.2.3/a", "https://example.org/a"):
        check_subscriber(Subscriber(successUri=url), guard)
