"""The synthetic products: tests and demonstrations stand on them."""

import numpy as np
import pytest
import rasterio

from candela.eo.s2.bands import open_band
from candela.eo.s2.product import open_product
from candela.synthetic.damage import HARMED, choose_places, harm
from candela.synthetic.landscape import Change
from candela.synthetic.scene import EARLY, Weather, make_pair
from candela.synthetic.sentinel2 import make_products
from candela.synthetic.spectra import BANDS

SIZE = 480


@pytest.fixture(scope="module")
def pair():
    return make_pair(seed=3, size=SIZE)


def test_every_band_has_its_own_pixel_size(pair):
    for scene in (pair.before, pair.after):
        shapes = {name: values.shape for name, values in scene.bands.items()}
        assert shapes == {band.name: (SIZE * 10 // band.pixel_m,) * 2 for band in BANDS}


def test_the_pixel_sizes_show_the_same_ground(pair):
    fine = pair.before.bands["B08"].astype(float)
    means = fine.reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3))
    assert np.corrcoef(means.ravel(), pair.before.bands["B8A"].ravel())[0, 1] > 0.99


def test_the_same_seed_gives_the_same_pair(pair):
    again = make_pair(seed=3, size=SIZE)
    np.testing.assert_array_equal(again.after.bands["B04"], pair.after.bands["B04"])
    np.testing.assert_array_equal(again.truth, pair.truth)


def test_another_seed_gives_another_place(pair):
    other = make_pair(seed=4, size=SIZE)
    assert (
        np.corrcoef(other.before.bands["B04"].ravel(), pair.before.bands["B04"].ravel())[0, 1] < 0.5
    )


def test_what_changes_changes_more_than_the_rest(pair):
    red = [scene.bands["B04"].astype(float) for scene in (pair.before, pair.after)]
    difference = np.abs(np.log(red[1] / red[0]))
    assert 0.001 < (pair.truth > 0).mean() < 0.1
    assert difference[pair.truth > 0].mean() > 2 * difference[pair.truth == 0].mean()


def test_a_new_reservoir_is_dark_in_the_infrared(pair):
    flooded = pair.truth == Change.RESERVOIR
    assert flooded.any()
    assert np.median(pair.after.bands["B08"][flooded]) < 500
    assert np.median(pair.before.bands["B08"][flooded]) > 1500


def test_clouds_are_bright_and_classified():
    cloudy = Weather(EARLY.day, clouds=0.2)
    scene = make_pair(seed=3, size=SIZE, early=cloudy).before
    fine = np.isin(scene.classification, [8, 9]).repeat(2, axis=0).repeat(2, axis=1)
    assert 0.05 < fine.mean() < 0.25
    assert scene.bands["B02"][fine].mean() > 3 * scene.bands["B02"][~fine].mean()
    assert (scene.classification == 3).any()


def test_the_top_of_the_atmosphere_is_bluer_than_the_ground(pair):
    top = make_pair(seed=3, size=SIZE, top=True).before
    blueness = [
        scene.bands["B02"].mean() / scene.bands["B04"].mean() for scene in (top, pair.before)
    ]
    assert blueness[0] > 1.2 * blueness[1]


@pytest.mark.parametrize("size", [0, 100, -6])
def test_a_size_that_does_not_fit_all_bands_is_refused(size):
    with pytest.raises(ValueError, match="positive multiple of 6"):
        make_pair(seed=1, size=size)


@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_products_open_and_show_the_scene(tmp_path, level):
    products = make_products(tmp_path, seed=3, size=120, level=level)
    scenes = make_pair(seed=3, size=120, top=level == "L1C")
    for path, scene in zip(products[:2], (scenes.before, scenes.after), strict=True):
        granule = open_product(path).granule()
        assert granule.metadata.level == level
        with open_band(granule, "B03", granule.base_grid, "nearest") as reader:
            found = reader.read(rasterio.windows.Window(0, 0, 120, 120))
        np.testing.assert_array_equal(found, scene.bands["B03"])


def test_the_truth_lies_on_the_grid_of_the_products(tmp_path):
    products = make_products(tmp_path, seed=3, size=120)
    with rasterio.open(products.truth) as truth:
        grid = open_product(products.before).granule().base_grid
        assert truth.transform == grid.transform
        assert truth.shape == grid.shape


def test_places_of_harm_have_their_sizes_and_do_not_touch():
    green = np.zeros((120, 150), bool)
    green[10:, :140] = True
    places = choose_places(green, [900, 100, 9], np.random.default_rng(1))
    assert [(places == number).sum() for number in (1, 2, 3)] == [900, 100, 9]
    assert not places[~green].any()


def test_a_place_without_room_is_left_out():
    green = np.zeros((60, 60), bool)
    green[30:34, 30:34] = True
    places = choose_places(green, [900, 16], np.random.default_rng(1))
    assert np.unique(places).tolist() == [0, 2]


@pytest.mark.parametrize("kind", HARMED)
def test_harm_takes_leaves_from_where_it_is_done_and_leaves_the_rest(kind):
    meadow = np.array([400, 700, 500, 1100, 2800, 3400, 3700, 3800, 2000, 1000])[:, None, None]
    image = np.tile(meadow, (1, 20, 30)).astype(np.uint16)
    harmed = np.zeros((20, 30), bool)
    harmed[5:15, 5:15] = True
    weak, strong = (
        harm(image, kind, harmed, strength, np.random.default_rng(2)).astype(int)
        for strength in (0.3, 0.8)
    )
    np.testing.assert_array_equal(strong[:, ~harmed], image[:, ~harmed])
    infrared = 6
    assert (strong[infrared][harmed] < weak[infrared][harmed]).all()
    assert (weak[infrared][harmed] < 3700).all()
