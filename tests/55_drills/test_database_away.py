"""A PostgreSQL that goes and comes back, or loses its connections."""

import threading
import time

import sqlalchemy as sa
from gates import Gate

from candela.jobs.model import State

from .conftest import EXECUTE, until


def url_of(postgres, port):
    return postgres.url.replace(str(postgres.port), str(port))


def test_jobs_outlive_a_database_that_is_away(postgres, drill):
    drill = drill(database=postgres.url)
    ids = [drill.submit(f"literal=job{number};pause=2") for number in range(3)]
    drill.until(ids[0], lambda job: job.state is State.RUNNING)
    postgres.stop()
    try:
        assert drill.away() == ["database"]
        refused = drill.http.get(EXECUTE + "literal=lost")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        assert b"the job database does not answer; please try again later" in refused.data
        assert b"127.0.0.1" not in refused.data
        for path in (f"/wps/status/{ids[0]}", f"/jobs/{ids[0]}", "/jobs"):
            assert drill.http.get(path).status_code == 503
        assert drill.http.get("/", headers={"Accept": "text/html"}).status_code == 503  # lists jobs
        time.sleep(3)  # jobs end meanwhile
    finally:
        postgres.start()
    until(lambda: drill.away() == [])
    jobs = [drill.finished(job_id) for job_id in ids]
    assert [(job.state, job.attempt) for job in jobs] == [(State.SUCCEEDED, 1)] * 3
    assert drill.store.count() == 3


def test_who_waits_for_a_job_waits_for_the_database_too(postgres, drill):
    drill = drill(database=postgres.url)
    answers = []
    synchronous = EXECUTE.replace("&storeExecuteResponse=true&status=true", "")
    asking = threading.Thread(
        target=lambda: answers.append(drill.http.get(f"{synchronous}literal=x;pause=3"))
    )
    asking.start()
    until(lambda: drill.store.count(states=[State.RUNNING]) == 1)
    postgres.stop()
    time.sleep(1)
    postgres.start()
    asking.join()
    assert (answers[0].status_code, b"ProcessSucceeded" in answers[0].data) == (200, True)


def test_connections_that_are_cut_lose_and_double_nothing(postgres, drill):
    drill = drill(database=postgres.url)
    admin = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    over = threading.Event()
    cuts = []

    def cut():
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        while not over.wait(0.1):
            with admin.connect() as connection:
                cuts.append(connection.execute(sa.text(query)).scalar_one())

    thread = threading.Thread(target=cut)
    thread.start()
    ids = []
    while len(ids) < 40 or sum(cuts) <= 10:
        over.wait(0.03)  # else a fast machine is done before there are cuts
        headers = {"Idempotency-Key": f"job{len(ids)}"}
        until(lambda headers=headers: ids.append(accepted(drill, headers)) or ids[-1] or ids.pop())
    over.set()
    thread.join()
    jobs = [drill.finished(job_id) for job_id in ids]
    assert {job.state for job in jobs} == {State.SUCCEEDED}
    assert len(set(ids)) == drill.store.count() == len(ids)


def accepted(drill, headers):
    """Return the id of the job, or nothing where the gateway says that it cannot."""
    answer = drill.http.get(EXECUTE + "literal=x", headers=headers)
    assert answer.status_code in {200, 503}, answer.data
    if answer.status_code == 503:
        return ""
    return answer.text.partition("/wps/status/")[2][:36]


def test_a_network_that_swallows_everything_is_noticed(postgres, drill):
    gate = Gate(postgres.port)
    drill = drill(database=url_of(postgres, gate.port))
    job_id = drill.submit("literal=x;pause=1")
    gate.shut()
    assert drill.away() == ["database"]
    gate.open()
    until(lambda: drill.away() == [])
    assert drill.finished(job_id).state is State.SUCCEEDED
    gate.cut()
    assert drill.finished(drill.submit("literal=y")).state is State.SUCCEEDED
    gate.shut()
    gate.open()  # for the end of the drill
