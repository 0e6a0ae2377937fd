"""A whole job: what ends up in storage, however it ends."""

import sys
from types import ModuleType

import numpy as np
import pytest

from candela.backoff import Backoff
from candela.contract import documents
from candela.contract.documents import read_result
from candela.contract.job import JobDocument, ResultDocument
from candela.eo.progress import silent
from candela.eo.threads import thread_count, use_threads
from candela.errors import InputError, StorageError
from candela.patches.store.target import PatchTarget
from candela.spec import NEEDS, ProcessSpec, RunSpec
from candela.worker import job as jobs
from candela.worker.job import run_job
from candela.worker.needs import PROVIDERS
from candela.worker.workdir import WorkdirError


@pytest.fixture
def run(tmp_path, storage, monkeypatch):
    """Run a job whose process is the function given."""
    spec = ProcessSpec.model_validate(
        {
            "identifier": "Test",
            "version": "1.0.0",
            "title": "Test",
            "abstract": "A test.",
            "inputs": {"x": {"title": "x", "type": "text", "minOccurs": 0}},
            "outputs": {
                "word": {"title": "word", "type": "string", "optional": True},
                "file": {"title": "file", "type": "text", "optional": True},
            },
        }
    ).model_copy(update={"package": "candela_test_process"})

    def run(
        function, *, attempt: int = 1, owner: str = "", needs=(), **inputs: object
    ) -> ResultDocument:
        module = ModuleType(spec.package)
        module.run = function
        monkeypatch.setitem(sys.modules, spec.package, module)
        document = JobDocument(
            id="1",
            process="Test",
            version="1.0.0",
            attempt=attempt,
            owner=owner,
            inputs=inputs,
            cpu=0.5,
        )
        if not storage.exists("jobs/1/job.json"):
            storage.write("jobs/1/job.json", document.to_json().encode())
        asking = spec.model_copy(update={"run": RunSpec(needs=needs)})
        result = run_job(document, asking, storage, tmp_path / "workdir", silent)
        assert list((tmp_path / "workdir").iterdir()) == []
        assert read_result(storage, "1") == result
        return result

    yield run
    use_threads(1)
    monkeypatch.setattr("candela.eo.threads._limit", None)


def test_the_outcome_of_a_good_job_is_in_storage(run, storage):
    def work(*, x, workdir, progress):
        (workdir / "a.txt").write_text(x.read_text() * 2)
        return {"word": "done", "file": workdir / "a.txt"}

    result = run(work, x="abc")
    assert result.status == "succeeded"
    assert result.error is None
    assert result.outputs["word"].value == "done"
    assert storage.read("jobs/1/outputs/a.txt") == b"abcabc"
    assert (result.usage.input_bytes, result.usage.output_bytes) == (3, 6)
    assert result.usage.max_rss_bytes > 10**6


@pytest.mark.parametrize("url", ["", "sqlite:///patches.db"])
def test_a_process_that_needs_patches_gets_the_database_and_the_owner(run, monkeypatch, url):
    monkeypatch.setenv("CANDELA_PATCHES_DATABASE", url)
    given = []

    def work(*, x, patches, workdir, progress):
        given.append(patches)
        return {}

    assert run(work, owner="ada", needs=["patches"]).status == "succeeded"
    assert given == [PatchTarget(url, "ada")]


def test_a_process_gets_nothing_that_it_does_not_need(run, monkeypatch):
    monkeypatch.setenv("CANDELA_PATCHES_DATABASE", "sqlite:///patches.db")
    given = []

    def work(**keywords):
        given.append(set(keywords))
        return {}

    assert run(work).status == "succeeded"
    assert given == [{"x", "workdir", "progress"}]


def test_the_worker_provides_every_need():
    assert set(PROVIDERS) == set(NEEDS)


def test_the_process_gets_the_threads_of_its_cores(run):
    threads = []

    def work(*, x, workdir, progress):
        threads.append(thread_count())
        return {}

    run(work)
    assert threads == [1]


def test_a_refused_input_is_told_with_its_name(run):
    def work(*, x, workdir, progress):
        raise InputError("band 3 missing", "x")

    error = run(work).error
    assert (error.kind, error.message, error.locator) == ("InputError", "band 3 missing", "x")


