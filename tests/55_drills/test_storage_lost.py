"""The folder of files, or the file of jobs, is removed or replaced under a running gateway."""

import shutil

import pytest

from candela.jobs.model import State
from candela.jobs.principal import SYSTEM

from .conftest import EXECUTE, until


@pytest.fixture
def lost(drill, tmp_path):
    """A gateway with a finished job, and a place to put things aside."""
    drill = drill()
    first = drill.finished(drill.submit("complex=<a/>"))
    assert drill.away() == []
    return drill, first, tmp_path / "data", tmp_path / "aside"


def refused(drill):
    answer = drill.http.get(EXECUTE + "literal=into nothing")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


@pytest.mark.parametrize("replacement", ["nothing", "an empty folder", "another storage"])
def test_a_storage_that_is_gone_is_told_and_no_job_is_accepted(lost, replacement):
    drill, first, data, aside = lost
    (data / "storage").rename(aside)
    if replacement != "nothing":
        (data / "storage" / ".scratch").mkdir(parents=True)
    if replacement == "another storage":
        (data / "storage" / ".candela-storage").write_text("other")
    refused(drill)
    assert drill.away() == ["storage"]
    assert drill.store.count() == 1
    if replacement != "nothing":
        shutil.rmtree(data / "storage")
    aside.rename(data / "storage")
    assert drill.away() == []
    with drill.http.get(f"/outputs/{first.id}/complexOutput.xml") as answer:
        assert answer.data == b"<a/>"
    assert drill.finished(drill.submit("literal=back")).state is State.SUCCEEDED


def test_a_job_that_runs_when_the_storage_goes_is_done_when_it_is_back(lost):
    drill, _, data, aside = lost
    job_id = drill.submit("complex=<b/>;pause=2")
    until(lambda: "Inputs are staged" in drill.gateway.jobs.log_tail(SYSTEM, job_id))
    (data / "storage").rename(aside)
    drill.until(job_id, lambda _: drill.away() == ["storage"])
    aside.rename(data / "storage")
    assert drill.finished(job_id).state is State.SUCCEEDED


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_database_file_that_is_gone_is_told_and_no_job_is_accepted(lost, is_replaced):
    drill, first, data, aside = lost
    (data / "candela.db").rename(aside)
    if is_replaced:
        shutil.copy(aside, data / "candela.db")
    refused(drill)
    assert drill.away() == ["database"]
    aside.replace(data / "candela.db")
    assert drill.away() == []
    assert drill.store.get(first.id) == first
    assert drill.finished(drill.submit("literal=back")).state is State.SUCCEEDED
