"""Processes added at run time: offered by all gateways of a database, each version once."""

import threading

import pytest
import sqlalchemy as sa
from packages import install, shout
from trials import until

from candela.contract.job import Reference
from candela.errors import ConflictError, InvalidValueError, NoSuchProcessError, TooLargeError
from candela.jobs.catalogue import ProcessCatalogue
from candela.jobs.model import State
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest
from candela.jobs.store import JobStore
from candela.spec import load_specs, parse_spec

SPECS = load_specs()


def spec(**options):
    return parse_spec(shout(**options), "process.yaml")


@pytest.fixture
def catalogues(database):
    """Return the catalogues of two gateways of one database."""
    stores = [JobStore(database) for _ in range(2)]
    yield [ProcessCatalogue(SPECS, store.database) for store in stores]
    for store in stores:
        store.close()


def test_a_process_is_offered_by_all_gateways_replaced_and_removed(catalogues):
    here, there = catalogues
    assert here.add(spec(), "ada", most=9)
    assert "Shout" in here
    assert "Shout" in there  # at once: it was looked for
    assert list(there) == sorted({*SPECS, "Shout"})
    number = there.number
    assert here.replace(spec(version="1.1.0", title="Louder"), "ada")
    assert here["Shout"].version == "1.1.0"
    until(lambda: there["Shout"].title == "Louder", seconds=2)
    assert there.number > number
    here.remove("Shout")
    assert "Shout" not in here
    until(lambda: "Shout" not in there, seconds=2)
    assert dict(there.items()) == SPECS


def test_the_same_again_changes_nothing_and_another_of_the_same_version_is_refused(catalogues):
    here, there = catalogues
    assert here.add(spec(), "ada", most=9)
    number = here.number
    assert not there.add(spec(), "bob", most=9)
    assert not there.replace(spec(), "bob")
    assert here.number == number
    with pytest.raises(ConflictError, match="there is a process Shout already"):
        there.add(spec(version="1.1.0"), "bob", most=9)
    with pytest.raises(ConflictError, match=r"Shout 1\.0\.0 was another one before"):
        there.replace(spec(title="Another"), "bob")
    assert there.replace(spec(version="1.1.0"), "bob")
    assert there.replace(spec(), "bob")  # back to what it was
    here.remove("Shout")
    with pytest.raises(ConflictError, match=r"Shout 1\.0\.0 was another one before"):
        here.add(spec(title="Another"), "ada", most=9)
    assert here.add(spec(), "ada", most=9)


def test_what_is_installed_or_not_there_is_not_changed(catalogues):
    here, _ = catalogues
    for change in (
        lambda: here.add(SPECS["Echo"], "ada", most=9),
        lambda: here.replace(SPECS["Echo"].model_copy(update={"version": "9.0.0"}), "ada"),
        lambda: here.remove("Echo"),
    ):
        with pytest.raises(ConflictError, match="Echo is installed with the gateway"):
            change()
    for change in (lambda: here.replace(spec(), "ada"), lambda: here.remove("Shout")):
        with pytest.raises(NoSuchProcessError, match="no process 'Shout' was added"):
            change()
    assert dict(here.items()) == SPECS


def test_no_more_are_added_than_are_allowed(catalogues):
    here, _ = catalogues
    assert here.add(spec(), "ada", most=1)
    other = spec().model_copy(update={"identifier": "Whisper"})
    with pytest.raises(TooLargeError, match="1 processes were added, at most 1 are allowed"):
        here.add(other, "ada", most=1)
    here.remove("Shout")
    assert here.add(other, "ada", most=1)


def test_of_two_operators_at_the_same_time_one_adds(catalogues):
    outcomes = []

    def add(catalogue, title):
        try:
            outcomes.append(catalogue.add(spec(title=title), title, most=9))
        except ConflictError:
            outcomes.append(None)

    threads = [
        threading.Thread(target=add, args=(catalogue, f"Shout {index}"))
        for index, catalogue in enumerate(catalogues * 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [None] * 5 + [True]


def test_a_description_that_this_gateway_cannot_read_hides_no_other_process(catalogues):
    here, there = catalogues
    here.add(spec(), "ada", most=9)
    with here._database.write() as connection:
        connection.execute(
            sa.text(
                "UPDATE process_description SET document = '{\"later\": 1}' WHERE process = 'Shout'"
            )
        )
    assert dict(there.items()) == SPECS


def test_jobs_go_on_with_their_version_whatever_is_offered_since(engine, tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    install(folder)
    monkeypatch.syspath_prepend(folder)
    made = engine(variables={"PYTHONPATH": str(folder)})
    specs = made.service.specs
    specs.add(spec(), "ada", most=9)

    def submit(text):
        return made.service.submit(SYSTEM, "Shout", ExecuteRequest(inputs={"literal": [text]})).id

    def end(job_id):
        until(lambda: made.dispatcher.round() >= 0 and made.store.get(job_id).state.is_final)
        return made.store.get(job_id)

    first = submit("before")
    specs.replace(spec(version="2.0.0", title="Louder"), "ada")
    second = submit("after")
    specs.remove("Shout")
    with pytest.raises(NoSuchProcessError):
        submit("never")
    for job_id, version, title, text in (
        (first, "1.0.0", "A shout", b"BEFORE!"),
        (second, "2.0.0", "Louder", b"AFTER!"),
    ):
        job = end(job_id)
        assert (job.state, job.version) == (State.SUCCEEDED, version), job.message
        assert made.service.spec(job).title == title
        assert made.service.storage.read(f"jobs/{job_id}/outputs/shout.txt") == text

    specs.add(spec(), "ada", most=9)
    third = submit("too late")
    install(folder, version="1.3.0", marks=3)
    job = end(third)
    assert (job.state, job.error.kind) == (State.FAILED, "UnavailableError")
    assert job.message == "Shout 1.0.0: shout-tools 1.2.0 is expected, 1.3.0 is installed"


def test_jobs_without_network_take_no_reference_to_the_web(engine):
    made = engine(base_url="http://candela.test")
    quiet = SPECS["Echo"].run.model_copy(update={"network": False})
    made.service.specs.install(SPECS["Echo"].model_copy(update={"run": quiet}))
    done = made.service.submit(SYSTEM, "Echo", ExecuteRequest(inputs={})).id

    def submit(href):
        request = ExecuteRequest(inputs={"complex": [Reference(href=href)]})
        return made.service.submit(SYSTEM, "Echo", request)

    for href in ("http://example.org/a.xml", "HTTPS://example.org/a.xml?key=1",
                 "http://candela.test.example.org/outputs/a.xml"):  # fmt: skip
        with pytest.raises(InvalidValueError, match="have no network and cannot fetch") as error:
            submit(href)
        assert error.value.locator == "complex"
        assert "key=1" not in error.value.message
    assert submit(f"http://candela.test/outputs/{done}/a.xml").state is State.ACCEPTED
    assert submit("file:///data/a.xml").state is State.ACCEPTED
