"""SarChangeDetect: inputs, outputs and the parts that all methods share."""

import csv
import datetime as dt
import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from candela.eo.progress import silent
from candela.errors import InputError
from candela.services import s1tiling, sar_change_detect
from candela.spec import load_spec, services_folder
from candela.synthetic.sentinel1 import Acquisition, write_product

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
SIDE = 200
LINES = 320  # of an acquisition of 100 m
PLACE = Affine(10, 0, 300_000, 0, -10, 4_900_020)
SPEC = load_spec(services_folder() / "sar_change_detect" / "process.yaml")
BRIGHTER, DARKER, OTHER = (slice(20, 60),) * 2, (slice(100, 140),) * 2, (slice(100, 140), slice(40))


def write(path, values, *, place=True, bands=("VV", "VH"), day=None, **profile):
    """Write an image, (bands, rows, cols)."""
    values = np.asarray(values)
    where = {"crs": "EPSG:32631", "transform": PLACE} if place else {}
    with rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1],
        width=values.shape[2], dtype=values.dtype, **where, **profile,
    ) as image:  # fmt: skip
        image.write(values)
        for index, name in enumerate(bands if len(values) > 1 else bands[:1], 1):
            image.set_band_description(index, name)
        if day:
            image.update_tags(SENSING_TIME=f"2024-05-{day:02d}T06:00:00Z", CALIBRATION="sigma")
    return path


def speckle(mean, looks=4.4, seed=0):
    mean = np.broadcast_to(np.asarray(mean, np.float32), (2, SIDE, SIDE))
    random = np.random.default_rng(seed)
    return (mean * random.gamma(looks, 1 / looks, mean.shape)).astype(np.float32)


def scene():
    """Return the mean power of both dates: fields, and three changes of 9 dB."""
    fields = np.repeat(np.repeat(np.random.default_rng(5).uniform(0.05, 0.2, (5, 5)), 40, 0), 40, 1)
    before = np.stack([fields, 0.2 * fields]).astype(np.float32)
    after = before.copy()
    after[:, *BRIGHTER] *= 8
    after[:, *DARKER] /= 8
    after[0, *OTHER] *= 8
    after[1, *OTHER] /= 8
    return before, after


def truth():
    changed = np.zeros((SIDE, SIDE), bool)
    for place in (BRIGHTER, DARKER, OTHER):
        changed[place] = True
    return changed


@pytest.fixture
def pair(tmp_path):
    before, after = scene()
    return (
        write(tmp_path / "before.tif", speckle(before, 12), day=1),
        write(tmp_path / "after.tif", speckle(after, 12, seed=1), day=13),
    )


def run(workdir, before, after, **options):
    workdir.mkdir(exist_ok=True)
    defaults = SPEC.defaults | {"workdir": workdir, "progress": silent}
    inputs = [each if isinstance(each, list) else [each] for each in (before, after)]
    return sar_change_detect.run(before=inputs[0], after=inputs[1], **(defaults | options))


def read(path):
    with rasterio.open(path) as image:
        return image.read(1)


def statistics_of(outputs):
    return json.loads(outputs["statistics"].read_text())


METHODS = SPEC.inputs["method"].allowed


@pytest.mark.parametrize("method", METHODS)
def test_each_method_maps_change_and_its_direction(pair, tmp_path, method):
    outputs = run(tmp_path / "out", *pair, method=method, false_alarm_rate=0.001)
    change, direction = read(outputs["change"]), read(outputs["direction"])
    assert change.dtype == np.float32
    assert (change > 0).all()
    assert (change <= 1).all()
    changed = change >= 0.5
    assert np.mean(changed[BRIGHTER]) > 0.85
    assert np.mean(changed[DARKER]) > 0.85
    assert np.mean(changed[~truth()]) < 0.05
    assert ((direction > 0) == changed).all()
    assert np.mean(direction[BRIGHTER] == 1) > 0.8
    assert np.mean(direction[DARKER] == 2) > 0.8
    found = statistics_of(outputs)
    assert found["direction_pixels"]["brighter"] == np.count_nonzero(direction == 1)
    assert found["changed_pixels"] == np.count_nonzero(changed)
    assert found["method"] == method


def test_opposite_changes_of_the_polarisations_have_a_direction_of_their_own(pair, tmp_path):
    outputs = run(tmp_path / "out", *pair, method="statistics")
    assert np.mean(read(outputs["direction"])[OTHER] == 3) > 0.85


def test_maps_have_the_grid_the_dates_and_a_picture(pair, tmp_path):
    outputs = run(tmp_path / "out", *pair)
    assert outputs["change"].name == "change_20240501_20240513.tif"
    for name in ("change", "direction"):
        with rasterio.open(outputs[name]) as image:
            assert image.transform == PLACE
            assert image.crs.to_epsg() == 32631
            assert image.tags()["Start_date"] == "20240501"
            assert image.tags()["End_date"] == "20240513"
    with Image.open(outputs["preview"]) as picture:
        assert picture.size[0] > 3 * SIDE
    found = statistics_of(outputs)
    assert found["polarisations"] == ["VV", "VH"]
    assert found["scale"] == "intensity"


