"""New buildings and harm to vegetation are found; light, atmosphere and clouds do not spoil it."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from candela.eo.progress import silent
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.raster.registration import Shift, translate
from candela.eo.raster.smoothing import gaussian
from candela.errors import InputError
from candela.models.encoder import BANDS
from candela.services.change_detect import run
from candela.spec import load_spec, services_folder
from candela.synthetic.damage import HARMED, choose_places, harm, vegetated

SIZE = 224
DEFAULTS = load_spec(services_folder() / "change_detect" / "process.yaml").defaults
TEN_METRE = ("B02", "B03", "B04", "B08")
# Reflectance times 10 000 in the bands of the encoder.
SPECTRA = np.array(
    [
        [300, 450, 350, 750, 1900, 2300, 2500, 2600, 1300, 650],  # forest
        [400, 700, 500, 1100, 2800, 3400, 3700, 3800, 2000, 1000],  # vineyard
        [500, 850, 700, 1300, 2500, 2900, 3100, 3200, 2400, 1400],  # meadow
        [900, 1200, 1500, 1800, 2000, 2150, 2300, 2400, 3000, 2600],  # bare soil
        [1100, 1250, 1350, 1450, 1600, 1700, 1800, 1850, 2000, 1900],  # village
    ]
)


def field(random, sigma):
    noise = gaussian(random.normal(0, 1, (SIZE, SIZE)).astype(np.float32), sigma)
    return (noise - noise.mean()) / noise.std()


@pytest.fixture(scope="module")
def country():
    """Return a landscape and the same in another season, both without noise."""
    random = np.random.default_rng(4)
    kinds = np.digitize(field(random, 7), [-0.8, -0.1, 0.5, 1.1])
    texture = 1 + 0.06 * field(random, 1.2) + 0.06 * field(random, 4)
    before = np.moveaxis(SPECTRA[kinds], -1, 0) * texture
    # each plant in its own way, and each field a little
    factors = np.ones(SPECTRA.shape)
    factors[:3, 3:8] = random.uniform(0.75, 1.3, (3, 1))
    factors[:3, :3] = random.uniform(0.85, 1.2, (3, 1))
    after = before * np.moveaxis(factors[kinds], -1, 0) * (1 + 0.03 * field(random, 5))
    return before, after


def sense(reflectance, seed):
    noise = np.random.default_rng(seed).normal(0, 20, reflectance.shape)
    return np.clip(np.rint(reflectance + noise), 1, 65535).astype(np.uint16)


@pytest.fixture
def detect(tmp_path):
    """Return a function that gives the change map of two images."""

    def call(before, after, model, bands=BANDS):
        grid = Grid(
            rasterio.CRS.from_epsg(32631), Affine(10, 0, 0, 0, -10, 0), Shape(*before.shape[1:])
        )
        paths = {name: tmp_path / f"{name}.tif" for name in ("before", "after")}
        for path, image in zip(paths.values(), (before, after), strict=True):
            with create_image(path, grid, dtype="uint16", nodata=0, bands=bands) as sink:
                sink.write(image)
        options = DEFAULTS | {"model": model}
        outputs = run(**paths, **options, workdir=tmp_path, progress=silent)
        with rasterio.open(outputs["change"]) as dataset:
            return dataset.read(1)

    return call


def chosen_bands(image, bands):
    return image[[BANDS.index(band) for band in bands]]


@pytest.mark.parametrize(
    ("model", "bands"), [("ten_metre", TEN_METRE), ("ten_metre", BANDS), ("fast", BANDS)]
)
def test_a_new_building_is_found_by_the_other_models(detect, country, model, bands):
    before, after = country
    built = after.copy()
    place = (slice(100, 116), slice(60, 74))
    built[:, place[0], place[1]] = 2900
    images = (chosen_bands(sense(image, seed), bands) for seed, image in enumerate((before, built)))
    change = detect(*images, model, bands)
    inside = np.zeros((SIZE, SIZE), bool)
    inside[place] = True
    assert change[inside].mean() > 0.3
    assert (change[gaussian(inside.astype(np.float32), 4) < 0.01] > 0.5).mean() < 0.01


@pytest.mark.parametrize("kind", HARMED)
def test_harm_to_vegetation_is_found_among_seasonal_change(detect, country, kind):
    before, after = (sense(image, seed) for seed, image in enumerate(country))
    random = np.random.default_rng(7)
    places = choose_places(vegetated(before) & vegetated(after), [2000, 300, 60], random)
    assert len(np.unique(places)) == 4
    harmed = harm(after, kind, places > 0, 0.8, random)
    change = detect(before, harmed, "vegetation")
    assert all((change[places == number] >= 0.5).mean() > 0.5 for number in (1, 2, 3))
    far = gaussian((places > 0).astype(np.float32), 4) < 0.01
    assert (change[far] >= 0.5).mean() < 0.02


@pytest.mark.parametrize("kind", HARMED)
def test_the_default_model_finds_loss_of_vegetation_and_buildings(detect, country, kind):
    before, after = (sense(image, seed) for seed, image in enumerate(country))
    built = after.copy()
    built[:, 30:44, 160:174] = 2900
    free = vegetated(before) & vegetated(after)
    free[20:54, 150:184] = False
    random = np.random.default_rng(7)
    places = choose_places(free, [1500, 300, 100], random)
    harmed = harm(built, kind, places > 0, 0.6, random)
    change = detect(before, harmed, DEFAULTS["model"])
    assert DEFAULTS["model"] == "generic"
    assert all((change[places == number] >= 0.5).mean() > 0.5 for number in (1, 2, 3))
    changed = places > 0
    changed[30:44, 160:174] = True
    assert change[30:44, 160:174].mean() > 0.5
    far = gaussian(changed.astype(np.float32), 4) < 0.01
    assert (change[far] >= 0.5).mean() < 0.02


def test_loss_of_vegetation_has_a_direction_in_time(detect, country):
    before, after = (sense(image, seed) for seed, image in enumerate(country))
    random = np.random.default_rng(7)
    places = choose_places(vegetated(before) & vegetated(after), [800, 300], random) > 0
    harmed = harm(after, "windthrow", places, 0.6, random)
    assert (detect(before, harmed, "generic")[places] >= 0.5).mean() > 0.5
    assert (detect(harmed, before, "generic")[places] >= 0.5).mean() < 0.2


def test_haze_on_one_date_is_not_change(detect, country):
    before, after = country
    down = np.linspace(0, 1, SIZE)[:, None] * np.ones(SIZE)
    haze = 600 * np.array([1, 0.8, 0.65, 0.5, 0.4, 0.35, 0.3, 0.3, 0.1, 0.05])
    hazy = after * 0.9 + haze[:, None, None] * (0.5 + 0.5 * down)
    change = detect(sense(before, 1), sense(hazy, 2), "fast")
    assert (change > 0.5).mean() < 0.01


def test_a_sub_pixel_shift_is_not_change(detect, country):
    before, after = country
    moved = translate(after.astype(np.float32), Shift(0.3, -0.6))
    change = detect(sense(before, 1), sense(moved, 2), "fast")
    assert (change[8:-8, 8:-8] > 0.5).mean() < 0.005


def test_nodata_borders_do_not_show_in_what_is_left(detect, country):
    before, after = country
    first, second = sense(before, 1), sense(after, 2)
    whole = detect(first, second, "fast")
    corner = np.add.outer(np.arange(SIZE), np.arange(SIZE)) < 100
    change = detect(first * ~corner, second, "fast")
    np.testing.assert_array_equal(np.isnan(change), corner)
    assert (change[~corner] > 0.5).mean() < (whole > 0.5).mean() + 0.005


@pytest.mark.parametrize(
    ("model", "told"), [("ten_metre", 0.5), ("vegetation", 0.9), ("fast", 0.4)]
)
def test_a_cloud_without_a_mask_is_change_and_does_not_spoil_the_rest(detect, country, model, told):
    before, after = country
    cloud = gaussian(np.pad(np.ones((50, 50), np.float32), ((20, 154), (150, 24))), 4)
    cloudy = after * (1 - cloud) + 8000 * cloud
    clear = detect(sense(before, 1), sense(after, 2), model)
    change = detect(sense(before, 1), sense(cloudy, 2), model)
    far = gaussian(cloud, 12) < 1e-3
    assert (change[cloud > 0.5] > 0.5).mean() > told
    assert np.abs(change - clear)[far].mean() < 0.02


def test_a_missing_ten_metre_band_is_named(detect, country):
    before, after = country
    bands = ("B02", "B03", "B04")
    images = (chosen_bands(sense(image, 1), bands) for image in (before, after))
    with pytest.raises(InputError, match=r"band B08 missing in before\.tif \(bands: B02, B03"):
        detect(*images, "ten_metre", bands)
