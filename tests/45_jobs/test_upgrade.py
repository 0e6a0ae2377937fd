"""Databases of all earlier versions: their jobs are there, go on and end."""

import pytest
import sqlalchemy as sa

from candela.jobs.database import open_engine
from candela.jobs.migrations import upgrade
from candela.jobs.model import Job, State
from candela.jobs.queue import Bounds
from candela.jobs.store import JobStore

REQUEST = (
    """{"inputs": {"literal": ["hello"], "complex": [{"value": "%s", "mediaType": "text/xml"}]}}"""
)
RESULT = """{"job": "done", "status": "succeeded", "outputs": {"sum": {"value": 1.5}}}"""
ROW = {
    "process": "Echo", "version": "1.0.0", "owner": "ada", "mode": "async", "percent": 0.0,
    "message": "accepted", "attempt": 1, "priority": 0, "runner": "", "backend": "",
    "created": "2026-01-02 03:04:05", "updated": "2026-01-02 03:04:05",
    "request": REQUEST % ("x" * 100_000),
}  # fmt: skip
ROWS = [
    {**ROW, "id": "waiting", "state": "accepted", "idempotency_key": "key"},
    {**ROW, "id": "running", "state": "running", "runner": "here", "backend": "running-1"},
    {**ROW, "id": "done", "state": "succeeded", "result": RESULT},
]


def write_rows(url, revision):
    engine = open_engine(url)
    upgrade(engine, revision)
    with engine.begin() as connection:
        for row in ROWS:
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO job ({names}) VALUES ({values})"), row)
            connection.execute(
                sa.text(
                    "INSERT INTO job_event (job, time, state, message) "
                    "VALUES (:id, :created, :state, :message)"
                ),
                row,
            )
    engine.dispose()


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004"])
def test_jobs_of_an_earlier_version_go_on(database, revision):
    write_rows(database, revision)
    store = JobStore(database)
    assert {job.id: job.state for job in store.jobs()} == {
        "waiting": State.ACCEPTED, "running": State.RUNNING, "done": State.SUCCEEDED,
    }  # fmt: skip
    waiting = store.get("waiting")
    assert isinstance(waiting, Job)
    assert (waiting.stored_bytes, waiting.request.inputs["literal"]) == (0, ["hello"])
    assert len(waiting.request.inputs["complex"][0].value) == 100_000
    assert store.find_by_key("ada", "key").id == "waiting"
    assert store.outcome("done").result.outputs["sum"].value == 1.5
    assert [event.state for event in store.events("done")] == [State.SUCCEEDED]
    assert [job.id for job in store.claim("here", Bounds(9))] == ["waiting"]
    assert store.move("running", [State.RUNNING], State.FAILED, message="broken")
    assert [used.jobs for used in store.consumption()] == [1]
    store.purge("done")
    assert store.count() == 2
    store.close()
