"""Where warm pods ask for their job."""

import threading

import pytest
from flask import Flask

from candela.contract.job import Assignment
from candela.gateway import problems
from candela.gateway.ops import warm_pods
from candela.jobs.tokens import NO_ATTEMPT, token_for
from candela.settings import ConfigurationError, Settings

KEY = b"key"


class Assigner:
    """A runner with one pod, which gets a job when the test says so."""

    def __init__(self):
        self.given = threading.Event()
        self.asked: list[float] = []

    def assignment(self, pod: str, timeout_s: float) -> Assignment | None:
        self.asked.append(timeout_s)
        return Assignment("17", 2) if self.given.wait(min(timeout_s, 5)) and pod == "a" else None


@pytest.fixture
def runner():
    return Assigner()


@pytest.fixture
def app(runner):
    app = Flask("test")
    app.register_blueprint(problems.blueprint(problems.json_response, {}))
    app.register_blueprint(warm_pods.blueprint(runner, KEY))
    return app


def ask(app, pod="a", *, token: str | None = None):
    given = token_for(KEY, pod, NO_ATTEMPT) if token is None else token
    return app.test_client().get(f"/warm/{pod}", headers={"Authorization": f"Bearer {given}"})


def test_a_pod_learns_of_its_job_as_soon_as_it_has_one(app, runner):
    threading.Timer(0.2, runner.given.set).start()
    assert ask(app).json == {"job": "17", "attempt": 2}


def test_a_pod_that_has_no_job_asks_again(app, runner, monkeypatch):
    monkeypatch.setattr(warm_pods, "HOLD_S", 0.1)
    answer = ask(app)
    assert answer.status_code == 204
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize(
    "token", ["", "a", token_for(KEY, "b", NO_ATTEMPT), token_for(KEY, "a", 1)]
)
def test_nobody_asks_for_another(app, runner, token):
    assert ask(app, token=token).status_code == 403
    assert runner.asked == []


def test_pods_that_wait_leave_threads_for_others(app, runner, monkeypatch):
    threads = [threading.Thread(target=ask, args=(app,)) for _ in range(warm_pods.HELD)]
    for thread in threads:
        thread.start()
    while len(runner.asked) < warm_pods.HELD:
        threading.Event().wait(0.01)
    answer = ask(app)
    assert (answer.status_code, answer.headers["Retry-After"]) == (204, "1")
    runner.given.set()
    for thread in threads:
        thread.join()
    assert ask(app).json == {"job": "17", "attempt": 2}


def test_without_warm_pods_nobody_asks(http):
    assert http.get("/warm/a").status_code == 404


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"warm": {"Echo": 1}}, "warm needs runner kubernetes"),
        ({"warm": {"Echo": 0}}, "greater than 0"),
        (
            {"warm": {"Echo": 1}, "runner": "kubernetes", "job_template": "a", "queue": "b"},
            "does not go with a queue",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Settings.from_environment(**given)