def test_nodata_of_either_date_is_nodata_of_all_maps(tmp_path):
    before, after = (speckle(0.1, seed=seed) for seed in (0, 1))
    before[:, :10], after[0, :, :20] = 0, np.nan
    paths = write(tmp_path / "a.tif", before), write(tmp_path / "b.tif", after)
    outputs = run(tmp_path / "out", *paths)
    missing = np.isnan(read(outputs["change"]))
    assert missing[:10].all()
    assert missing[:, :20].all()
    assert not missing[10:, 20:].any()
    assert ((read(outputs["direction"]) == 255) == missing).all()


def test_8_bit_pictures_without_a_place_are_mapped(tmp_path):
    before, after = scene()
    pictures = [
        np.clip(np.sqrt(speckle(mean, 12, seed=seed))[:1] * 150, 0, 255).astype(np.uint8)
        for seed, mean in enumerate((before, after))
    ]
    paths = [
        write(tmp_path / name, values, place=False, bands=[""])
        for name, values in zip(("a.tif", "b.tif"), pictures, strict=True)
    ]
    outputs = run(tmp_path / "out", *paths)
    changed = read(outputs["change"]) >= 0.5
    assert np.mean(changed[BRIGHTER]) > 0.6
    assert np.mean(changed[~truth()]) < 0.05
    assert statistics_of(outputs)["scale"] == "amplitude"


def test_a_change_of_gain_is_no_change(tmp_path):
    paths = (
        write(tmp_path / "a.tif", speckle(0.1)),
        write(tmp_path / "b.tif", 3 * speckle(0.1, seed=1)),
    )
    outputs = run(tmp_path / "out", *paths, method="statistics", false_alarm_rate=0.01)
    assert np.mean(read(outputs["change"]) >= 0.5) < 0.02
    assert statistics_of(outputs)["fit"]["gain_db"] == pytest.approx([4.77, 4.77], abs=0.3)


def test_given_looks_make_the_test_the_theoretical_one(tmp_path):
    images = speckle(0.1), speckle(0.1, seed=1)
    paths = write(tmp_path / "a.tif", images[0]), write(tmp_path / "b.tif", images[1])
    outputs = run(tmp_path / "out", *paths, method="statistics", looks=4.4, false_alarm_rate=0.01)
    change = read(outputs["change"]).astype(np.float64)
    p_value = 0.01 * (1 - change) / change
    n, (x, y) = 4.4, np.float64(images)
    logs = n * (4 * np.log(2) + np.log(x * y / (x + y) ** 2).sum(axis=0))
    rho = 1 - 1.5 / n / 6
    z = -2 * rho * logs
    w = -0.5 * (1 - 1 / rho) ** 2  # of f = 2 and 6 degrees of freedom
    expected = np.exp(-z / 2) * (1 - w + w * (1 + z / 2 + z * z / 8))
    near = expected > 1e-4  # a float32 probability resolves no smaller p-values
    np.testing.assert_allclose(p_value[near], expected[near], atol=1e-6, rtol=1e-3)
    assert statistics_of(outputs)["fit"]["null_distribution"]["fitted_to_the_pair"] is False


@pytest.mark.parametrize("method", METHODS)
def test_blocks_give_the_map_of_the_whole(pair, tmp_path, monkeypatch, method):
    options = {"minimum_pixels": 6, "multilook": 3, "method": method}
    whole = read(run(tmp_path / "whole", *pair, **options)["change"])
    monkeypatch.setattr(sar_change_detect, "BLOCK", 64)
    blocks = read(run(tmp_path / "blocks", *pair, **options)["change"])
    np.testing.assert_allclose(blocks, whole, atol=0.01)
    assert np.mean((blocks >= 0.5) != (whole >= 0.5)) < 1e-3


def test_areas_below_the_mapping_unit_are_no_change(pair, tmp_path):
    options = {"method": "statistics", "false_alarm_rate": 0.01}
    single = read(run(tmp_path / "one", *pair, **options)["change"]) >= 0.5
    outputs = run(tmp_path / "many", *pair, **options, minimum_pixels=20)
    kept = read(outputs["change"]) >= 0.5
    assert np.mean(single[~truth()]) > 0.004
    assert np.mean(kept[~truth()]) < 0.001
    assert np.mean(kept[BRIGHTER]) > 0.85
    assert (kept <= single).all()
    assert not read(outputs["direction"])[single & ~kept].any()


