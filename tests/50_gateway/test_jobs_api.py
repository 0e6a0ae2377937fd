"""Jobs as JSON, and their end."""

import datetime as dt
import time

import sqlalchemy as sa

from candela.jobs.model import State, now
from candela.jobs.principal import SYSTEM
from candela.jobs.queue import Bounds
from candela.jobs.request import ExecuteRequest
from candela.jobs.tables import JOBS
from candela.jobs.tokens import token_for

GET = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs="
)


def submit(http, inputs=""):
    """Submit a job and return its id."""
    return http.get(GET + inputs).root.get("statusLocation").rpartition("/")[2]


def wait_for(gateway, job_id, state):
    for _ in range(400):
        job = gateway.jobs.store.get(job_id)
        if job.state is state:
            return job
        time.sleep(0.05)
    raise AssertionError(f"job is {job.state}, not {state}: {job.message}")


def test_a_job_is_listed_with_its_state(idle):
    job_id = submit(idle)
    (job,) = idle.get("/jobs").json["jobs"]
    assert (job["jobID"], job["processID"], job["status"]) == (job_id, "Echo", "accepted")
    assert "finished" not in job
    alone = idle.get(f"/jobs/{job_id}").json
    assert alone.pop("message") == f"{job.pop('message')}, next in the queue"
    assert alone.pop("inputs") == {"pause": [0]}
    assert alone.pop("links")[:3] == job.pop("links")
    assert alone.pop("jobsAhead") == 0
    assert alone.pop("estimatedStart") > alone["created"]
    assert alone == job


def test_jobs_are_paged_and_filtered(idle):
    ids = [submit(idle) for _ in range(3)]
    page = idle.get("/jobs?limit=2&status=accepted,running&status=failed").json
    assert [job["jobID"] for job in page["jobs"]] == [ids[2], ids[1]]
    assert page["numberTotal"] == 3
    (following,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    submit(idle)  # while somebody reads the list
    rest = idle.get(following.partition("test")[2]).json
    assert [job["jobID"] for job in rest["jobs"]] == [ids[0]]
    assert "next" not in [link["rel"] for link in rest["links"]]
    assert idle.get("/jobs?status=running").json["jobs"] == []
    assert idle.get("/jobs?limit=many").status_code == 400


def test_a_finished_job_has_its_outputs(http):
    job_id = submit(http, "literal=x")
    job = http.get(f"/jobs/{job_id}").json
    assert (job["status"], job["progress"]) == ("successful", 100)
    assert job["usage"]["peakMemoryBytes"] > 1_000_000
    assert job["outputs"]["literalOutput"] == "x"


def test_an_unknown_job_is_404(idle):
    assert idle.get("/jobs/7").status_code == 404
    assert idle.delete("/jobs/7").status_code == 404


def test_a_waiting_job_that_is_dismissed_never_runs(idle, idle_gateway):
    job_id = submit(idle)
    assert idle.delete(f"/jobs/{job_id}").json["status"] == "dismissed"
    assert idle_gateway.jobs.store.claim("here", Bounds(10)) == []


def test_a_running_job_that_is_dismissed_stops(gateway, http):
    job = gateway.jobs.submit(SYSTEM, "Echo", ExecuteRequest(inputs={"pause": [60]}))
    running = wait_for(gateway, job.id, State.RUNNING)
    assert http.delete(f"/jobs/{job.id}").json["status"] == "dismissed"
    assert not gateway.jobs.runner.state(running.backend).is_running
    assert gateway.jobs.storage.list(f"jobs/{job.id}") == ()


def test_a_finished_job_that_is_dismissed_leaves_a_tombstone(http, gateway):
    job_id = submit(http, "complex=<a/>")
    assert gateway.jobs.storage.list(f"jobs/{job_id}") != ()
    assert http.delete(f"/jobs/{job_id}").json["status"] == "dismissed"
    tombstone = http.get(f"/jobs/{job_id}").json
    assert (tombstone["status"], tombstone["message"]) == ("dismissed", "dismissed by the user")
    assert "outputs" not in tombstone
    assert gateway.jobs.storage.list(f"jobs/{job_id}") == ()
    again = http.delete(f"/jobs/{job_id}")
    assert (again.status_code, again.json["status"]) == (200, "dismissed")
    gone = http.get(f"/outputs/{job_id}/complexOutput.xml")
    assert (gone.status_code, gone.json["code"]) == (410, "JobDismissed")
    gateway.jobs.store.purge(job_id)
    for answer in (http.get(f"/jobs/{job_id}"), http.delete(f"/jobs/{job_id}")):
        assert (answer.status_code, answer.json["code"]) == (410, "JobDismissed")
    report = http.get(f"/wps/status/{job_id}")
    assert (report.status_code, b"was dismissed" in report.data) == (400, True)


def test_an_expired_job_is_told_apart_from_a_dismissed_one_in_every_protocol(http, gateway):
    job_id, store = submit(http, "complex=<a/>"), gateway.jobs.store
    with store.database.write() as connection:
        query = sa.update(JOBS).where(JOBS.c.id == job_id)
        connection.execute(query.values(expires=now() - dt.timedelta(seconds=1)))
    assert store.expire(job_id, now())
    assert http.get(f"/jobs/{job_id}").json["status"] == "successful"
    for address in (f"/outputs/{job_id}/complexOutput.xml", f"/jobs/{job_id}/results"):
        gone = http.get(address)
        assert (gone.status_code, gone.json["code"]) == (410, "JobExpired")
    report = http.get(f"/wps/status/{job_id}")
    assert (report.status_code, b"have expired" in report.data) == (400, True)
    result = http.get(f"/wps?service=WPS&version=2.0.0&request=GetResult&jobID={job_id}")
    assert (result.status_code, b'exceptionCode="NoSuchJob"' in result.data) == (400, True)
    assert http.delete(f"/jobs/{job_id}").json["status"] == "dismissed"


def test_progress_needs_the_token_of_the_job(idle, idle_gateway):
    job_id = submit(idle)
    store = idle_gateway.jobs.store
    store.move(job_id, [State.ACCEPTED], State.DISPATCHING)
    store.move(job_id, [State.DISPATCHING], State.RUNNING)
    report = {"percent": 40, "message": "reading"}
    url = f"/jobs/{job_id}/progress"
    assert idle.post(url, json=report).status_code == 403
    wrong = {"Authorization": "Bearer " + token_for(b"wrong", job_id, 1)}
    assert idle.post(url, json=report, headers=wrong).status_code == 403
    right = {"Authorization": "Bearer " + token_for(idle_gateway.settings.signing_key, job_id, 1)}
    assert idle.post(url, json=report, headers=right).status_code == 204
    assert idle.get(f"/jobs/{job_id}").json["progress"] == 40
    assert idle.post(url, json={"percent": "?"}, headers=right).status_code == 400


def test_the_log_and_the_events_of_a_job_can_be_read(http):
    job_id = submit(http, "literal=x")
    events = http.get(f"/jobs/{job_id}/events").json["events"]
    assert [event["state"] for event in events] == [
        "accepted", "dispatching", "running", "publishing", "succeeded",
    ]  # fmt: skip
    assert job_id in http.get(f"/jobs/{job_id}/log").text


def test_probes_answer(http, idle):
    assert http.get("/healthz").json == {"status": "alive"}
    assert http.get("/readyz").json == {"status": "ready"}
    assert idle.get("/healthz").json == {"status": "alive"}  # nobody started it
    assert idle.get("/readyz").json == {"status": "not ready", "away": ["map server"]}
