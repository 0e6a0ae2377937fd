"""Fixtures for all tests."""

import datetime as dt
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from real_geoserver import add_options

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several processes one thread for products of matrices.

    With more threads than cores they would wait for each other, spinning.
    """
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function that finds a folder of real sample data, or skips the test."""

    def find(name: str) -> Path:
        folder = SHARED_DATA / name
        if not folder.is_dir():
            pytest.skip(f"real sample data {name} is not beside this checkout")
        return folder

    return find


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """Run an S3 server for all tests that want one, and return its address."""
    from buckets import s3_server

    with s3_server() as url:
        yield url


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a bucket of the test's own, on the server that boto3 finds in the environment."""
    from buckets import CREDENTIALS, make_bucket

    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": s3_url}.items():
        monkeypatch.setenv(name, value)
    name = f"test-{uuid.uuid4().hex}"
    make_bucket(name)
    return name


@pytest.fixture
def write_product(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small Sentinel-2 product with random bands.

    ``bands`` replaces or (as None) removes some of them; ``tiles`` gives the names of granules,
    side by side; the other options are those of ``candela.synthetic.sentinel2_names.Identity``.
    """
    from affine import Affine

    from candela.synthetic.sentinel2 import Tile, demo_grid, write_safe
    from candela.synthetic.sentinel2_names import Identity
    from candela.synthetic.spectra import BANDS

    def write(*, size=120, bands=None, classes=None, archive=False, tiles=("31TCJ",), **options):
        random = np.random.default_rng(5)
        values = {
            band.name: random.integers(
                1100, 6000, (size * 10 // band.pixel_m,) * 2, dtype=np.uint16
            )
            for band in BANDS
        } | (bands or {})
        values = {name: array for name, array in values.items() if array is not None}
        grid = demo_grid(size)
        granules = [
            Tile(
                name,
                grid._replace(transform=grid.transform @ Affine.translation(index * size, 0)),
                values,
                classes,
            )
            for index, name in enumerate(tiles)
        ]
        sensing = dt.datetime(2021, 6, 5, 10, 50, 31, tzinfo=dt.UTC)
        identity = Identity(**({"sensing": sensing, "baseline": "02.14"} | options))
        return write_safe(tmp_path, identity, granules, archive=archive)

    return write
