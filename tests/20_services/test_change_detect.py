import json
from functools import partial
from importlib.resources import files

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

import candela.models.change.mapping as process
from candela.eo.progress import silent
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.raster.registration import Shift, translate
from candela.eo.raster.smoothing import gaussian
from candela.eo.s2.pair import NO_MASKS, open_pair
from candela.errors import InputError
from candela.models.change import survey
from candela.models.change.catalogue import MODELS
from candela.models.change.detector import REACH
from candela.models.change.report import GAP
from candela.models.code import Code, double, doubled_pixels, doubled_rows
from candela.models.encoder import BANDS, EncoderCard, load_encoder
from candela.services.change_detect import run
from candela.spec import load_spec, services_folder

SIZE = 192
ROOF = np.array([2600, 2800, 3000, 3100, 3200, 3300, 3400, 3400, 3600, 3300])
OBJECT = (slice(90, 104), slice(60, 74))
DEFAULTS = load_spec(services_folder() / "change_detect" / "process.yaml").defaults
TAGS = {
    "before": {"PRODUCT_ID": "first", "SENSING_TIME": "2020-07-18T10:50:31Z", "LEVEL": "L2A"},
    "after": {"PRODUCT_ID": "second", "SENSING_TIME": "2022-06-28T10:50:31Z", "LEVEL": "L2A"},
}


def field(random, sigma, size=SIZE):
    noise = gaussian(random.normal(0, 1, (size, size)).astype(np.float32), sigma)
    return (noise - noise.mean()) / noise.std()


def landscape(size=SIZE, seed=0):
    """Six kinds of surface in patches, with texture: reflectance, and the kind of each pixel."""
    random = np.random.default_rng(seed)
    kinds = np.digitize(field(random, 6, size), [-1.2, -0.5, 0, 0.5, 1.2])
    spectra = random.uniform(400, 3500, (6, len(BANDS)))
    texture = 1 + 0.12 * field(random, 1.2, size) + 0.08 * field(random, 3, size)
    return np.moveaxis(spectra[kinds], -1, 0) * texture, kinds


def sense(reflectance, seed):
    noise = np.random.default_rng(seed).normal(0, 25, reflectance.shape)
    return np.clip(np.rint(reflectance + noise), 1, 65535).astype(np.uint16)


def season(reflectance, kinds, seed=5):
    """Change each kind of surface in its own way, as a season does."""
    factors = np.random.default_rng(seed).uniform(0.7, 1.4, (6, len(BANDS)))
    return reflectance * np.moveaxis(factors[kinds], -1, 0)


@pytest.fixture(scope="module")
def scene():
    """Two dates of one place: another season, and a new building."""
    ground, kinds = landscape()
    later = season(ground, kinds)
    later[:, OBJECT[0], OBJECT[1]] = ROOF[:, None, None]
    return sense(ground, 1), sense(later, 2)


def detect_in(folder, before, after, *, grids=(None, None), tags=None, **options):
    """Write both images, run the process and give its outputs."""
    paths = {}
    for name, image, grid in zip(("before", "after"), (before, after), grids, strict=True):
        paths[name] = folder / f"{name}.tif"
        write(paths[name], image, grid=grid, tags=TAGS[name] | (tags or {}).get(name, {}))
    outputs = run(**paths, **(DEFAULTS | options), workdir=folder, progress=silent)
    with rasterio.open(outputs["change"]) as dataset:
        return dataset.read(1), json.loads(outputs["statistics"].read_text()), outputs


@pytest.fixture
def detect(tmp_path):
    """Return a function that compares two images."""
    return partial(detect_in, tmp_path)


@pytest.fixture(scope="module")
def detected(scene, tmp_path_factory):
    """Compare the scene as it is by the default model: the map, its statistics and the outputs."""
    return detect_in(tmp_path_factory.mktemp("detected"), *scene)


def write(path, image, *, grid=None, tags=None, bands=BANDS):
    grid = grid or Grid(
        rasterio.CRS.from_epsg(32631),
        Affine(10, 0, 300_000, 0, -10, 4_900_020),
        Shape(*image.shape[1:]),
    )
    with create_image(
        path, grid, dtype=str(image.dtype), nodata=0, bands=bands, tags=tags
    ) as dataset:
        dataset.write(image)


