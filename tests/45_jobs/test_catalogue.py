"""The processes that are offered, and the versions that jobs were accepted with."""

import pytest
import sqlalchemy as sa

from candela.errors import NoSuchProcessError, UnavailableError
from candela.jobs.added_processes import digest_of, document_of
from candela.jobs.catalogue import ProcessCatalogue
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest
from candela.jobs.store import JobStore
from candela.spec import ProcessSpec, load_specs, parse_spec

ECHO = load_specs()["Echo"]
NEXT = ECHO.model_copy(
    update={
        "version": "2.0.0",
        "title": "Another echo",
        "run": ECHO.run.model_copy(update={"timeout": 7}),
    }
)
DATES = """
identifier: Days
version: 1.0.0
title: Days
abstract: Days to choose from.
inputs:
  day: {title: A day, type: date, allowed: [2020-01-01, "2020-01-02"], default: 2020-01-01}
  time: {title: A time, type: datetime, allowed: [2020-01-01 10:00:00]}
  number: {title: A number, type: float, allowed: [1, 0.5], maxOccurs: unbounded}
outputs:
  text: {title: A text, type: string}
"""


@pytest.fixture
def store(database):
    store = JobStore(database)
    yield store
    store.close()


def echo(engine):
    request = ExecuteRequest(inputs={"literal": ["a"]})
    return engine.service.submit(SYSTEM, "Echo", request)


@pytest.mark.parametrize("name", load_specs())
def test_a_description_is_the_same_after_it_was_kept(name):
    spec = load_specs()[name]
    read = ProcessSpec.model_validate_json(document_of(spec))
    assert document_of(read) == document_of(spec)
    assert read.model_copy(update={"package": spec.package}) == spec


def test_dates_to_choose_from_are_dates_after_it_was_kept():
    for spec in (
        first := parse_spec(DATES, "days"),
        ProcessSpec.model_validate_json(document_of(first)),
    ):
        assert spec.inputs["day"].parse("2020-01-02").isoformat() == "2020-01-02"
        assert spec.inputs["time"].parse("2020-01-01T10:00:00").hour == 10
        assert spec.inputs["number"].parse("1.0") == 1
        assert spec.defaults["day"] is not None


def test_a_job_is_described_by_the_version_it_was_accepted_with(engine):
    engine = engine()
    before = engine.store.summary(echo(engine).id)
    engine.service.specs.install(NEXT)
    after = engine.store.summary(echo(engine).id)
    assert (before.version, before.description) == (
        ECHO.version,
        digest_of(engine.service.spec(before)),
    )
    assert (after.version, after.description) == ("2.0.0", digest_of(NEXT))
    assert engine.service.spec(before).title == ECHO.title
    assert engine.service.spec(after).title == "Another echo"


def test_it_is_so_after_an_upgrade_of_the_gateway_and_without_the_process(engine, database):
    job = echo(engine())
    store = JobStore(database)
    upgraded = ProcessCatalogue({"Echo": NEXT}, store.database)
    assert upgraded["Echo"].version == "2.0.0"
    spec = upgraded.of_job(job)
    assert (spec.version, spec.title) == (ECHO.version, ECHO.title)
    without = ProcessCatalogue({}, store.database)
    assert "Echo" not in without
    assert without.of_job(job).outputs == spec.outputs
    store.close()


def test_a_description_is_kept_once(store):
    for _ in range(3):
        ProcessCatalogue({"Echo": ECHO}, store.database).install(ECHO, NEXT)
    with store.database.read() as connection:
        rows = connection.execute(sa.text("SELECT version FROM process_description")).all()
    assert sorted(row.version for row in rows) == [ECHO.version, "2.0.0"]


def test_the_catalogue_is_a_mapping_in_alphabetical_order(store):
    specs = load_specs()
    catalogue = ProcessCatalogue(dict(reversed(specs.items())), store.database)
    assert list(catalogue) == list(specs)
    assert dict(catalogue.items()) == specs
    assert list(catalogue.values()) == list(specs.values())
    assert len(catalogue) == len(specs)
    assert catalogue.get("Nothing") is None
    with pytest.raises(NoSuchProcessError, match="there is no process 'Nothing'"):
        catalogue.version("Nothing")


def test_processes_are_known_while_the_database_is_away(tmp_path):
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    catalogue = ProcessCatalogue({"Echo": ECHO}, store.database, max_age_s=0)
    assert "Echo" in catalogue
    (tmp_path / "jobs.db").rename(tmp_path / "gone.db")
    with pytest.raises(UnavailableError), store.database.read():
        pass
    assert catalogue["Echo"] == ECHO
    assert "Nothing" not in catalogue
    store.close()
