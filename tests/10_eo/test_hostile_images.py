"""Images that claim much, name other files, or lie nowhere: refused, and nobody is asked."""

import time
from pathlib import Path

import pytest
from hostile_images import IMAGES
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from webserver import web_server

from candela.eo.raster.images import gdal_environment, open_image
from candela.errors import InputError

READABLE = {"directories.tif", "long-text.tif"}  # odd, but images
REASONS = {
    "far.tif": "lies outside", "nan.tif": "not finite", "inf.tif": "not finite",
    "huge.tif": "claims 2147483647 x 2147483647 pixels", "huge-strips.tif": "claims",
    "huge-sparse.tif": "claims", "large-sparse.tif": "claims", "huge.jp2": "claims",
    "large-tile.tif": "has blocks of 34359738368 bytes", "vrt.tif": "not recognized",
    "vrt.jp2": "not recognized", "overviews.tif": "overviews in another file",
    "fragments.jp2": "No code-stream", "cycle.tif": "damaged", "bands.tif": "damaged",
}  # fmt: skip


@pytest.fixture(scope="module")
def web():
    with web_server() as served:
        yield served


@pytest.mark.filterwarnings("ignore", category=NotGeoreferencedWarning)
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_that_claims_much_is_refused_soon_and_asks_nobody(tmp_path, web, name) -> None:
    path = tmp_path / name
    path.write_bytes(IMAGES[name](web.url))
    start = time.monotonic()
    if name in READABLE:
        assert _look(path) == 64 * 64
    else:
        with pytest.raises(InputError, match=REASONS.get(name, ".")) as caught:
            _look(path)
        assert str(tmp_path) not in caught.value.message
    assert time.monotonic() - start < 30
    assert web.asked == []


def _look(path: Path) -> int:
    with gdal_environment(), open_image(path) as dataset:
        dataset.tags()
        rows, cols = min(512, dataset.height), min(512, dataset.width)
        return dataset.read([1], window=Window(0, 0, cols, rows)).size


def test_a_failure_to_write_is_not_told_of_as_a_damaged_input(tmp_path) -> None:
    """The disk may be full, or a process may be wrong: neither is the user's mistake."""
    import rasterio
    from rasterio.errors import RasterioIOError

    with pytest.raises(RasterioIOError), gdal_environment():
        rasterio.open(tmp_path / "none" / "a.tif", "w", driver="GTiff", width=1, height=1,
                      count=1, dtype="uint8")  # fmt: skip
