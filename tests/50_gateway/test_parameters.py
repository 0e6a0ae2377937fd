"""Parameters, tokens and bodies that are none: told to whoever sent them, and never a 500."""

import datetime as dt
from urllib.parse import quote

import pytest
from werkzeug.datastructures import MultiDict
from werkzeug.test import Client

from candela.errors import InvalidValueError
from candela.gateway.app import Gateway
from candela.gateway.ops.progress import MAX_REPORT_BYTES
from candela.gateway.parameters import QueryParameters
from candela.jobs.tokens import token_for
from candela.settings import Settings

GET = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
ASYNC = "&storeExecuteResponse=true&status=true"
DEEP = b"[" * 100_000


@pytest.fixture
def client(tmp_path):
    """Return a client of a gateway with a database of patches, which starts no jobs."""
    settings = Settings(
        url="http://candela.test", data=tmp_path, grace_s=0, secret="k" * 32,
        patches_database=f"sqlite:///{tmp_path / 'patches.db'}",
    )  # fmt: skip
    gateway = Gateway.assemble(settings)
    yield Client(gateway.application())
    gateway.stop()


@pytest.mark.parametrize(
    "number", ["²", "٣", "-1", "1e3", "0x10", "1_0", "", " 1", "99999", "9" * 5000, "None"]
)
def test_a_number_is_plain_digits(client, number):
    for name in ("limit", "minDuration"):
        response = client.get(f"/jobs?{name}={quote(number)}")
        is_duration = name == "minDuration" and number == "99999"
        assert response.status_code == (200 if is_duration else 400), name
        assert is_duration or name in response.json["detail"]
    for path in ("/patches/items", "/patches/products"):
        response = client.get(f"{path}?limit={quote(number)}")
        assert response.status_code in {400, 404}
    response = client.get(f"/patches/items/{quote(number)}")
    assert response.status_code == 404


@pytest.mark.parametrize(
    "time",
    [
        "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "10000-01-01", "2020-13-01",
        "2020-02-30", "now", "", "²", "2020-01-01T00:00:00+99:00", "1e9",
    ],
)  # fmt: skip
def test_a_time_is_one_of_the_calendar(client, time):
    for path in ("/usage?since=", "/usage?until=", "/patches/items?datetime="):
        response = client.get(f"{path}{quote(time)}")
        is_open = path.startswith("/patches") and not time
        assert response.status_code == (400 if not is_open else 200), path


@pytest.mark.parametrize(
    "time", ["0001-01-01", "9999-12-31T23:59:59", "2020-01-01T00:00:00+00:00:30"]
)
def test_the_ends_of_the_calendar_and_odd_zones_are_times(client, time):
    assert client.get(f"/usage?since={quote(time)}&until={quote(time)}").status_code == 200


@pytest.mark.parametrize("token", ["é", "ÿ" * 64, "", "\u00a0", "x" * 10_000])
def test_a_token_may_have_any_letters_and_is_wrong(client, token):
    job_id = client.get(GET + ASYNC).data.split(b"/wps/status/")[1][:36].decode()
    response = client.post(
        f"/jobs/{job_id}/progress", json={}, headers={"Authorization": f"Bearer {token}"}
    )
    assert response.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        DEEP, b'{"a":' * 50_000, b"", b"{", b"\xff", b"[]", b"7", b"null", b"9" * 5000,
        b'{"percent": 1e400, "message": "x"}', b'{"percent": NaN, "message": "x"}',
        b'{"percent": ' + b"9" * 400 + b', "message": "x"}', b'{"percent": true, "message": "x"}',
        b'{"percent": 1, "message": "\\ud800"}', b'{"percent": 1, "message": "\\u0000"}',
        b'{"percent": 1, "message": {}}', b'{"percent": [], "message": "x"}',
        b'{"percent": 1, "message": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"scheme": ' + b"[" * 900 + b"]" * 900 + b', "labels": {}}',
        b'{"scheme": "corine", "origin": ' + b"[" * 900 + b"]" * 900 + b', "labels": {}}',
        b'{"scheme": "\\ud800", "labels": {"\\ud800": "\\u0000"}}',
        b'{"scheme": "corine", "labels": {"1": [{"code": "31", "confidence": 1e999}]}}',
    ],
    ids=range(22),
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused(client, body):
    job_id = client.get(GET + ASYNC).data.split(b"/wps/status/")[1][:36].decode()
    headers = {"Authorization": f"Bearer {token_for(b'k' * 32, job_id, 1)}"}
    for path in (f"/jobs/{job_id}/progress", "/patches/annotations"):
        for kind in ("application/json", "text/plain"):
            response = client.post(path, data=body, headers=headers, content_type=kind)
            is_read = kind == "application/json" and path.endswith("/progress")
            is_too_large = is_read and len(body) > MAX_REPORT_BYTES
            assert response.status_code == (413 if is_too_large else 400), path
            assert response.json["detail"]


