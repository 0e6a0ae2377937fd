"""Files that are too large for a request come in parts, and jobs take them from storage."""

import base64
import hashlib
import os
import re
import threading
import time
import tracemalloc

import pytest

from candela.gateway.app import Gateway
from candela.jobs.reconciler import Reconciler
from candela.jobs.uploads import LEAST_PART_BYTES, PART_BYTES
from candela.settings import Settings

BASE = "http://candela.test"


@pytest.fixture(params=["folder", "bucket"])
def storage(request, tmp_path):
    if request.param == "bucket":
        return f"s3://{request.getfixturevalue('bucket')}/jobs"
    return (tmp_path / "storage").as_uri()


def configured(folder, **changes):
    """Return a folder of the service's configuration in which some keys are changed."""
    folder.mkdir()
    for path in Settings().config.iterdir():
        if path.suffix in {".cfg", ".yaml"}:
            text = path.read_text()
            for key, value in changes.items():
                text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
            (folder / path.name).write_text(text)
    return folder


@pytest.fixture
def served(storage, tmp_path):
    """Return a gateway that moves when told, and its HTTP client."""
    gateway = Gateway.assemble(Settings(url=BASE, data=tmp_path, storage=storage, grace_s=0))
    yield gateway, gateway.application().test_client()
    gateway.stop()


def announce(http, content, *, name="scene.xml", size=None, sha256=None):
    told = {"filename": name, "sha256": sha256 or hashlib.sha256(content).hexdigest()}
    metadata = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in told.items())
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(content) if size is None else size),
        "Upload-Metadata": metadata,
    }
    return http.post("/uploads", headers=headers)


def send(http, address, offset, content):
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)}
    return http.patch(
        address, data=content, headers=headers, content_type="application/offset+octet-stream"
    )


def uploaded(http, content, **options):
    address = announce(http, content, **options).headers["Location"]
    for offset in range(0, len(content), PART_BYTES):
        assert send(http, address, offset, content[offset : offset + PART_BYTES]).status_code == 204
    return address


def document(count):
    """Return an XML document that is larger than so many parts."""
    return b"<a>" + os.urandom(count * PART_BYTES // 2).hex().encode() + b"</a>"


def finished(gateway, job_id):
    deadline = time.monotonic() + 60
    while not gateway.jobs.store.get(job_id).state.is_final:
        assert time.monotonic() < deadline
        gateway.dispatcher.round()
        time.sleep(0.05)
    return gateway.jobs.store.get(job_id)


def execute(http, href):
    query = f"identifier=Echo&DataInputs=complex=@xlink:href={href}"
    return http.get(
        f"/wps?service=WPS&version=1.0.0&request=Execute&{query}"
        "&storeExecuteResponse=true&status=true"
    )


def keys(gateway):
    return gateway.jobs.storage.list("uploads")


def test_a_job_takes_what_was_uploaded_from_storage(served):
    gateway, http = served
    content = document(2)
    address = uploaded(http, content, name="../my scene.xml")
    told = http.get(address).json
    assert told["complete"]
    assert told["href"].endswith("/my_scene.xml")
    secret = address.rpartition("/")[2]
    assert secret not in told["href"]
    answer = execute(http, told["href"])
    assert answer.status_code == 200, answer.text
    (job,) = gateway.jobs.store.jobs()
    job = finished(gateway, job.id)
    assert job.message == "succeeded" or job.state == "succeeded", job.message
    assert job.result.outputs["complexOutput"].size >= len(content)
    stored = keys(gateway)
    assert [key for key in stored if "/parts/" in key] == []
    assert not any(secret in key for key in stored)


def test_an_upload_goes_on_where_it_was_interrupted(served):
    gateway, http = served
    content = document(2)
    address = announce(http, content).headers["Location"]
    assert send(http, address, 0, content[:PART_BYTES]).headers["Upload-Offset"] == str(PART_BYTES)
    again = Gateway.assemble(gateway.settings)  # which knows nothing of the hash up to here
    http = again.application().test_client()
    try:
        wrong = send(http, address, 0, content[:PART_BYTES])
        assert wrong.status_code == 409
        state = http.head(address)
        assert (state.headers["Upload-Offset"], state.data) == (str(PART_BYTES), b"")
        for offset in range(PART_BYTES, len(content), PART_BYTES):
            part = content[offset : offset + PART_BYTES]
            assert send(http, address, offset, part).status_code == 204
        assert http.get(address).json["complete"]
    finally:
        again.stop()


def test_a_wrong_checksum_leaves_nothing(served):
    gateway, http = served
    address = announce(http, b"<a/>", sha256="0" * 64).headers["Location"]
    answer = send(http, address, 0, b"<a/>")
    assert answer.status_code == 422
    assert "checksum" in answer.json["detail"]
    assert keys(gateway) == ()
    assert http.get(address).status_code == 404


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"size": 2**40}, 413),
        ({"size": 17 * 2**30}, 413),
        ({"size": 0}, 400),
        ({"sha256": "none"}, 400),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_before_it_comes(idle, options, status):
    assert announce(idle, b"<a/>", **options).status_code == status


