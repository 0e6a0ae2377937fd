"""Images of which only the header matters: looked into where they are, GDAL having no network."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from candela.contract.job import Reference, Staging
from candela.eo.progress import silent
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image, gdal_environment, open_image
from candela.errors import InputError, ReferenceUnavailableError
from candela.spec import ProcessSpec
from candela.storage.folder import FolderStorage
from candela.worker.ranged import PIECE_BYTES
from candela.worker.staging import Stager

OUTPUTS_URL = "http://gateway.test/outputs"
LOOPBACK = Staging(allowed_hosts=("127.0.0.1",), outputs_url=OUTPUTS_URL)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Return an image of some megabytes whose tags are at its end."""
    path = tmp_path_factory.mktemp("image") / "image.tif"
    grid = Grid(None, Affine(10, 0, 0, 0, -10, 0), Shape(1500, 1500))
    with create_image(path, grid, dtype="uint16", nodata=0, bands=["B02"]) as dataset:
        dataset.write(np.random.default_rng(1).integers(1, 9999, (1, 1500, 1500), "uint16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(TILE_ID="T31TCJ")
    return path


@pytest.fixture
def stage(tmp_path, storage):
    def stage(reference: Reference, *, staging=LOOPBACK, storage=storage):
        described = {"title": "x", "type": "raster", "access": "header"}
        spec = ProcessSpec.model_validate(
            {
                "identifier": "Test",
                "version": "1.0.0",
                "title": "Test",
                "abstract": "A test.",
                "inputs": {"x": described},
                "outputs": {"y": {"title": "y", "type": "string"}},
            }
        )
        stager = Stager(staging, storage, tmp_path / "inputs", silent)
        return stager.stage(spec, {"x": [reference]})["x"]

    return stage


def tile_of(source) -> str:
    with gdal_environment(), open_image(source) as dataset:
        return dataset.tags()["TILE_ID"]


def test_only_the_header_of_an_image_is_fetched(stage, web, answer, image):
    href = web.serve("/a/image.tif?key=1", answer(image.read_bytes(), gives_parts=True))
    source = stage(Reference(href=href, headers={"X-Key": "1"}))
    assert web.asked == []
    assert source.href == f"{web.url}/a/image.tif"  # results name it, without its key
    assert tile_of(source) == "T31TCJ"
    assert len(web.asked) * PIECE_BYTES < image.stat().st_size / 4
    assert all(asked.headers["X-Key"] == "1" for asked in web.asked)


def test_all_pixels_can_be_read(stage, web, answer, image):
    href = web.serve("/image.tif", answer(image.read_bytes(), gives_parts=True))
    with (
        gdal_environment(),
        open_image(stage(Reference(href=href))) as remote,
        open_image(image) as local,
    ):
        np.testing.assert_array_equal(remote.read(), local.read())


def test_many_images_are_looked_into_at_the_same_time(stage, web, answer, image):
    href = web.serve("/image.tif", answer(image.read_bytes(), gives_parts=True))
    source = stage(Reference(href=href))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(tile_of, [source] * 24)) == {"T31TCJ"}


def test_a_server_that_gives_no_parts_is_asked_for_the_whole(stage, web, answer, image):
    source = stage(Reference(href=web.serve("/image.tif", answer(image.read_bytes()))))
    assert tile_of(source) == "T31TCJ"
    assert [("Range" in asked.headers) for asked in web.asked] == [True, False]


def test_an_image_that_is_posted_for_is_fetched(stage, web, answer, image):
    href = web.serve("/coverage", answer(image.read_bytes()))
    source = stage(Reference(href=href, method="POST", body="<GetCoverage/>"))
    assert Path(source.location).read_bytes() == image.read_bytes()
    assert web.asked[0].body == b"<GetCoverage/>"


def test_a_missing_image_is_reported_when_it_is_opened(stage, web):
    source = stage(Reference(href=f"{web.url}/none.tif"))
    with pytest.raises(ReferenceUnavailableError, match="404"):
        tile_of(source)


def test_what_is_no_image_is_reported(stage, web, answer):
    href = web.serve("/x.tif", answer(b"GIF89a, or so", gives_parts=True))
    with pytest.raises(InputError, match=r"x\.tif cannot be read as an image"):
        tile_of(stage(Reference(href=href)))


def test_a_part_that_is_not_what_was_asked_for_is_not_taken(stage, web, answer):
    told = {"Content-Range": "bytes 0-99/100"}
    href = web.serve("/x.tif", answer(b"short", status=206, headers=told))
    with pytest.raises(ReferenceUnavailableError, match="another part"):
        tile_of(stage(Reference(href=href)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_inside_is_refused(stage, web, answer, image, host):
    href = web.serve("/image.tif", answer(image.read_bytes(), gives_parts=True))
    with pytest.raises(ReferenceUnavailableError, match="not a public address"):
        tile_of(stage(Reference(href=href.replace("127.0.0.1", host)), staging=Staging()))
    assert web.asked == []


def test_a_redirect_inside_is_not_followed(stage, web, answer):
    inside = web.url.replace("127.0.0.1", "127.0.0.2")  # not allowed here
    href = web.serve("/x.tif", answer(status=302, headers={"Location": f"{inside}/secret"}))
    with pytest.raises(ReferenceUnavailableError, match=r"127\.0\.0\.2:\d+: it is not a public"):
        tile_of(stage(Reference(href=href)))


def test_an_output_of_another_job_is_opened_where_it_is(stage, storage, image):
    storage.write("jobs/7/outputs/image.tif", image.read_bytes())
    source = stage(Reference(href=f"{OUTPUTS_URL}/7/image.tif"))
    assert source.href == f"{OUTPUTS_URL}/7/image.tif"
    assert tile_of(source) == "T31TCJ"


def test_an_output_in_a_storage_elsewhere_is_read_in_parts(stage, tmp_path, image):
    class Bucket(FolderStorage):
        parts = 0

        def local_path(self, *_) -> None:
            return None

        def open(self, *key_and_range):
            self.parts += 1
            return super().open(*key_and_range)

    bucket = Bucket(tmp_path / "bucket")
    bucket.write("jobs/7/outputs/image.tif", image.read_bytes())
    href = f"{OUTPUTS_URL}/7/image.tif"
    assert tile_of(stage(Reference(href=href), storage=bucket)) == "T31TCJ"
    assert 0 < bucket.parts * PIECE_BYTES < image.stat().st_size / 4
    with pytest.raises(ReferenceUnavailableError, match="does not exist"):
        stage(Reference(href=f"{OUTPUTS_URL}/7/none.tif"), storage=bucket)
