"""Large inputs are files of their job: rows stay small, and what looks at many reads none."""

import time

import boto3
import pytest
import sqlalchemy as sa
from statements import recorded_statements

from candela.contract.job import (
    Inline,
    OutputLiteral,
    Reference,
    ResultDocument,
    StoredValue,
    job_key,
)
from candela.errors import BusyError, InvalidValueError, StorageError, TooLargeError
from candela.jobs.large_values import ROW_LENGTH
from candela.jobs.model import ACTIVE, Job, State, new_id, now
from candela.jobs.principal import SYSTEM, Principal
from candela.jobs.queue import Bounds
from candela.jobs.reconciler import Reconciler
from candela.jobs.request import ExecuteRequest
from candela.jobs.tables import JOBS
from candela.storage import open_storage

WORD = "x" * 100_000
XML = Inline(value=f"<a>{'y' * 200_000}</a>", media_type="text/xml")
POST = Reference(href="http://127.0.0.1:9/x", method="POST", body="z" * 50_000)


def submit(engine, *, lineage=False, key=None, owner="", **inputs):
    request = ExecuteRequest(inputs=inputs, lineage=lineage)
    return engine.service.submit(Principal(owner), "Echo", request, idempotency_key=key)


def limit(engine, **limits):
    limits = engine.service.limits.model_copy(update=limits)
    object.__setattr__(engine.service, "limits", limits)


def run(engine, job_id):
    end = time.monotonic() + 60
    while not (job := engine.store.get(job_id)).state.is_final:
        assert time.monotonic() < end, job.message
        engine.dispatcher.round()
        time.sleep(0.02)
    return job


def row_length(engine, job_id):
    database = sa.create_engine(engine.database)
    with database.connect() as connection:
        text = sa.func.length(sa.type_coerce(JOBS.c.request, sa.Text))
        length = connection.execute(sa.select(text).where(JOBS.c.id == job_id)).scalar_one()
    database.dispose()
    return length


def test_large_values_stand_in_storage_and_the_worker_gets_them(engine):
    engine = engine()
    job = submit(engine, literal=[WORD], complex=[XML], numbers=[1])
    assert row_length(engine, job.id) < ROW_LENGTH
    kept = engine.store.get(job.id)
    assert kept.request.inputs["numbers"] == [1]
    assert all(
        isinstance(kept.request.inputs[name][0], StoredValue) for name in ("literal", "complex")
    )
    files = engine.service.storage.list(job_key(job.id, "inputs"))
    assert sum(map(engine.service.storage.size, files)) == kept.stored_bytes > 300_000
    done = run(engine, job.id)
    assert done.state is State.SUCCEEDED, done.message
    assert done.result.outputs["literalOutput"].value == WORD
    made = engine.service.storage.read(job_key(job.id, "outputs", "complexOutput.xml"))
    assert made.decode() == XML.value
    engine.service.dismiss(SYSTEM, job.id)
    assert engine.service.storage.list("jobs") == ()


def test_a_bucket_keeps_large_values_too(engine, bucket, s3_url):
    engine = engine()
    storage = open_storage(f"s3://{bucket}/candela", endpoint=s3_url)
    object.__setattr__(engine.service, "storage", storage)
    job = submit(engine, complex=[XML])
    assert storage.list(job_key(job.id)) == (job_key(job.id, "inputs", "1.json"),)
    assert engine.service.with_inputs(job).request.inputs == {"complex": [XML], "pause": [0.0]}
    engine.service.dismiss(SYSTEM, job.id)
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=bucket)


def test_small_requests_need_no_storage(engine):
    engine = engine()
    job = submit(engine, literal=["hello"], complex=[Inline(value="<a/>")])
    assert (job.stored_bytes, engine.service.storage.list("jobs")) == (0, ())


def test_bodies_of_references_are_kept_apart_and_whole(engine):
    engine = engine()
    job = submit(engine, complex=[POST])
    assert row_length(engine, job.id) < ROW_LENGTH
    assert engine.service.with_inputs(engine.store.get(job.id)).request.inputs["complex"] == [POST]


def test_the_same_large_request_under_the_same_key_is_the_same_job(engine):
    engine = engine()
    first = submit(engine, key="a", complex=[XML])
    assert submit(engine, key="a", complex=[XML]).id == first.id
    other = Inline(value=XML.value.replace("yy", "yz", 1), media_type="text/xml")
    with pytest.raises(InvalidValueError, match="used for another request"):
        submit(engine, key="a", complex=[other])
    assert engine.service.storage.folders("jobs") == (first.id,)


