"""Patch databases for tests: SQLite, and a real PostgreSQL with PostGIS."""

from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from databases import find_binaries, postgres_server
from patch_models import patch_model

from candela.patches.store.database import open_database, open_server

SERVICE, DATABASE = "candela_service", "patches"


@pytest.fixture(scope="session")
def postgis_admin():
    """Give the URL of a superuser of a PostgreSQL with PostGIS."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("there is no PostgreSQL server here")
    if not list(binaries.parent.glob("../../../share/postgresql/*/extension/postgis.control")):
        pytest.skip("PostgreSQL here has no PostGIS")
    with postgres_server(binaries) as url:
        yield url


@pytest.fixture(scope="session")
def postgis_owned(postgis_admin):
    """Give the URL of an upgraded database, for the login that owns it and is no superuser."""
    with commands(postgis_admin) as command:
        command(f"CREATE ROLE {SERVICE} LOGIN NOSUPERUSER PASSWORD 'secret'")
        command(f"CREATE DATABASE {DATABASE} OWNER {SERVICE}")
    with commands(in_database(postgis_admin)) as command:
        command("CREATE EXTENSION postgis")
    own = in_database(postgis_admin).set(username=SERVICE, password="secret")
    url = own.render_as_string(hide_password=False)
    database = open_server(url)
    database.upgrade()
    database.close()
    return url


@pytest.fixture
def postgis_url(postgis_admin, postgis_owned):
    """Give the URL of the database, emptied."""
    with commands(in_database(postgis_admin)) as command:
        command("TRUNCATE product, feature_set, session RESTART IDENTITY CASCADE")
    return postgis_owned


@contextmanager
def commands(url):
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection.exec_driver_sql


def in_database(admin):
    return sa.make_url(admin).set(database=DATABASE)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'patches.db'}"
    return request.getfixturevalue("postgis_url")


@pytest.fixture
def database(database_url):
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def make_model():
    """Return a function that makes a model with random vectors on a grid of 240 pixels."""
    return patch_model
