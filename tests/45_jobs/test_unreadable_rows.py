"""A row whose documents are damaged: it stops no other job, and can be removed."""

import time

import pytest
import sqlalchemy as sa

from candela.contract.job import ResultDocument
from candela.jobs.model import State
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest

DAMAGES = ['{"inputs": {"a": [{"bbox": [null, null, null, null]}]}}', "{", "", "[]", '{"x": 1}']


def echo(engine) -> str:
    return engine.service.submit(SYSTEM, "Echo", ExecuteRequest(inputs={})).id


def damage(engine, job_id, column, text) -> None:
    database = sa.create_engine(engine.database)
    with database.begin() as connection:
        query = sa.text(f"UPDATE job SET {column} = :text WHERE id = :id")
        assert connection.execute(query, {"text": text, "id": job_id}).rowcount == 1
    database.dispose()


def ended(engine, job_id):
    for _ in range(3000):
        engine.dispatcher.round()
        job = engine.store.get(job_id)
        if job.state.is_final:
            return job
        time.sleep(0.02)
    raise AssertionError(f"job is {job.state}: {job.message}")


@pytest.mark.parametrize("text", DAMAGES)
def test_a_job_whose_request_cannot_be_read_fails_and_others_run(engine, text) -> None:
    engine = engine()
    bad, good = echo(engine), echo(engine)
    damage(engine, bad, "request", text)
    assert {job.id for job in engine.store.jobs()} == {bad, good}
    assert ended(engine, good).state is State.SUCCEEDED
    job = ended(engine, bad)
    assert job.state is State.FAILED
    assert "its request in the database is not valid" in job.error.message
    assert engine.service.dismiss(SYSTEM, bad).state is State.DISMISSED
    assert [job.removed is None for job in map(engine.store.get, (good, bad))] == [True, False]


@pytest.mark.parametrize("column", ["result", "error", "links"])
def test_a_finished_job_that_cannot_be_read_is_listed_and_removed(engine, column) -> None:
    engine = engine()
    bad, good = echo(engine), echo(engine)
    for job_id in (bad, good):
        assert ended(engine, job_id).state is State.SUCCEEDED
    damage(engine, bad, column, '{"status": NaN')
    assert {job.id for job in engine.store.jobs()} == {bad, good}
    engine.store.published(engine.service.runner.name)
    assert engine.service.dismiss(SYSTEM, bad).state is State.DISMISSED
    assert [job.removed is None for job in map(engine.store.get, (good, bad))] == [True, False]


def test_a_job_is_no_success_if_its_result_cannot_be_read(engine) -> None:
    engine = engine()
    job_id, move = echo(engine), engine.store.move
    runner = engine.service.runner.name
    move(job_id, [State.ACCEPTED], State.DISPATCHING, runner=runner)
    move(job_id, [State.DISPATCHING], State.RUNNING)
    result = ResultDocument(job=job_id, status="succeeded")
    move(job_id, [State.RUNNING], State.PUBLISHING, result=result)
    damage(engine, job_id, "result", "null")
    job = ended(engine, job_id)
    assert job.state is State.FAILED
    assert "is not valid" in job.error.message
