"""A subscriber is told of a job that was executed over OGC API - Processes."""

import json

import pytest
from trials import until
from webserver import Answer, web_server

from candela.gateway.app import Gateway
from candela.settings import Settings

BASE = "http://candela.test"


@pytest.fixture
def gateway(tmp_path):
    gateway = Gateway.assemble(
        Settings(url=BASE, data=tmp_path, grace_s=0, callback_hosts=("127.0.0.1",))
    )
    gateway.start()
    yield gateway
    gateway.stop()


def test_results_and_failures_reach_their_addresses(gateway):
    http = gateway.application().test_client()
    with web_server() as web:
        uris = {"successUri": web.serve("/success", Answer()),
                "failedUri": web.serve("/failed", Answer())}  # fmt: skip
        for inputs in ({"literal": "hello"}, {"complex": "<a><b></a>"}):
            answer = http.post(
                "/processes/Echo/execution",
                json={"inputs": inputs, "subscriber": uris},
                headers={"Prefer": "respond-async"},
            )
            assert answer.status_code == 201, answer.text
        until(lambda: len(web.asked) == 2)
        told = {each.path: json.loads(each.body) for each in web.asked}
    assert "hello" in json.dumps(told["/success"])
    assert told["/failed"]["status"] == "failed"
    assert told["/failed"]["jobID"] == answer.json["jobID"]


def test_an_address_inside_is_refused_before_there_is_a_job(gateway):
    http = gateway.application().test_client()
    uris = {"successUri": "http://169.254.169.254/latest"}
    answer = http.post(
        "/processes/Echo/execution", json={"inputs": {}, "subscriber": uris},
        headers={"Prefer": "respond-async"},
    )  # fmt: skip
    assert (answer.status_code, answer.json["locator"]) == (400, "subscriber.successUri")
    assert http.get("/jobs").json["jobs"] == []