def test_multilooking_finds_weaker_change(tmp_path):
    mean = np.full((2, SIDE, SIDE), 0.1, np.float32)
    mean[:, *BRIGHTER] *= 2
    paths = (
        write(tmp_path / "a.tif", speckle(0.1)),
        write(tmp_path / "b.tif", speckle(mean, seed=1)),
    )
    found = {}
    for side in (1, 5):
        outputs = run(tmp_path / f"m{side}", *paths, method="statistics", multilook=side)
        changed = read(outputs["change"]) >= 0.5
        found[side] = np.mean(changed[BRIGHTER])
        assert np.mean(changed[~truth()]) < 0.02
    assert found[1] < 0.2
    assert found[5] > 0.6


def test_parcels_have_levels_table_and_picture(pair, tmp_path):
    def square(place):
        (left, top), (right, bottom) = (
            PLACE @ (place[1].start or 0, place[0].start),
            PLACE @ (place[1].stop, place[0].stop),
        )
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        return {"type": "Polygon", "coordinates": [ring]}

    quiet = slice(150, 190), slice(20, 60)
    features = [
        {"type": "Feature", "id": name, "properties": {}, "geometry": square(place)}
        for name, place in (("new", BRIGHTER), ("quiet", quiet))
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    path = tmp_path / "parcels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    outputs = run(tmp_path / "out", *pair, parcels=path)
    with outputs["parcels_table"].open(newline="") as file:
        rows = {row["feature_id"]: row for row in csv.DictReader(file)}
    assert rows["new"]["change_level"] == "3"
    assert rows["quiet"]["change_level"] == "1"
    assert len(json.loads(outputs["parcels"].read_text())["features"]) == 2
    with Image.open(outputs["parcels_preview"]) as picture:
        assert picture.mode == "RGB"
    assert statistics_of(outputs)["parcels"]["levels"] == {"1": 1, "2": 0, "3": 1}


def test_parcels_without_a_place_are_refused_before_anything_is_computed(tmp_path):
    paths = [
        write(tmp_path / f"{name}.tif", speckle(0.1, seed=name), place=False) for name in (0, 1)
    ]
    parcels = tmp_path / "p.geojson"
    parcels.write_text('{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}')
    with pytest.raises(InputError, match="no coordinate reference system") as caught:
        run(tmp_path / "out", *paths, parcels=parcels)
    assert caught.value.locator == "parcels"


def test_images_without_a_common_pixel_are_refused(tmp_path):
    before, after = speckle(0.1), speckle(0.1, seed=1)
    before[:, :100], after[:, 100:] = 0, 0
    paths = write(tmp_path / "a.tif", before), write(tmp_path / "b.tif", after)
    with pytest.raises(InputError, match="0 pixels with data on both dates") as caught:
        run(tmp_path / "out", *paths)
    assert caught.value.locator == "after"


@pytest.mark.parametrize("side", [1, 12])
def test_tiny_images_are_mapped_or_refused(tmp_path, side):
    paths = [
        write(tmp_path / f"{seed}.tif", speckle(0.1, seed=seed)[:, :side, :side]) for seed in (0, 1)
    ]
    if side == 1:
        with pytest.raises(InputError, match="1 pixels with data"):
            run(tmp_path / "out", *paths)
    else:
        assert read(run(tmp_path / "out", *paths)["change"]).shape == (side, side)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """Two acquisitions of constant backscatter with speckle, put through S1tiling."""
    folder = tmp_path_factory.mktemp("s1")
    random = np.random.default_rng(8)
    defaults = load_spec(services_folder() / "s1tiling" / "process.yaml").defaults
    options = {"tiles": ["31TCJ"], "resolution": 100, "minimum_coverage": 0.0}
    dates = []
    for number, shift in enumerate((0.0, 0.013)):
        taken = Acquisition(
            lines=LINES, samples=LINES, pixel_m=100, longitude=0.9 + shift, latitude=43.7,
            middle=dt.datetime(2021, 12, 23) + number * dt.timedelta(12),
            absolute_orbit=30148 + 175 * number,
        )  # fmt: skip
        images = {
            name: np.sqrt(power * random.gamma(4.4, 1 / 4.4, (LINES, LINES))).astype(np.uint16) + 1
            for name, power in (("VV", 300**2), ("VH", 150**2))
        }
        workdir = folder / str(number)
        workdir.mkdir()
        made = s1tiling.run(
            product=[write_product(folder, taken, images)],
            **(defaults | options | {"workdir": workdir, "progress": silent}),
        )
        dates.append([made["vv"], made["vh"]])
    return dates


@pytest.mark.parametrize(("level", "multilook"), [(0.01, 1), (0.001, 1), (0.01, 3)])
def test_the_false_alarm_rate_after_s1tiling_is_the_level(unchanged, tmp_path, level, multilook):
    outputs = run(
        tmp_path / "out", *unchanged, method="statistics",
        false_alarm_rate=level, multilook=multilook,
    )  # fmt: skip
    found = statistics_of(outputs)
    assert found["valid_pixels"] > 50_000
    assert 0.5 * level < found["changed_fraction"] < 2 * level
    assert found["track"] == "DES 22"
    assert np.min(found["fit"]["looks_estimated"]) > 6, "resampling adds looks"
