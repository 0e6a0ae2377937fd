"""Jobs that really run, and layers that go nowhere."""

import pytest
import sqlalchemy as sa
from databases import find_binaries, postgres_server

from candela.contract.job import Staging
from candela.errors import PublicationError
from candela.jobs.catalogue import ProcessCatalogue
from candela.jobs.dispatcher import Dispatcher
from candela.jobs.principal import SYSTEM
from candela.jobs.service import JobService
from candela.jobs.store import JobStore
from candela.publish.base import LayerLinks
from candela.runners.local import LocalRunner
from candela.settings import Limits, Settings
from candela.spec import load_specs
from candela.storage import open_storage


class Board:
    """A publisher that only remembers; the real one has tests of its own."""

    reads_in_place = True
    shows_polygons = True

    def __init__(self):
        self.shown = {}
        self.is_broken = False

    def start(self): ...

    def stop(self): ...

    def publish(self, layer):
        if self.is_broken:
            raise PublicationError("the board is broken")
        self.shown[layer.name] = layer
        return LayerLinks(f"http://map/{layer.name}/wms", f"http://map/{layer.name}/wcs")

    def remove(self, job_id):
        self.shown = {k: v for k, v in self.shown.items() if v.job_id != job_id}

    def jobs(self):
        return {layer.job_id for layer in self.shown.values()}

    def layers(self):
        return list(self.shown.values())


class Engine:
    """A job service with a dispatcher that moves when told."""

    def __init__(
        self,
        folder,
        database,
        *,
        timeout=60,
        memory="256Mi",
        running_jobs=2,
        place="here",
        variables=None,
        base_url="",
    ):
        specs = load_specs()
        echo = specs["Echo"]
        run = echo.run.model_copy(update={"timeout": timeout, "memory": memory})
        specs["Echo"] = echo.model_copy(update={"run": run})
        limits = Limits.load(Settings().config).model_copy(update={"running_jobs": running_jobs})
        storage = open_storage((folder / "storage").as_uri())
        self.database = database
        self.board = Board()
        store = JobStore(database)
        self.service = JobService(
            ProcessCatalogue(specs, store.database, max_age_s=0),
            store,
            storage,
            LocalRunner(storage, folder / place, grace_s=1, environment=variables),
            self.board,
            limits,
            base_url=base_url,
        )
        self.store = self.service.store
        self.dispatcher = Dispatcher(
            self.service, base_url="http://127.0.0.1:9", key=b"key", staging=Staging()
        )

    def close(self):
        self.service.runner.close()
        self.store.close()


@pytest.fixture(scope="session")
def postgres():
    """Return the URL of a PostgreSQL server, or skip the test."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine (Debian package postgresql)")
    with postgres_server(binaries) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Return the URL of an empty database: each test runs on both kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'jobs.db'}"
        return
    server = sa.create_engine(
        request.getfixturevalue("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    name = f"test_{tmp_path.name}".lower()[:60]
    with server.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def engine(tmp_path, database):
    """Return a function that makes engines on one folder; all are closed in the end."""
    engines = []

    def make(**options):
        engines.append(Engine(tmp_path, database, **options))
        return engines[-1]

    yield make
    for engine in engines:
        for job in engine.store.jobs():
            if not job.state.is_final:
                engine.service.dismiss(SYSTEM, job.id)
        engine.close()
