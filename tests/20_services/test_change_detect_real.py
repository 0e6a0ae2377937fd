"""Real pairs whose dates come from different tiles; skipped where the samples are absent."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.warp import Resampling, reproject

from candela.demo.accuracy import area_under_curve
from candela.eo.progress import silent
from candela.eo.raster.grid import Grid
from candela.eo.raster.images import create_image
from candela.errors import InputError
from candela.models.encoder import BANDS
from candela.services.change_detect import run
from candela.spec import load_spec, services_folder

DEFAULTS = load_spec(services_folder() / "change_detect" / "process.yaml").defaults


@pytest.fixture(params=["hongkong", "saclay_e"])
def city(request, shared_data):
    """Return the folder of a city that was seen in another tile on each date."""
    return shared_data("oscd-train") / request.param


def stack(path, folder, grid):
    """Put the bands of one date into one image of a grid."""
    with create_image(path, grid, dtype="uint16", nodata=0, bands=BANDS) as sink:
        for index, band in enumerate(BANDS, 1):
            values = np.zeros(grid.shape, np.float32)
            with rasterio.open(folder / f"{band}.tif") as source:
                reproject(
                    source.read(1).astype(np.float32), values, src_transform=source.transform,
                    src_crs=source.crs, src_nodata=0, dst_transform=grid.transform,
                    dst_crs=grid.crs, dst_nodata=0, resampling=Resampling.bilinear,
                )  # fmt: skip
            sink.write(np.rint(values).astype(np.uint16), index)
    return path


def grid_of(folder):
    with rasterio.open(folder / "B02.tif") as blue:
        return Grid.of(blue)


def test_tiles_on_one_grid_are_compared_where_both_have_data(city, tmp_path):
    grid = grid_of(city / "imgs_1")
    paths = [
        stack(tmp_path / f"{name}.tif", city / images, grid)
        for name, images in (("before", "imgs_1"), ("after", "imgs_2"))
    ]
    outputs = run(
        before=paths[0], after=paths[1], **DEFAULTS | {"model": "fast"}, workdir=tmp_path,
        progress=silent,
    )  # fmt: skip
    with rasterio.open(outputs["change"]) as dataset:
        change = dataset.read(1)
    with rasterio.open(city / "cm" / f"{city.name}-cm.tif") as mask:
        truth = mask.read(1) == 2
    images = [rasterio.open(path).read() for path in paths]
    valid = np.all([(image > 0).all(axis=0) for image in images], axis=0)
    np.testing.assert_array_equal(np.isfinite(change), valid)
    statistics = json.loads(outputs["statistics"].read_text())
    assert statistics["shift_applied"]
    assert area_under_curve(change[valid], truth[valid]) > 0.88
    assert (change[valid] >= 0.5).mean() < 0.1


def test_tiles_on_grids_of_their_own_are_refused(city, tmp_path):
    paths = [
        stack(tmp_path / f"{images}.tif", city / images, grid_of(city / images))
        for images in ("imgs_1", "imgs_2")
    ]
    with pytest.raises(InputError, match="not on the grid of the earlier one") as caught:
        run(before=paths[0], after=paths[1], **DEFAULTS, workdir=tmp_path, progress=silent)
    assert caught.value.locator == "after"