def test_a_new_building_is_found_and_a_season_is_not(detected):
    change, statistics, _ = detected
    inside = np.zeros((SIZE, SIZE), bool)
    inside[OBJECT] = True
    outside = ~gaussian(inside.astype(np.float32), 4).astype(bool)
    assert np.median(change[inside]) > 0.8
    assert (change[outside] > 0.5).mean() < 0.01
    assert statistics["changed_fraction"] == pytest.approx((change >= 0.5).mean())


@pytest.mark.parametrize("model", MODELS)
def test_the_same_image_twice_has_not_changed(detect, scene, model):
    change, statistics, _ = detect(scene[0], scene[0], model=model)
    assert change.max() < 0.01
    assert change.min() > 0
    assert statistics["shift_found_pixels"] == {"rows": 0, "cols": 0}


def test_gain_and_offset_on_one_date_hardly_matter(detect, detected, scene):
    change, _, _ = detected
    brighter = np.rint(scene[1] * 1.3 + 400).astype(np.uint16)
    again, _, _ = detect(scene[0], brighter)
    np.testing.assert_allclose(again, change, atol=0.02)


@pytest.mark.parametrize("shift", [Shift(1, 0), Shift(-0.5, 0.8)])
def test_a_shift_of_a_pixel_is_found_and_not_taken_for_change(detect, shift):
    ground, kinds = landscape(SIZE + 8)
    later = translate(season(ground, kinds).astype(np.float32), shift)
    inside = (slice(None), slice(4, -4), slice(4, -4))
    change, statistics, _ = detect(sense(ground[inside], 1), sense(later[inside], 2))
    found = statistics["shift_found_pixels"]
    assert (found["rows"], found["cols"]) == pytest.approx(shift.times(-1), abs=0.1)
    assert (change > 0.5).mean() < 0.005


def test_a_shift_that_is_not_credible_is_told_and_not_undone(detect):
    ground, _ = landscape(SIZE + 24)
    before, after = ground[:, 12:-12, 12:-12], ground[:, 20:-4, 12:-12]
    _, statistics, _ = detect(sense(before, 1), sense(after, 2))
    assert statistics["shift_found_pixels"]["rows"] == pytest.approx(8, abs=0.2)
    assert not statistics["shift_applied"]
    assert "not credible" in statistics["notes"][0]


@pytest.mark.parametrize("model", ["fast", "vegetation", "distance"])
def test_exchanging_the_dates_gives_the_same_map(detect, scene, model):
    forth, _, _ = detect(*scene, model=model)
    back, statistics, _ = detect(
        *scene[::-1], model=model, tags={"before": TAGS["after"], "after": TAGS["before"]}
    )
    np.testing.assert_allclose(back, forth, atol=1e-3)
    assert "before the earlier one" in statistics["notes"][0]


def test_nodata_in_either_image_is_nodata_in_the_map(detect, scene):
    before, after = (image.copy() for image in scene)
    before[:, :20, :30] = 0
    after[4, 100:, 150:] = 0  # one band is enough
    change, statistics, _ = detect(before, after)
    expected = np.zeros((SIZE, SIZE), bool)
    expected[:20, :30] = expected[100:, 150:] = True
    np.testing.assert_array_equal(np.isnan(change), expected)
    assert statistics["valid_fraction"] == pytest.approx(1 - expected.mean())


@pytest.mark.parametrize("model", ["vegetation", "distance"])  # the others look at neighbourhoods
def test_a_part_has_the_values_of_the_whole(tmp_path, model):
    ground, kinds = landscape(400)
    later = translate(season(ground, kinds).astype(np.float32), Shift(0.4, -0.7))
    images = sense(ground, 1)[:, :393, :371], sense(later, 2)[:, :393, :371]
    paths = tmp_path / "before.tif", tmp_path / "after.tif"
    for path, image in zip(paths, images, strict=True):
        write(path, image)
    with open_pair(*paths, NO_MASKS, BANDS) as pair:
        encode = load_encoder("onnx", MODELS[model].encoder)
        detector = survey.fit(survey.survey_pair(pair), encode, model, silent)
    part = slice(REACH, 3 * REACH), slice(REACH, 2 * REACH + 3)
    corner = 112, 64  # multiples of the coarsest level, as all corners of blocks are
    around = [slice(a, a + side.stop + REACH) for a, side in zip(corner, part, strict=True)]
    found = detector.evidence(*(image[:, *around] for image in images), part)
    inner = [slice(a + p.start, a + p.stop) for a, p in zip(corner, part, strict=True)]
    np.testing.assert_allclose(found.magnitude, detector.whole.magnitude[*inner], atol=1e-4)


