"""Progress reaches the gateway, but the work neither waits for it nor fails with it."""

import json
import time

import pytest

from candela.contract.job import ProgressTarget
from candela.worker import reporting
from candela.worker.reporting import Reporter


@pytest.fixture
def target(web, answer):
    return ProgressTarget(url=web.serve("/jobs/1/progress", answer(status=204)), token="secret")


def bodies(web) -> list[dict[str, object]]:
    return [json.loads(asked.body) for asked in web.asked]


def test_a_report_carries_the_token_of_the_job(target, web):
    reporter = Reporter(target)
    reporter(12.34, "half way")
    reporter.close()
    assert bodies(web) == [{"percent": 12.3, "message": "half way"}]
    assert web.asked[0].method == "POST"
    assert web.asked[0].headers["Authorization"] == "Bearer secret"


def test_many_reports_become_few_and_the_last_one_comes_through(target, web, monkeypatch):
    monkeypatch.setattr(reporting, "INTERVAL_S", 0.1)
    monkeypatch.setattr(reporting, "SHORT_S", 0.0)
    reporter = Reporter(target)
    start = time.monotonic()
    for percent in range(101):
        reporter(percent, "working")
        time.sleep(0.003)
    reporter.close()
    most = (time.monotonic() - start) / 0.1 + 2
    assert 2 <= len(web.asked) <= most
    assert bodies(web)[-1]["percent"] == 100


def test_a_short_job_reports_its_end_alone(target, web, monkeypatch):
    monkeypatch.setattr(reporting, "SHORT_S", 60.0)
    reporter = Reporter(target)
    reporter(0, "fetching inputs")
    reporter.close("the result is stored")
    assert bodies(web) == [{"percent": 100.0, "message": "the result is stored"}]


def test_nonsense_percentages_are_kept_in_range(target, web, monkeypatch):
    monkeypatch.setattr(reporting, "INTERVAL_S", 0.0)
    reporter = Reporter(target)
    for count, percent in enumerate([-5, 105, float("nan")], 1):
        reporter(percent, "working")
        while len(web.asked) < count:
            time.sleep(0.001)
    reporter.close()
    assert [body["percent"] for body in bodies(web)] == [0, 100, 0]


def test_the_work_does_not_wait_for_a_slow_gateway(web, answer, monkeypatch):
    monkeypatch.setattr(reporting, "LAST_WAIT_S", 0.1)
    url = web.serve("/progress", answer(status=204, hold_s=0.5))
    reporter = Reporter(ProgressTarget(url=url, token="secret"))
    start = time.monotonic()
    for percent in range(10):
        reporter(percent, "working")
        time.sleep(0.01)
    assert time.monotonic() - start < 0.4
    reporter.close()
    assert time.monotonic() - start < 0.45


def test_a_gateway_that_is_away_or_refuses_is_no_error(unused_port, web):
    for url in (f"http://127.0.0.1:{unused_port}/", f"{web.url}/unknown", "nonsense"):
        reporter = Reporter(ProgressTarget(url=url, token="secret"))
        reporter(50, "working")
        reporter.close()


def test_progress_is_logged_without_a_gateway(caplog):
    caplog.set_level("INFO")
    reporter = Reporter(None)
    reporter(50, "decoding B02")
    reporter.close()
    assert "50.0 %: decoding B02" in caplog.text
