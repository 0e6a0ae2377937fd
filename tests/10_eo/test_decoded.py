import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from candela.eo.s2.decoded import SMALLEST_UNIT, DecodedImage

SHAPE = (1300, 1100)


class Recorder:
    """A dataset that remembers what is read of it."""

    def __init__(self, dataset):
        self._dataset = dataset
        self.windows = []

    def __getattr__(self, name):
        return getattr(self._dataset, name)

    def read(self, *indexes, window):
        self.windows.append(window)
        return self._dataset.read(*indexes, window=window)


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 9000, SHAPE, np.uint16)


@pytest.fixture(params=["tiled", "striped"])
def dataset(request, tmp_path, pixels):
    path = tmp_path / "image.tif"
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    profile = layout if request.param == "tiled" else {"blockysize": 7}
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint16", count=1, height=SHAPE[0], width=SHAPE[1],
        crs="EPSG:32631", transform=Affine(10, 0, 3e5, 0, -10, 5e6), **profile,
    ) as image:  # fmt: skip
        image.write(pixels, 1)
    with rasterio.open(path) as image:
        yield Recorder(image)


def test_windows_in_any_order_show_the_image_and_nothing_is_read_twice(dataset, pixels, tmp_path):
    decoded = DecodedImage(dataset, tmp_path)
    random = np.random.default_rng(4)
    for _ in range(40):
        row, col = random.integers(0, SHAPE[0] - 300), random.integers(0, SHAPE[1] - 300)
        found = decoded.read(Window(col, row, 300, 290))
        np.testing.assert_array_equal(found, pixels[row : row + 290, col : col + 300])
    seen = np.zeros(SHAPE, int)
    for window in dataset.windows:
        seen[window.toslices()] += 1
        assert window.height >= min(SMALLEST_UNIT, SHAPE[0] - window.row_off)
    assert seen.max() == 1


def test_what_is_not_asked_for_is_not_read(dataset, tmp_path):
    DecodedImage(dataset, tmp_path).read(Window(10, 10, 20, 20))
    assert len(dataset.windows) == 1


def test_the_scratch_file_is_gone_at_once_and_what_was_read_can_be_changed(dataset, tmp_path):
    before = set(tmp_path.iterdir())
    decoded = DecodedImage(dataset, tmp_path)
    assert set(tmp_path.iterdir()) == before
    window = Window(0, 0, 9, 9)
    first = decoded.read(window)
    first[:] = 0
    assert decoded.read(window).any()