def test_large_images_are_surveyed_by_windows(detect, detected, monkeypatch, scene):
    whole, _, _ = detected
    monkeypatch.setattr(survey, "WHOLE_PIXELS", 10_000)
    monkeypatch.setattr(survey, "WINDOW", 64)
    monkeypatch.setattr(survey, "WINDOWS", 6)
    sampled, _, _ = detect(*scene)
    assert np.corrcoef(whole.ravel(), sampled.ravel())[0, 1] > 0.95


@pytest.fixture
def large(monkeypatch):
    """Let small images be treated as full tiles are, with blocks of 96 pixels."""
    monkeypatch.setattr(survey, "WHOLE_PIXELS", 10_000)
    monkeypatch.setattr(survey, "WINDOW", 96)
    monkeypatch.setattr(process, "BLOCK", 96)
    monkeypatch.setattr(process, "OVERLAP", 10)


@pytest.mark.usefixtures("large")
def test_each_place_of_a_large_image_is_fitted_to(detect, monkeypatch):
    ground, kinds = landscape(384)
    places = np.kron(np.arange(16).reshape(4, 4), np.ones((96, 96), int))
    seasons = np.stack([season(ground, kinds, seed=20 + place) for place in range(16)])
    later = np.take_along_axis(seasons, places[None, None], axis=0)[0]
    inside = np.zeros((384, 384), bool)
    for top, left in ((130, 130), (250, 320)):
        inside[top : top + 14, left : left + 14] = True
    later[:, inside] *= np.linspace(1.15, 0.9, len(BANDS))[:, None]  # faint buildings
    images = sense(ground, 1), sense(later, 2)
    local, _, _ = detect(*images, model="construction")
    monkeypatch.setattr(survey, "WHOLE_PIXELS", 1_000_000)
    alike, _, _ = detect(*images, model="construction")
    assert np.median(local[inside]) > 3 * np.median(alike[inside])
    assert (local[~inside] > 0.5).mean() < 0.6 * (alike[~inside] > 0.5).mean()


@pytest.mark.usefixtures("large")
def test_there_is_no_seam_between_places(detect):
    ground, kinds = landscape(384)
    share = np.linspace(0, 1, 384)
    later = (1 - share) * season(ground, kinds) + share * season(ground, kinds, seed=11)
    change, _, _ = detect(sense(ground, 1), sense(later, 2), model="construction")
    odds = np.log(change / (1 - change))
    steps = np.abs(np.diff(odds, axis=1)).mean(axis=0)
    borders = np.arange(96, 384, 96) - 1
    assert steps[borders].max() < np.percentile(np.delete(steps, borders), 95)


@pytest.mark.usefixtures("large")
def test_nodata_in_a_large_image_stays_nodata(detect, scene):
    before, after = (image.copy() for image in scene)
    before[:, :100, :110] = 0  # a whole block, and more
    change, _, _ = detect(before, after)
    expected = np.zeros((SIZE, SIZE), bool)
    expected[:100, :110] = True
    np.testing.assert_array_equal(np.isnan(change), expected)


def test_the_map_has_the_grid_the_tags_and_the_form_agreed_on(detected):
    _, _, outputs = detected
    with rasterio.open(outputs["change"]) as dataset:
        assert dataset.dtypes == ("float32",)
        assert np.isnan(dataset.nodata)
        assert dataset.crs.to_epsg() == 32631
        assert dataset.transform == Affine(10, 0, 300_000, 0, -10, 4_900_020)
        assert dataset.shape == (SIZE, SIZE)
        assert dataset.compression.name == "zstd"
        tags = dataset.tags()
    assert tags["Start_date"] == "20200718"
    assert tags["End_date"] == "20220628"
    assert tags["Product_id1"] == "first"
    assert tags["Product_id2"] == "second"
    assert "generic" in tags["Agent"]
    assert tags["Category"]


