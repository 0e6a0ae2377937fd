"""Passwords and signatures in references are shown to nobody."""

from urllib.parse import quote

import pytest
from werkzeug.test import Client

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
EXECUTE = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
OPTIONS = "&storeExecuteResponse=true&status=true&lineage=true"
SECRET = "hunter2"
ADDRESSES = (
    f"http://user:{SECRET}@127.0.0.1:9/scene.xml",
    f"http://127.0.0.1:9/scene.xml?sv=2020&sig={SECRET}",
    f"https://127.0.0.1:9/scene.xml?X-Amz-Signature={SECRET}#{SECRET}",
    f"http://127.0.0.1:9/scene.xml?anything={SECRET}",
    f"s3://key:{SECRET}@bucket/scene.xml",
    f"file://user:{SECRET}@localhost/none/scene.xml",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_secret_in_a_reference_is_shown_nowhere(http, address, caplog):
    plain = Client(http.application)
    inputs = f"&DataInputs=complex=@xlink:href={quote(quote(address, safe=''))}"
    answer = http.get(f"{EXECUTE}{inputs}{OPTIONS}")
    assert answer.root.findtext(".//{*}ProcessFailed//{*}ExceptionText")
    (told,) = answer.root.iterfind(".//{*}DataInputs//{*}Reference")
    assert told.get("{http://www.w3.org/1999/xlink}href").endswith("/scene.xml")
    job_id = answer.root.get("statusLocation").rpartition("/")[2]
    pages = [plain.get(path, headers=BROWSER) for path in ("/", f"/jobs/{job_id}")]
    documents = [
        plain.get(path)
        for path in (
            "/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/log", f"/jobs/{job_id}/events",
            f"/wps/status/{job_id}", "/metrics", "/usage", f"/jobs/{job_id}/request",
            f"/jobs/{job_id}/request?f=html",
        )
    ]  # fmt: skip
    assert "scene.xml" in pages[1].text
    for shown in (answer, *pages, *documents):
        assert shown.status_code == 200
        assert SECRET not in shown.text
    assert SECRET not in caplog.text


def test_an_address_that_is_refused_is_told_without_its_password(idle):
    inputs = f"&DataInputs=complex=@xlink:href=ftp://user:{SECRET}@host/scene.xml"
    answer = idle.get(f"{EXECUTE}{inputs}")
    assert answer.status_code == 400
    assert "ftp://host/scene.xml" in answer.text
    assert SECRET not in answer.text


def test_what_is_no_address_is_refused_before_there_is_a_job(idle):
    for address in ("http://[host/x.xml", "http://host:99999/x.xml", "file://[::x/y"):
        inputs = f"&DataInputs=complex=@xlink:href={quote(address)}"
        assert idle.get(f"{EXECUTE}{inputs}").status_code == 400
    assert idle.get("/jobs").json["numberTotal"] == 0
