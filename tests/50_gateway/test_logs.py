"""Log lines for machines."""

import json
import logging
import sys

from candela.gateway.ops.logs import JsonFormatter

JOB = "3f0c2a64-6a0e-4d0b-9d2e-0a6a6f1f7a11"


def line(message: str, *values: object, exc_info=None) -> dict:
    record = logging.LogRecord("candela.x", logging.INFO, "x.py", 1, message, values, exc_info)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_is_an_object_with_the_job_it_speaks_of():
    found = line("Job %s of %s is accepted", JOB, "Echo")
    assert found["job"] == JOB
    assert found["message"] == f"Job {JOB} of Echo is accepted"
    assert (found["level"], found["logger"]) == ("INFO", "candela.x")
    assert found["time"].endswith("+00:00")


def test_the_name_of_an_attempt_tells_the_job_too():
    assert line("Created Job %s", f"echo-{JOB}-1")["job"] == JOB


def test_a_line_about_no_job_has_none():
    assert "job" not in line("The gateway is ready")


def test_a_traceback_stays_in_the_line():
    try:
        {}["wrong"]
    except KeyError:
        assert "KeyError: 'wrong'" in line("It failed", exc_info=sys.exc_info())["traceback"]