def test_statistics_and_preview_tell_what_was_found(detected):
    change, statistics, outputs = detected
    assert statistics["model"] == "generic"
    assert statistics["start_date"] == "2020-07-18"
    assert statistics["valid_pixels"] == sum(statistics["histogram"]["counts"]) == SIZE * SIZE
    assert statistics["mean_probability"] == pytest.approx(change.mean(), rel=1e-4)
    picture = np.asarray(Image.open(outputs["preview"]).convert("RGBA")).astype(int)
    before, after, shown = (
        picture[:SIZE, left : left + SIZE] for left in (0, SIZE + GAP, 2 * (SIZE + GAP))
    )
    redness = shown[..., 0] - shown[..., 2]
    assert redness[OBJECT].mean() > 60
    assert np.abs(redness[change < 0.2]).max() == 0
    np.testing.assert_array_equal(shown[change < 0.2], after[change < 0.2])
    assert np.abs(before - after)[OBJECT].mean() > 20
    assert picture.shape[0] > SIZE  # the legend


def test_images_without_tags_are_compared_too(detect, scene, tmp_path):
    for name, image in zip(("a", "b"), scene, strict=True):
        write(tmp_path / f"{name}.tif", image)
    outputs = run(
        before=tmp_path / "a.tif", after=tmp_path / "b.tif", **DEFAULTS,
        workdir=tmp_path, progress=silent,
    )  # fmt: skip
    with rasterio.open(outputs["change"]) as dataset:
        assert "Start_date" not in dataset.tags()


def test_two_processing_levels_are_compared_and_told(detect, scene):
    _, statistics, _ = detect(*scene, tags={"before": {"LEVEL": "L1C"}})
    assert "L1C and L2A" in statistics["notes"][0]


@pytest.mark.parametrize(
    "name", sorted({model.encoder for model in MODELS.values()} | {"spectral"})
)
def test_tensorflow_computes_the_same_features(name):
    pytest.importorskip("tensorflow")
    bands = len(EncoderCard.read(name).bands)
    image = np.random.default_rng(0).normal(0, 2, (bands, 48, 64)).astype(np.float32)
    ours, theirs = (load_encoder(runtime, name)(image) for runtime in ("onnx", "tensorflow"))
    np.testing.assert_allclose(ours.fine, theirs.fine, atol=1e-4)
    np.testing.assert_allclose(ours.code.units(), theirs.code.units(), atol=1e-4)


def test_weights_that_are_not_those_told_of_are_refused(tmp_path):
    for suffix in (".onnx", ".yaml"):
        name = f"compact{suffix}"
        (tmp_path / name).write_bytes(
            files("candela.models").joinpath("encoders", name).read_bytes()
        )
    load_encoder("onnx", "compact", tmp_path)
    weights = tmp_path / "compact.onnx"
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"compact\.onnx has SHA-256 .*; compact\.yaml tells"):
        load_encoder("onnx", "compact", tmp_path)


def test_progress_rises_to_the_end(scene, tmp_path):
    told = []
    for name, image in zip(("before", "after"), scene, strict=True):
        write(tmp_path / f"{name}.tif", image)
    run(
        before=tmp_path / "before.tif", after=tmp_path / "after.tif", **DEFAULTS,
        workdir=tmp_path, progress=lambda percent, _: told.append(percent),
    )  # fmt: skip
    assert told == sorted(told)
    assert told[-1] == 100


def test_small_images_are_compared(detect):
    ground, _ = landscape(33)
    change, _, _ = detect(sense(ground, 1), sense(ground, 2))
    assert change.shape == (33, 33)
    assert np.isfinite(change).all()


@pytest.mark.parametrize("size", [1, 16])
def test_images_too_small_to_learn_from_are_refused(detect, size):
    image = np.full((len(BANDS), size, size), 1000, np.uint16)
    with pytest.raises(InputError, match=rf"{size * size} pixels have data in both images; at"):
        detect(image, image)


def test_images_without_common_data_are_refused(detect, scene):
    before, after = (image.copy() for image in scene)
    before[:, :, :100] = 0
    after[:, :, 100:] = 0
    with pytest.raises(InputError, match="0 pixels have data in both images") as caught:
        detect(before, after)
    assert caught.value.locator == "after"


