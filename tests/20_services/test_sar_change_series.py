"""Series of radar images: what is reported, when, and how often falsely."""

import datetime as dt
import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from candela.eo.progress import silent
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.errors import InputError
from candela.services.sar_change_series import run, series
from candela.services.sar_change_series.confirmation import (
    CONFIRMED,
    FINISHED,
    FIRST,
    NONE,
    PROVISIONAL,
    probability,
)
from candela.services.sar_change_series.detection import tail

NO_DATA = 255
LOOKS = 4.4
SHAPE = Shape(72, 80)
OBJECT = (slice(30, 36), slice(40, 46))
OPTIONS = {
    "state": None,
    "scale": "auto",
    "baseline": 6,
    "baseline_until": None,
    "seasons": "quarters",
    "false_alarms": 0.001,
    "confirmations": 3,
    "minimum_mapping_unit": 1,
}


class Scene:
    """Images of one place on every twelfth day: speckle over a mean that can be changed."""

    def __init__(self, folder, shape=SHAPE, *, seed=1, polarisations=("VV", "VH")):
        self.folder, self.shape, self.polarisations = folder, shape, polarisations
        self.random = np.random.default_rng(seed)
        self.mean = np.empty((len(polarisations), *shape), np.float32)
        self.mean[:] = 10 ** (self.random.normal(-10, 1.5, shape) / 10)
        self.mean[1:] /= 4

    def image(self, number, *, gain=1.0, name=None, date=None, **tags):
        date = date or dt.date(2023, 1, 5) + dt.timedelta(12 * number)
        size = (len(self.polarisations), *self.shape)
        values = self.mean * gain * self.random.gamma(LOOKS, 1 / LOOKS, size)
        path = self.folder / f"{name or f's1a_{number}'}_{date:%Y%m%d}.tif"
        tags = {
            "SENSING_TIME": f"{date}T06:00:00Z",
            "CALIBRATION": "gamma",
            "ORBIT_DIRECTION": "DES",
            "RELATIVE_ORBIT_NUMBER": "008",
        } | tags
        grid = Grid(CRS.from_epsg(32631), Affine(10, 0, 399960, 0, -10, 4800000), self.shape)
        with create_image(
            path, grid, dtype="float32", nodata=0, bands=self.polarisations, tags=tags
        ) as file:
            file.write(values.astype(np.float32))
        return path

    def step(self, decibels, where=OBJECT):
        gain = np.ones(self.shape)
        gain[where] = 10 ** (decibels / 10)
        return gain


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def mapped(tmp_path, images, folder="out", **options):
    workdir = tmp_path / folder
    workdir.mkdir()
    outputs = run(images=images, workdir=workdir, progress=silent, **OPTIONS | options)
    layers = {}
    for name in ("change", "status", "date", "direction", "magnitude", "state"):
        with rasterio.open(outputs[name]) as image:
            layers[name] = image.read()
    return outputs, layers, json.loads(outputs["statistics"].read_text())


def most_frequent(layer, where=OBJECT):
    values, counts = np.unique(layer[0][where], return_counts=True)
    return values[counts.argmax()]


def test_a_change_is_first_then_provisional_then_confirmed(tmp_path, scene):
    quiet = [scene.image(number) for number in range(8)]
    changed = [scene.image(number, gain=scene.step(-6)) for number in range(8, 11)]
    found = []
    for count in (1, 2, 3):
        _, layers, _ = mapped(tmp_path, [*quiet, *changed[:count]], f"after {count}")
        found.append(most_frequent(layers["status"]))
    assert found == [FIRST, PROVISIONAL, CONFIRMED]
    assert most_frequent(layers["date"]) == 20230411
    assert most_frequent(layers["direction"]) == 2
    inside = (slice(31, 35), slice(41, 45))  # windows around pixels at its edge see more
    assert np.median(layers["magnitude"][:, *inside]) == pytest.approx(-6, abs=1)
    assert np.median(layers["change"][0][OBJECT]) > 0.99


def test_a_change_that_is_over_is_finished(tmp_path, scene):
    images = [scene.image(number) for number in range(8)]
    images += [scene.image(number, gain=scene.step(8)) for number in range(8, 12)]
    images += [scene.image(number) for number in range(12, 16)]
    _, layers, _ = mapped(tmp_path, images)
    assert most_frequent(layers["status"]) == FINISHED
    assert most_frequent(layers["date"]) == 20230411
    assert most_frequent(layers["direction"]) == 1


