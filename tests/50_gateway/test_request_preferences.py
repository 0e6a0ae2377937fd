"""What is asked for in headers: key, priority."""

import pytest
from werkzeug.datastructures import Headers

from candela.errors import InvalidValueError
from candela.gateway.request_preferences import RequestPreferences

EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true"
)


@pytest.mark.parametrize(
    ("prefer", "priority"),
    [
        ("priority=3", 3),
        ("respond-async, wait=10, Priority = -2", -2),
        ('priority="4"', 4),
        ("respond-async", 0),
        ("priority=urgent", 0),
        ("priority", 0),
        ("priorityqueue=3", 0),
    ],
)
def test_the_priority_is_a_preference(prefer, priority):
    assert RequestPreferences.of(Headers({"Prefer": prefer})).priority == priority


def test_a_key_that_is_too_long_is_refused():
    with pytest.raises(InvalidValueError, match="201 characters") as caught:
        RequestPreferences.of(Headers({"Idempotency-Key": 201 * "k"}))
    assert caught.value.locator == "Idempotency-Key"


def place(response):
    return response.root.findtext(".//{*}ProcessAccepted")


def test_an_urgent_job_comes_first_and_says_so(idle):
    assert place(idle.get(EXECUTE)) == "accepted, next in the queue"
    assert place(idle.get(EXECUTE)) == "accepted, 1 ahead in the queue"
    urgent = idle.get(EXECUTE, headers={"Prefer": "respond-async, priority=1"})
    assert place(urgent) == "accepted, next in the queue"


def test_no_priority_is_above_what_the_operator_allows(idle, idle_gateway):
    limits = idle_gateway.jobs.limits.model_copy(update={"max_priority": 2})
    object.__setattr__(idle_gateway.jobs, "limits", limits)
    for asked in (-99, 99):
        idle.get(EXECUTE, headers={"Prefer": f"priority={asked}"})
    assert [job.priority for job in idle_gateway.jobs.store.jobs()] == [2, -2]