@pytest.mark.parametrize(
    "path",
    ["/jobs/%00", "/outputs/%00/x", "/jobs?processID=%00", "/ows?layers=%00", "/map?job=%00",
     "/jobs?%00=1", "/patches/items?product=%00"],
)  # fmt: skip
def test_a_null_byte_is_refused(client, path):
    assert client.get(path).status_code in {400, 404}


@pytest.mark.parametrize("encoding", ["UTF-16", "latin-99", "UTF-7", "", "x" * 100, "ISO-8859-1"])
def test_data_that_declares_any_encoding_comes_back_in_lineage(client, encoding):
    document = f'<?xml version="1.0" encoding="{encoding}"?><a/>'
    inputs = f"&DataInputs=complex={quote(quote(document))}"
    response = client.get(f"{GET}{inputs}{ASYNC}&lineage=true")
    assert response.status_code == 200
    assert b"ProcessAccepted" in response.data
    body = f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode()
    assert client.post("/wps", data=body).status_code == 400


@pytest.mark.parametrize(
    ("query", "locator"),
    [
        ("status=bogus", "status"), ("limit=1&limit=2", "limit"), ("status=failed,x", "status"),
        ("colour=red", "colour"), ("processID=" + "x" * 501, "processID"),
    ],
)  # fmt: skip
def test_jobs_are_listed_by_parameters_that_there_are(client, query, locator):
    response = client.get(f"/jobs?{query}")
    assert (response.status_code, response.json["locator"]) == (400, locator)


def test_a_word_that_is_not_allowed_is_answered_with_those_that_are(client):
    words = ("accepted", "running", "successful", "failed", "dismissed")
    told = client.get("/jobs?status=bogus").json["detail"]
    assert told == f"status is 'bogus', expected one of {', '.join(words)}"
    for word in (*words, ""):
        assert client.get(f"/jobs?status={word}").status_code == 200


@pytest.mark.parametrize("path", ["", "/log", "/events"])
def test_a_job_has_no_parameters(client, path):
    job_id = client.get(GET + ASYNC).data.split(b"/wps/status/")[1][:36].decode()
    assert client.get(f"/jobs/{job_id}{path}").status_code == 200
    response = client.get(f"/jobs/{job_id}{path}?since=2020")
    assert (response.status_code, response.json["locator"]) == (400, "since")


def parameters(**given: str) -> QueryParameters:
    return QueryParameters(MultiDict(given), tuple(given))


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2020-06-04", "2020-06-04T00:00:00", "2020-06-05T00:00:00"),
        ("2020-06-04T10:00:00Z", "2020-06-04T10:00:00", "2020-06-04T10:00:00.000001"),
        ("2020-06-04/2020-06-05", "2020-06-04T00:00:00", "2020-06-06T00:00:00"),
        ("2020-06-04/..", "2020-06-04T00:00:00", None),
        ("/2020-06-04T12:00:00+02:00", None, "2020-06-04T10:00:00.000001"),
        ("", None, None),
    ],
)
def test_an_interval_ends_after_its_last_day_or_instant(text, since, until):
    found = parameters(datetime=text).interval("datetime")
    wanted = [dt.datetime.fromisoformat(f"{end}Z") if end else None for end in (since, until)]
    assert list(found) == wanted


def test_a_box_may_cross_the_antimeridian_but_not_be_upside_down():
    assert parameters(bbox="170,-10,-170,10").box("bbox") == (170, -10, -170, 10)
    for text in ("0,10,1,-10", "0,0,1", "0,0,1,nan", "0,0,1,91", "0,0,1,1e999"):
        with pytest.raises(InvalidValueError) as refused:
            parameters(bbox=text).box("bbox")
        assert refused.value.locator == "bbox"


def test_a_parameter_that_goes_with_another_is_refused_alone():
    parameters(like="1", offset="2").require_with("like", ("offset",))
    with pytest.raises(InvalidValueError, match="offset goes with like"):
        parameters(offset="2").require_with("like", ("offset",))