def test_a_change_of_one_date_is_forgotten(tmp_path, scene):
    images = [scene.image(number) for number in range(8)]
    images += [scene.image(8, gain=scene.step(8)), *(scene.image(n) for n in range(9, 11))]
    _, layers, statistics = mapped(tmp_path, images)
    assert statistics["dates"][8]["status_pixels"]["first"] >= 30
    assert most_frequent(layers["status"]) == NONE
    assert most_frequent(layers["date"]) == 0


def test_nine_pixels_are_found(tmp_path, scene):
    where = (slice(30, 33), slice(40, 43))
    images = [scene.image(number) for number in range(8)]
    images.append(scene.image(8, gain=scene.step(7, where)))
    _, layers, _ = mapped(tmp_path, images)
    assert (layers["status"][0][where] == FIRST).all()


def test_dates_added_one_by_one_give_what_all_at_once_give(tmp_path, scene):
    images = [scene.image(n, gain=scene.step(-6 if n > 8 else 0)) for n in range(12)]
    _, together, _ = mapped(tmp_path, images, "together")
    state = None
    for number, image in enumerate(images):
        outputs, singly, _ = mapped(tmp_path, [image], f"date {number}", state=state)
        state = outputs["state"]
    for name, layer in together.items():
        np.testing.assert_array_equal(layer, singly[name], err_msg=name)


def test_blocks_give_what_the_whole_image_gives(tmp_path, monkeypatch):
    scene = Scene(tmp_path, Shape(200, 420))
    images = [scene.image(n, gain=scene.step(-6 if n > 6 else 0)) for n in range(8)]
    _, whole, _ = mapped(tmp_path, images, "whole")
    monkeypatch.setattr(series, "BLOCK", 192)
    _, blocks, _ = mapped(tmp_path, images, "blocks")
    for name, layer in whole.items():
        np.testing.assert_allclose(layer, blocks[name], atol=1, err_msg=name)
    np.testing.assert_array_equal(whole["status"], blocks["status"])


@pytest.mark.parametrize("level", [0.01, 0.001])
def test_false_alarms_are_as_many_as_asked_for(tmp_path, level):
    scene = Scene(tmp_path, Shape(420, 420), seed=3)
    images = [scene.image(number) for number in range(14)]
    _, _, statistics = mapped(tmp_path, images, false_alarms=level, baseline=10, confirmations=1)
    rates = [date["reported_fraction"] for date in statistics["dates"][10:]]
    assert 0.5 * level <= np.mean(rates) <= 2 * level


def test_a_shift_that_earlier_dates_had_is_no_change(tmp_path, scene):
    shifts = [0, 3, -3, 4, -4, 2, -2, 3]
    images = [scene.image(n, gain=10 ** (shift / 10)) for n, shift in enumerate(shifts)]
    images.append(scene.image(8, gain=10**-0.4))
    _, layers, _ = mapped(tmp_path, images)
    assert (layers["status"] != NONE).mean() < 0.01


def test_a_shift_of_a_steady_neighbourhood_is_change(tmp_path, scene):
    images = [scene.image(number) for number in range(10)]
    images.append(scene.image(10, gain=scene.step(-8, (slice(None), slice(0, 48)))))
    _, layers, _ = mapped(tmp_path, images)
    assert (layers["status"][0, :, :40] == FIRST).mean() > 0.8


def test_a_season_that_comes_back_is_no_change(tmp_path, scene):
    dates = [dt.date(year, month, 10) for year in (2021, 2022, 2023) for month in range(1, 13)]
    images = [
        scene.image(n, date=date, gain=scene.step(6 if date.month in {6, 7, 8} else 0))
        for n, date in enumerate(dates[:31])
    ]
    until = dt.date(2023, 1, 31)
    _, quarters, _ = mapped(tmp_path, images, "quarters", baseline_until=until)
    _, none, _ = mapped(tmp_path, images, "none", baseline_until=until, seasons="none")
    assert most_frequent(quarters["status"]) == NONE
    assert most_frequent(none["status"]) != NONE


def test_pixels_without_data_wait(tmp_path, scene):
    scene.mean[:, :10] = 0  # never seen: nodata is 0
    images = [scene.image(number) for number in range(8)]
    gone = scene.step(-6)
    gone[20:25] = np.nan
    images.append(scene.image(8, gain=gone))
    _, layers, statistics = mapped(tmp_path, images)
    assert (layers["status"][0, :10] == NO_DATA).all()
    assert np.isnan(layers["change"][0, :10]).all()
    assert (layers["status"][0, 20:25] != NO_DATA).all()
    assert statistics["dates"][8]["valid_pixels"] == (72 - 15) * 80