def test_different_sizes_are_refused_with_both_named(detect, scene):
    with pytest.raises(InputError, match="192 x 190 pixels, the earlier image 192 x 192") as caught:
        detect(scene[0], scene[1][:, :190])
    assert caught.value.locator == "after"


def test_different_places_and_reference_systems_are_refused(detect, scene):
    shape = Shape(SIZE, SIZE)
    utm31, utm32 = rasterio.CRS.from_epsg(32631), rasterio.CRS.from_epsg(32632)
    here = Grid(utm31, Affine(10, 0, 300_000, 0, -10, 4_900_020), shape)
    there = Grid(utm31, Affine(10, 0, 300_060, 0, -10, 4_900_020), shape)
    with pytest.raises(InputError, match=r"300060\.0.*300000\.0"):
        detect(*scene, grids=(here, there))
    with pytest.raises(InputError, match="EPSG:32632, that of the earlier image EPSG:32631"):
        detect(*scene, grids=(here, here._replace(crs=utm32)))


def test_a_missing_band_is_named_with_those_that_are_there(scene, tmp_path):
    write(tmp_path / "before.tif", scene[0])
    write(tmp_path / "after.tif", scene[1][[0, 1, 2, 6]], bands=["B02", "B03", "B04", "B08"])
    with pytest.raises(InputError, match=r"band B05, .* missing in after.tif .*B04, B08") as caught:
        run(
            before=tmp_path / "before.tif", after=tmp_path / "after.tif", **DEFAULTS,
            workdir=tmp_path, progress=silent,
        )  # fmt: skip
    assert caught.value.locator == "after"


def test_other_numbers_than_reflectance_are_refused(detect, scene):
    with pytest.raises(InputError, match=r"typical value of .*; expected reflectance") as caught:
        detect(scene[0].astype(np.float32), scene[1])
    assert caught.value.locator == "before"


def test_reflectance_in_floating_point_gives_the_same_map(detect, detected, scene):
    change, _, _ = detect((scene[0] / 10_000).astype(np.float32), scene[1].astype(np.int16))
    np.testing.assert_array_equal(change, detected[0])


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "before.tif").write_text("no image")
    with pytest.raises(InputError, match=r"before\.tif cannot be read as an image") as caught:
        run(
            before=tmp_path / "before.tif", after=tmp_path / "before.tif", **DEFAULTS,
            workdir=tmp_path, progress=silent,
        )  # fmt: skip
    assert caught.value.locator == "before"


def test_the_stored_graph_of_the_units_is_what_the_code_makes(tmp_path):
    network = pytest.importorskip("candela.models.training.network")
    network.export_units(tmp_path)
    stored = files("candela.models").joinpath("encoders", "units.onnx").read_bytes()
    assert stored == (tmp_path / "units.onnx").read_bytes()


@pytest.mark.parametrize("rows", [slice(0, 6), slice(4, 10), slice(8, 13), slice(0, 13)])
def test_doubled_rows_are_those_of_the_doubled_image(rows):
    image = np.random.default_rng(5).normal(size=(2, 7, 9)).astype(np.float32)
    np.testing.assert_array_equal(doubled_rows(image, rows, 17), double(image)[:, rows, :17])


def test_single_pixels_of_a_code_are_those_of_the_doubled_code():
    random = np.random.default_rng(6)
    met = np.concatenate([random.normal(size=(5, 30, 40)), np.ones((1, 30, 40))])
    kernel = random.normal(size=(8, 6))
    code = Code(met.astype(np.float32), kernel.astype(np.float32))
    rows, cols = random.integers(0, 60, 300), random.integers(0, 80, 300)
    expected = double(code.units())[:, rows, cols]
    np.testing.assert_allclose(code.doubled_at(rows, cols), expected, atol=1e-5)


def test_single_pixels_are_those_of_the_doubled_image():
    random = np.random.default_rng(7)
    image = random.normal(size=(3, 7, 9)).astype(np.float32)
    rows, cols = random.integers(0, 13, 200), random.integers(0, 17, 200)
    expected = double(image)[:, rows, cols]
    np.testing.assert_allclose(doubled_pixels(image, rows, cols), expected, atol=1e-6)