def test_a_row_of_an_earlier_version_is_compared_and_run_like_any_other(engine):
    engine = engine()
    request = ExecuteRequest(inputs={"complex": [XML], "pause": [0.0]})
    kept = Job(new_id(), "Echo", "1.0.0", now(), now(), request=request, idempotency_key="a")
    engine.store.add(kept)
    assert submit(engine, key="a", complex=[XML]).id == kept.id
    assert run(engine, kept.id).result.outputs["complexOutput"].size == len(XML.value)


def test_a_request_that_is_not_accepted_leaves_no_files(engine):
    engine = engine()
    limit(engine, stored_bytes=300_000)
    kept = submit(engine, complex=[XML])
    with pytest.raises(BusyError, match=r"take \d+ of the 300000 bytes.*remove jobs"):
        submit(engine, complex=[XML])
    assert engine.service.storage.folders("jobs") == (kept.id,)
    engine.service.dismiss(SYSTEM, kept.id)
    engine.store.purge(kept.id)
    assert submit(engine, complex=[XML])


def test_one_owner_cannot_fill_what_is_kept(engine):
    engine = engine()
    limit(engine, stored_bytes_of_owner=300_000)
    submit(engine, owner="a", complex=[XML])
    with pytest.raises(BusyError, match="the inputs of your jobs take"):
        submit(engine, owner="a", complex=[XML])
    assert submit(engine, owner="b", complex=[XML])
    assert submit(engine, owner="a", complex=[Inline(value="<a/>")])


def test_a_write_that_fails_half_way_leaves_nothing(engine, tmp_path):
    engine = engine()
    storage = engine.service.storage
    (tmp_path / "storage" / ".scratch").rmdir()
    (tmp_path / "storage" / ".scratch").touch()  # nothing can be written any more
    with pytest.raises(StorageError):
        submit(engine, complex=[XML])
    assert engine.store.count() == 0
    (tmp_path / "storage" / ".scratch").unlink()
    (tmp_path / "storage" / ".scratch").mkdir()
    assert storage.list("jobs") == ()


def test_a_file_that_is_not_what_was_sent_is_refused(engine):
    engine = engine()
    job = submit(engine, complex=[XML])
    engine.service.storage.write(job_key(job.id, "inputs", "1.json"), b'"<b/>"')
    with pytest.raises(StorageError, match="is not what was sent"):
        engine.service.with_inputs(job)


def test_nobody_can_ask_for_the_files_of_a_job_as_an_input(engine):
    engine = engine()
    stored = StoredValue(file="../../other/outputs/secret.xml", size=1, sha256="0")
    for name in ("complex", "literal", "bbox", "numbers"):
        with pytest.raises(InvalidValueError, match="neither a value nor a reference"):
            submit(engine, **{name: [stored]})


def test_lineage_repeats_large_values_up_to_a_limit(engine):
    engine = engine()
    job = submit(engine, lineage=True, complex=[XML])
    assert engine.service.with_inputs(job).request.inputs["complex"] == [XML]
    with pytest.raises(TooLargeError, match="leave lineage out"):
        submit(engine, lineage=True, literal=["x" * 2**21])


def test_what_looks_at_many_jobs_reads_no_requests_and_what_polls_no_results(engine):
    engine = engine()
    job = submit(engine, literal=["hello"])
    store = engine.store
    with recorded_statements() as said:
        store.jobs(), store.jobs(states=ACTIVE, runner="x"), store.count(), store.tally()
        store.states([job.id]), store.summary(job.id), store.shares(job), store.expired(now(), 10)
        store.claim("x", Bounds(1)), store.report(job.id, 1, "a"), store.wait_for_change(0)
        Reconciler(engine.service).look_at_jobs()
    assert said
    assert [text for text in said if "request" in text or "SELECT job.result" in text] == []
    assert [text for text in said if text.startswith("SELECT") and "job.result" in text] == []
    with recorded_statements() as said:
        store.outcomes(), store.outcome(job.id)
        store.move(job.id, [State.DISPATCHING], State.FAILED, message="no")
    assert said
    assert [text for text in said if "request" in text] == []


def test_a_list_leaves_out_results_that_are_large(engine):
    engine = engine()
    small, large = (
        Job(
            new_id(),
            "Echo",
            "1.0.0",
            now(),
            now(),
            state=State.SUCCEEDED,
            result=ResultDocument(
                job="x", status="succeeded", outputs={"literalOutput": OutputLiteral(value=text)}
            ),
        )
        for text in ("a", WORD)
    )
    engine.store.add(small)
    engine.store.add(large)
    listed = {job.id: job for job in engine.store.outcomes()}
    assert listed[small.id].result == small.result
    assert listed[large.id].result is None
    assert engine.store.outcome(large.id).result == large.result