def test_an_internal_error_stays_internal(run, caplog):
    def work(*, x, workdir, progress):
        raise RuntimeError("password is secret")

    error = run(work).error
    assert (error.kind, error.message) == ("InternalError", "internal error")
    assert "password is secret" in caplog.text


def test_a_process_that_breaks_its_description_is_an_internal_error(run, caplog):
    assert run(lambda **_: {"z": 1}).error.kind == "InternalError"
    assert "has no output 'z'" in caplog.text


def test_a_process_that_ends_python_is_an_internal_error(run):
    def work(**_):
        sys.exit(0)

    assert run(work).error.kind == "InternalError"


def test_a_process_that_cannot_be_imported_is_an_internal_error(run, monkeypatch):
    assert run(None).error.kind == "InternalError"


def test_memory_that_cannot_be_had_is_a_limit(run):
    error = run(lambda **_: np.empty(2**50)).error
    assert error.kind == "LimitError"
    assert "memory" in error.message


def make_file(*, x, workdir, progress):
    (workdir / "a.txt").write_text("a")
    return {"file": workdir / "a.txt"}


def test_a_failed_job_leaves_no_outputs(run, storage, monkeypatch):
    def deliver_then_fail(*arguments):
        delivered(*arguments)
        raise RuntimeError("a mistake of ours")

    delivered = jobs.deliver
    monkeypatch.setattr(jobs, "deliver", deliver_then_fail)
    assert run(make_file).status == "failed"
    assert storage.list("jobs/1") == ("jobs/1/job.json", "jobs/1/result.json")


def test_a_storage_that_is_away_for_a_moment_costs_nothing(run, storage, monkeypatch):
    monkeypatch.setattr(documents, "BACKOFF", Backoff(0, 0))
    failures = [StorageError("away")] * 3

    def put_later(*arguments):
        if failures:
            raise failures.pop()
        put(*arguments)

    put = storage.put
    monkeypatch.setattr(storage, "put", put_later)
    assert run(make_file).status == "succeeded"
    assert "jobs/1/outputs/a.txt" in storage.list("jobs/1")


def test_a_storage_that_stays_away_is_not_the_jobs_fault(run, storage, monkeypatch):
    def put(*_):
        raise StorageError("away")

    monkeypatch.setattr(documents, "BACKOFF", Backoff(0, 0))
    monkeypatch.setattr(storage, "put", put)
    with pytest.raises(StorageError, match="away"):
        run(make_file)
    assert read_result(storage, "1") is None


def test_a_job_that_was_removed_writes_nothing(run, storage, tmp_path):
    def work(*, x, workdir, progress):
        storage.delete("jobs/1")
        (workdir / "a.txt").write_text("a")
        return {"file": workdir / "a.txt"}

    with pytest.raises(StorageError):
        run(work)
    assert storage.list("jobs") == ()
    assert list((tmp_path / "workdir").iterdir()) == []


def test_an_attempt_that_was_given_up_writes_nothing(run, storage):
    newer = JobDocument(id="1", process="Test", version="1.0.0", attempt=2)
    storage.write("jobs/1/job.json", newer.to_json().encode())
    with pytest.raises(StorageError, match="superseded by attempt 2"):
        run(lambda **_: {"word": "late"}, attempt=1)
    assert storage.list("jobs") == ("jobs/1/job.json",)


def test_a_folder_with_files_of_others_is_left_alone(run, tmp_path):
    (tmp_path / "workdir").mkdir()
    (tmp_path / "workdir" / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkdirError, match=r"thesis\.txt"):
        run(lambda **_: {})
    assert (tmp_path / "workdir" / "thesis.txt").read_text() == "years of work"


def test_a_link_in_the_folder_is_not_followed_when_it_is_emptied(run, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "image.tif").write_text("pixels")

    def work(*, x, workdir, progress):
        (workdir / "link").symlink_to(tmp_path / "data")
        return {}

    run(work)
    assert (tmp_path / "data" / "image.tif").read_text() == "pixels"