def test_parts_that_are_too_large_or_too_small_are_refused(idle, idle_gateway):
    content = bytes(3 * PART_BYTES)
    address = announce(idle, content).headers["Location"]
    assert send(idle, address, 0, content[: PART_BYTES + 1]).status_code == 413
    assert send(idle, address, 0, content[: LEAST_PART_BYTES - 1]).status_code == 400
    assert idle.head(address).headers["Upload-Offset"] == "0"
    assert list((idle_gateway.settings.folder / "incoming").iterdir()) == []


def test_a_part_beyond_the_announced_size_is_refused(idle):
    address = announce(idle, b"<a/>").headers["Location"]
    assert send(idle, address, 0, b"<a></a>").status_code == 413


def test_a_form_of_another_site_cannot_upload(idle):
    address = announce(idle, b"<a/>").headers["Location"]
    headers = {"Upload-Offset": "0"}
    answer = idle.patch(address, data=b"<a/>", headers=headers, content_type="text/plain")
    assert answer.status_code == 400


def test_an_upload_that_is_not_complete_is_no_input(idle, idle_gateway):
    address = announce(idle, b"<a/>").headers["Location"]
    for href in (f"{BASE}/uploads/{'0' * 32}/a.xml", address, f"{BASE}/uploads/%2e%2e/x"):
        answer = execute(idle, href)
        assert answer.status_code == 400
        assert "there is no upload" in answer.text
    assert idle_gateway.jobs.store.jobs() == []


def test_an_upload_of_another_owner_is_no_input(tmp_path):
    settings = Settings(url=BASE, data=tmp_path, grace_s=0, owner_header="X-User")
    gateway = Gateway.assemble(settings)
    ann, bob, nobody = (gateway.application().test_client() for _ in range(3))
    ann.environ_base["HTTP_X_USER"], bob.environ_base["HTTP_X_USER"] = "ann", "bob"
    address = uploaded(ann, b"<a/>")
    href = ann.get(address).json["href"]
    missing = href.replace(href.split("/")[-2], 32 * "0")
    for other in (bob, nobody):
        assert other.get(address).status_code == 404
        refused, unknown = execute(other, href), execute(other, missing)
        assert refused.status_code == unknown.status_code == 400
        assert refused.text == unknown.text.replace(missing, href)
        assert 'locator="complex"' in refused.text
    assert gateway.jobs.store.jobs() == []
    assert execute(ann, href).status_code == 200
    gateway.stop()


def test_uploads_have_a_limit_together(tmp_path):
    config = configured(tmp_path / "config", maxstoreduploads="1mb")
    gateway = Gateway.assemble(Settings(url=BASE, data=tmp_path / "data", config=config))
    http = gateway.application().test_client()
    first = announce(http, bytes(600_000))
    assert first.status_code == 201
    full = announce(http, bytes(600_000))
    assert (full.status_code, full.headers["Retry-After"]) == (507, "60")
    assert http.delete(first.headers["Location"]).status_code == 204
    assert announce(http, bytes(600_000)).status_code == 201
    gateway.stop()


def test_uploads_that_nobody_uses_expire_and_others_stay(storage, tmp_path):
    config = configured(tmp_path / "config", keepuploadhours="0")
    settings = Settings(url=BASE, data=tmp_path / "data", storage=storage, config=config, grace_s=0)
    gateway = Gateway.assemble(settings)
    http = gateway.application().test_client()
    unfinished = announce(http, b"<a/>").headers["Location"]
    unused = uploaded(http, b"<a/>")
    used = uploaded(http, b"<a/>")
    assert execute(http, http.get(used).json["href"]).status_code == 200
    Reconciler(gateway.jobs).remove_litter()
    assert [http.head(each).status_code for each in (unfinished, unused, used)] == [404, 404, 200]
    (job,) = gateway.jobs.store.jobs()
    assert finished(gateway, job.id).state == "succeeded"
    Reconciler(gateway.jobs).remove_litter()
    assert http.head(used).status_code == 404
    assert keys(gateway) == ()
    gateway.stop()


def test_memory_does_not_grow_with_the_file(idle):
    content = document(4)
    address = announce(idle, content).headers["Location"]
    views = [content[i : i + PART_BYTES] for i in range(0, len(content), PART_BYTES)]
    tracemalloc.start()
    try:
        offset = 0
        for part in views:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            assert send(idle, address, offset, part).status_code == 204
            offset += len(part)
            # The test's client holds the part once more; the gateway a piece of it.
            assert tracemalloc.get_traced_memory()[1] - before < 2 * PART_BYTES
    finally:
        tracemalloc.stop()
    assert idle.get(address).json["complete"]


def test_two_parts_at_once_do_not_mix(idle, idle_gateway):
    content = document(2)
    address = announce(idle, content).headers["Location"]
    statuses = []

    def put():
        http = idle_gateway.application().test_client()
        statuses.append(send(http, address, 0, content[:PART_BYTES]).status_code)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 409, 423}
    for offset in range(PART_BYTES, len(content), PART_BYTES):
        part = content[offset : offset + PART_BYTES]
        assert send(idle, address, offset, part).status_code == 204
    assert idle.get(address).json["complete"]
