"""From the operator's settings to rows of the user who asked."""

import time

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from candela.contract.documents import read_result
from candela.contract.job import LOG_FILE, JobDocument, Reference, Staging, job_file, job_key
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.gateway.runner import make_runner
from candela.patches.query.selection import PatchFilter, find_patches
from candela.patches.store.database import open_database
from candela.runners.base import Limits
from candela.services.dmg_df.pair import OPTICAL_BANDS
from candela.settings import Settings
from candela.spec import load_specs
from candela.storage import open_storage

WAIT_S = 120


@pytest.fixture
def images(tmp_path):
    grid = Grid(CRS.from_epsg(32633), Affine(10, 0, 5e5, 0, -10, 5e6), Shape(120, 120))
    random = np.random.default_rng(1)
    for name, bands, dtype, values in (
        ("s1", ("VV", "VH"), "float32", random.gamma(4, 0.02, (2, 120, 120))),
        ("s2", OPTICAL_BANDS, "uint16", random.integers(500, 3000, (10, 120, 120))),
    ):
        path = tmp_path / f"{name}.tif"
        with create_image(path, grid, dtype=dtype, nodata=0, bands=bands) as image:
            image.write(values.astype(dtype))
    return {name: [Reference(href=(tmp_path / f"{name}.tif").as_uri())] for name in ("s1", "s2")}


@pytest.fixture
def finish(tmp_path, monkeypatch, images):
    """Return a function that lets a runner do a job: its result, its log and job.json."""

    def call(url, **inputs):
        monkeypatch.setenv("CANDELA_PATCHES_DATABASE", url)
        settings = Settings.from_environment(data=tmp_path / "data")
        assert url not in repr(settings)
        storage = open_storage(settings.storage_url)
        runner = make_runner(settings, storage, load_specs())
        job = JobDocument(
            id="job",
            process="DMG-DF",
            version="1.0.0",
            owner="ada",
            inputs=images | inputs,
            staging=Staging(allowed_folders=(str(tmp_path),)),
        )
        storage.write(job_key("job", job_file(1)), job.to_json().encode())
        try:
            reference = runner.submit(job, Limits(cpu=1, memory_bytes=4 * 2**30, timeout_s=WAIT_S))
            end = time.monotonic() + WAIT_S
            while runner.state(reference).is_running and time.monotonic() < end:
                time.sleep(0.1)
        finally:
            runner.close()
        told = [storage.read(job_key("job", name)).decode() for name in (LOG_FILE, job_file(1))]
        return read_result(storage, "job"), *told

    return call


def test_a_job_writes_rows_of_who_asked_and_tells_no_secret(finish, database_url):
    result, log, document = finish(database_url)
    assert result.status == "succeeded", log
    database = open_database(database_url)
    with database.acting_for("ada") as connection:
        found = find_patches(connection, "ada", PatchFilter())
    database.close()
    assert {(patch.owner, patch.size) for patch in found} == {("ada", 120), ("ada", 60)}
    for text in (log, document):
        assert "secret" not in text
        assert database_url not in text


def test_a_job_cannot_write_for_somebody_else(finish, tmp_path):
    result, _, _ = finish(f"sqlite:///{tmp_path / 'patches.db'}", owner=["bob"])
    assert result.status == "failed"
    assert (result.error.kind, result.error.locator) == ("InputError", "owner")
    assert not (tmp_path / "patches.db").exists()


def test_a_database_that_is_away_is_no_fault_of_the_job(finish):
    """There is no result: the dispatcher tries again later; the log has no password."""
    result, log, _ = finish("postgresql+psycopg://me:secret@127.0.0.1:9/patches")
    assert result is None
    assert "refuses" in log
    assert "me:***@127.0.0.1" in log
    assert "secret" not in log