def test_a_change_without_data_today_keeps_status_and_probability(tmp_path, scene):
    images = [scene.image(n, gain=scene.step(8 if n > 7 else 0)) for n in range(10)]
    _, before, _ = mapped(tmp_path, images, "before")
    gone = scene.step(8)
    gone[25:45] = np.nan
    _, after, _ = mapped(tmp_path, [*images, scene.image(10, gain=gone)], "after")
    assert most_frequent(after["status"]) == PROVISIONAL
    for name in ("status", "change", "date", "direction", "magnitude"):
        np.testing.assert_array_equal(before[name][:, *OBJECT], after[name][:, *OBJECT])


def test_the_minimum_mapping_unit_leaves_small_changes_out(tmp_path, scene):
    images = [scene.image(number) for number in range(8)]
    images.append(scene.image(8, gain=scene.step(9)))
    _, layers, _ = mapped(tmp_path, images, minimum_mapping_unit=400)
    assert (layers["status"] == NONE).all()
    assert (layers["date"] == 0).all()


def test_one_polarisation_is_enough(tmp_path):
    scene = Scene(tmp_path, polarisations=("VH",))
    images = [scene.image(number) for number in range(8)]
    images.append(scene.image(8, gain=scene.step(9)))
    _, layers, _ = mapped(tmp_path, images)
    assert most_frequent(layers["status"]) == FIRST


def test_images_are_sorted_by_date(tmp_path, scene):
    images = [scene.image(number) for number in (2, 0, 1)]
    _, _, statistics = mapped(tmp_path, images)
    assert statistics["all_dates"] == ["2023-01-05", "2023-01-17", "2023-01-29"]


def test_a_date_that_is_not_later_than_the_state_is_refused(tmp_path, scene):
    outputs, _, _ = mapped(tmp_path, [scene.image(1)])
    with pytest.raises(InputError, match="state has dates up to 2023-01-17"):
        mapped(tmp_path, [scene.image(0)], "again", state=outputs["state"])


def test_two_images_of_one_date_are_refused(tmp_path, scene):
    images = [scene.image(0), scene.image(0, name="copy")]
    with pytest.raises(InputError, match="both VV") as refused:
        mapped(tmp_path, images)
    assert refused.value.locator == "images"


def test_another_orbit_is_refused(tmp_path, scene):
    other = {"ORBIT_DIRECTION": "ASC", "RELATIVE_ORBIT_NUMBER": "059"}
    with pytest.raises(InputError, match="ASC 59"):
        mapped(tmp_path, [scene.image(0), scene.image(1, **other)])
    outputs, _, _ = mapped(tmp_path, [scene.image(0)], "first")
    with pytest.raises(InputError, match="one series for each"):
        mapped(tmp_path, [scene.image(1, **other)], "second", state=outputs["state"])


def test_an_image_that_is_no_state_is_refused(tmp_path, scene):
    image = scene.image(0)
    with pytest.raises(InputError, match="no state of a series") as refused:
        mapped(tmp_path, [scene.image(1)], state=image)
    assert refused.value.locator == "state"


def test_the_tail_of_one_normal_polarisation_is_that_of_the_normal():
    statistic = np.array([1.959964, 3.290527], np.float32) ** 2
    np.testing.assert_allclose(np.exp(-tail(statistic, np.inf, 1)), [0.05, 0.001], rtol=2e-3)


def test_the_tail_of_two_polarisations_is_that_of_simulated_ones():
    random = np.random.default_rng(5)
    freedom = 12.0
    normal = random.standard_normal((2, 2_000_000))
    scaled = normal / np.sqrt(random.chisquare(freedom, 2_000_000) / freedom)
    statistic = scaled[0] ** 2 + scaled[1] ** 2 / 10
    for level in (0.1, 0.01, 0.001):
        value = np.quantile(statistic, 1 - level)
        found = np.exp(-tail(np.float32([value]), freedom, 2))[0]
        assert found == pytest.approx(level, rel=0.05)


def test_evidence_becomes_a_probability_by_the_bound_on_the_bayes_factor():
    found = probability(np.float32([0, 1, -np.log(0.001)]))
    bound = -np.e * 0.001 * np.log(0.001)
    np.testing.assert_allclose(found, [0.05, 0.05, 1 / (1 + 19 * bound)], rtol=1e-5)
