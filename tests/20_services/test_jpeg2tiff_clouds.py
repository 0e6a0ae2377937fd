"""Clouds by a network: tiling with simple networks, and the real one where it is installed."""

import datetime as dt
import sys

import cv2
import numpy as np
import pytest
import rasterio

from candela.eo.s2.mask import Usability
from candela.eo.s2.metadata import BANDS
from candela.errors import InputError
from candela.models.clouds import TILE, USABILITY, CloudModel, load_cloud_model
from candela.services.jpeg2tiff import run
from candela.synthetic.scene import Weather, make_pair
from candela.synthetic.sentinel2 import Tile, demo_grid, tile_of, write_safe
from candela.synthetic.sentinel2_names import Identity

SIX = ("B02", "B03", "B04", "B08", "B11", "B12")
SIZE = 600
CLOUDY = Weather(dt.date(2022, 6, 28), haze=0.01, clouds=0.08)


@pytest.fixture
def mask_of(tmp_path):
    def read(product, mask, **options):
        settings = {
            "bands": ["B02", "B11"], "area": None, "resolution": 10, "resampling": "bilinear",
            "cloud_margin": 0.0, "workdir": tmp_path, "progress": lambda *_: None,
        }  # fmt: skip
        with rasterio.open(run(product=product, mask=mask, **settings | options)["mask"]) as image:
            return image.read(1)

    return read


def brightness(dark=1000, bright=5000):
    """Return a model that calls what is bright cloud, what is dark shadow."""

    def network(tile):
        assert tile.shape == (2, TILE, TILE)
        mean = tile.mean(axis=0)
        return 9 * np.stack([np.full_like(mean, 0.5), mean > bright, mean < dark]).astype("f4")

    ones = np.ones((2, 1, 1), np.float32)
    return CloudModel(("B02", "B03"), 0 * ones, ones, network)


@pytest.mark.parametrize("shape", [(600, 460), (100, 300), (256, 256), (1, 7)])
def test_tiles_join_to_the_classes_of_the_whole_image(shape):
    image = np.random.default_rng(1).integers(100, 9000, (1, *shape), np.uint16).repeat(2, axis=0)
    expected = np.zeros(shape, np.uint8)
    expected[image[0] > 5000], expected[image[0] < 1000] = Usability.CLOUD, Usability.CLOUD_SHADOW
    np.testing.assert_array_equal(brightness().classify(image), expected)


def test_nodata_is_no_shadow():
    image = np.full((2, 300, 300), 500, np.uint16)
    image[:, :, 40:] = 0
    found = brightness().classify(image)
    assert (found[:, :40] == Usability.CLOUD_SHADOW).all()
    assert (found[:, 40:] == Usability.USABLE).all()


def test_overlapping_tiles_are_blended():
    """Only the second tile sees cloud: its classes begin in the middle of the overlap."""
    seen = []

    def network(tile):
        seen.append(float(tile.min()))
        scores = np.zeros((3, TILE, TILE), np.float32)
        scores[1 if tile.max() > 1 else 0] = 9
        return scores

    ones = np.ones((1, 1, 1), np.float32)
    image = np.ones((1, TILE, 400), np.uint16)
    image[..., -1] = 2
    found = CloudModel(("B02",), 0 * ones, ones, network).classify(image)
    assert len(seen) == 2
    assert (found[:, :195] == Usability.USABLE).all()  # tiles at 0 and 144 meet at 200
    assert (found[:, 205:] == Usability.CLOUD).all()


def test_without_the_package_the_other_masks_are_named(write_product, mask_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "ukis_csmask", None)
    with pytest.raises(InputError, match=r"extra clouds.* choose the mask cloud") as caught:
        mask_of(write_product(level="L1C"), "model")
    assert caught.value.locator == "mask"


# What follows needs the real network.


@pytest.fixture
def installed():
    pytest.importorskip("ukis_csmask", reason="the extra clouds is not installed")


@pytest.fixture(scope="module")
def scenes():
    """The same cloudy date at the surface and at the top of the atmosphere."""
    return {
        level: make_pair(seed=3, size=SIZE, late=CLOUDY, top=level == "L1C").after
        for level in ("L2A", "L1C")
    }


@pytest.fixture
def write(tmp_path):
    def write(scene, level, **without):
        identity = Identity(dt.datetime(2022, 6, 28, 10, 50, 31, tzinfo=dt.UTC), level=level)
        grid = demo_grid(SIZE)
        tile = tile_of(scene, grid, identity)
        bands = {name: tile.bands[name] for name in SIX}
        classes = without.get("classes", tile.classification)
        return write_safe(tmp_path, identity, [Tile(tile.name, grid, bands, classes)])

    return write


def test_level_1c_without_any_cloud_information_has_clouds_and_shadows(
    installed, scenes, write, mask_of
):
    product = write(scenes["L1C"], "L1C", classes=None)
    found = mask_of(product, "model")
    truth = scenes["L1C"].classification.repeat(2, axis=0).repeat(2, axis=1)
    assert (found == Usability.CLOUD)[truth == 9].mean() > 0.9
    assert (found == Usability.CLOUD_SHADOW)[truth == 3].mean() > 0.7
    assert (found != Usability.USABLE)[truth == 4].mean() < 0.05
    coarse = mask_of(product, "model", resolution=60)
    assert (coarse == found[3::6, 3::6]).mean() > 0.98


def test_both_is_the_products_mask_and_what_the_network_adds(installed, scenes, write, mask_of):
    classes = np.where(scenes["L2A"].classification == 3, 4, scenes["L2A"].classification)
    classes[:60, :60] = 11
    product = write(scenes["L2A"], "L2A", classes=classes)
    own, seen, both = (mask_of(product, mask) for mask in ("cloud", "model", "both"))
    assert (seen == Usability.CLOUD_SHADOW).any()
    np.testing.assert_array_equal(both, np.where(own == Usability.USABLE, seen, own))


def test_the_classes_are_those_of_the_package_itself(installed, scenes):
    """But near the edges, where it mirrors the image."""
    package = pytest.importorskip("ukis_csmask.mask", reason="the extra clouds is not installed")
    image = np.stack(
        [
            cv2.resize(scenes["L2A"].bands[name], (TILE, TILE), interpolation=cv2.INTER_AREA)
            for name in SIX
        ]
    )
    theirs = package.CSmask(
        np.ascontiguousarray(np.moveaxis(image, 0, -1) / np.float32(1e4)),
        ["blue", "green", "red", "nir", "swir16", "swir22"],
        product_level="l2a",
        providers=["CPUExecutionProvider"],
    ).csm[..., 0]
    same = load_cloud_model("L2A", SIX).classify(image) == USABILITY[theirs]
    assert same[40:-40, 40:-40].mean() > 0.97


def test_a_product_without_the_bands_is_refused(installed, write_product, mask_of):
    with pytest.raises(InputError, match="B08 is missing, which the cloud model needs"):
        product = write_product(bands=dict.fromkeys(set(BANDS) - {"B02", "B03", "B04"}))
        mask_of(product, "model", bands=["B02"])
